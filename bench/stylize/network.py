"""The network that every runtime gets: float weights as NumPy arrays, from any kind of file.

``conv0``, the fixed 1x1 colour layer, is folded into the next layer for all runtimes. The engine's converter does that, and a
careful export for another runtime would do it too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastnst.format import modelfile, reading
from fastnst.format.floatnet import EPS, LAYERS, Array, Conv, Network, float_network

__all__ = ["EPS", "Array", "Conv", "Network"]

POOL_AFTER = frozenset({"conv1_2", "conv2_2", "conv3_4"})
WIDTHS_16X = (16, 16, 32, 32, 64, 64, 64, 64, 128)


def save(network: Network, path: Path) -> None:
    """Write an ``.npz`` that :func:`load` reads."""
    arrays: dict[str, Array] = {}
    for name, conv in network.named():
        arrays[f"{name}.weights"], arrays[f"{name}.bias"] = conv.weights, conv.bias
        arrays[f"{name}.flags"] = np.array([conv.relu, conv.upsample, conv.pool])
    np.savez(path, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> Network:
    """What :func:`save` wrote."""
    with np.load(path) as arrays:

        def half(side: str) -> list[Conv]:
            count = sum(name.startswith(side) for name in arrays.files) // 3
            names = [f"{side}{i}" for i in range(count)]
            return [Conv(arrays[f"{n}.weights"], arrays[f"{n}.bias"], *map(bool, arrays[f"{n}.flags"])) for n in names]

        return Network(half("encoder"), half("decoder"))


def from_file(path: Path) -> Network:
    """The network of a trained ``.safetensors`` pair or of an engine model ``.fnst``."""
    return from_fnst(path.read_bytes()) if path.suffix == ".fnst" else from_safetensors(path)


# --- trained float weights --------------------------------------------------------------------------------------------------


def from_safetensors(path: Path) -> Network:
    """Read a pair as training writes it: tensors ``encoder.conv1_1.weight`` and so on."""
    from safetensors.numpy import load_file

    tensors = {name: tensor.astype(np.float32) for name, tensor in load_file(path).items()}

    def conv(side: str, name: str, **flags: bool) -> Conv:
        return Conv(tensors[f"{side}.{name}.weight"], tensors[f"{side}.{name}.bias"], **flags)

    encoder = [conv("encoder", name, pool=name in POOL_AFTER) for name in LAYERS]
    encoder[0] = _behind_colour_layer(encoder[0], tensors["encoder.conv0.weight"][:, :, 0, 0], tensors["encoder.conv0.bias"])
    decoder = [conv("decoder", name, relu=name != LAYERS[0], upsample=name in POOL_AFTER) for name in reversed(LAYERS)]
    return Network(encoder, decoder)


def _behind_colour_layer(conv: Conv, matrix: Array, offset: Array) -> Conv:
    """``conv`` of (matrix @ x + offset) as one layer. This is exact, because reflection padding only repeats pixels."""
    weights = np.einsum("oikl,ij->ojkl", conv.weights, matrix)
    return Conv(weights, conv.bias + np.einsum("oikl,i->o", conv.weights, offset), conv.relu, conv.upsample, conv.pool)


def save_random(path: Path, widths: Sequence[int] = WIDTHS_16X, seed: int = 7) -> None:
    """Write a ``.safetensors`` pair of these widths with He-initialised weights, scaled to give pictures of 0..1."""
    from safetensors.numpy import save_file

    rng = np.random.default_rng(seed)
    tensors = {
        "encoder.conv0.weight": (np.eye(3)[::-1] * 4).reshape(3, 3, 1, 1),
        "encoder.conv0.bias": np.array([-1.6, -1.8, -1.9]),
    }
    for name, inner, outer in zip(LAYERS, (3, *widths[:-1]), widths, strict=True):
        for side, outputs, inputs in (("encoder", outer, inner), ("decoder", inner, outer)):
            last = side == "decoder" and name == LAYERS[0]
            gain = 0.1 if last else np.sqrt(2)
            weights = rng.standard_normal((outputs, inputs, 3, 3)) * gain / np.sqrt(9 * inputs)
            tensors[f"{side}.{name}.weight"] = weights
            tensors[f"{side}.{name}.bias"] = rng.standard_normal(outputs) * 0.05 + 0.5 * last
    facts = {"facts": json.dumps({"settings": "random weights for the benchmark"})}
    save_file({name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}, path, facts)


# --- an engine model, back to floating point --------------------------------------------------------------------------------


def from_fnst(data: bytes) -> Network:
    """The float network that an AdaIN model quantises; ValueError for other models."""
    model = reading.from_bytes(data)
    if not isinstance(model, modelfile.AdainFile):
        raise ValueError("not an AdaIN pair")
    return float_network(model)
