"""The network that every runtime gets: float weights as NumPy arrays, from any kind of file.

``conv0``, the fixed 1x1 colour layer, is folded into the next layer for all runtimes. The engine's converter does that, and a
careful export for another runtime would do it too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnst.format import modelfile, reading

Array = NDArray[Any]

LAYERS = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4", "conv4_1")
POOL_AFTER = frozenset({"conv1_2", "conv2_2", "conv3_4"})
WIDTHS_16X = (16, 16, 32, 32, 64, 64, 64, 64, 128)
EPS = 1e-5
MAP_STEP = 1 / 32
"""The step of the 8-bit maps between two layers of a ``.fnst`` file; any positive number works, see :func:`from_fnst`."""


@dataclass(frozen=True)
class Conv:
    """A convolution after reflection padding of (k - 1) / 2: weights [O, I, k, k], bias [O], both float32."""

    weights: Array
    bias: Array
    relu: bool = True
    upsample: bool = False  # nearest x2 before the padding
    pool: bool = False  # 2x2 maximum after the ReLU


@dataclass(frozen=True)
class Network:
    """An AdaIN pair."""

    encoder: Sequence[Conv]
    decoder: Sequence[Conv]

    @property
    def channels(self) -> int:
        """The number of channels of the features between encoder and decoder."""
        return len(self.encoder[-1].bias)

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(len(conv.bias) for conv in self.encoder)

    def named(self) -> Iterator[tuple[str, Conv]]:
        """All convolutions with their names in graphs and files."""
        yield from ((f"encoder{i}", conv) for i, conv in enumerate(self.encoder))
        yield from ((f"decoder{i}", conv) for i, conv in enumerate(self.decoder))

    def save(self, path: Path) -> None:
        """Write an ``.npz`` that :func:`load` reads."""
        arrays: dict[str, Array] = {}
        for name, conv in self.named():
            arrays[f"{name}.weights"], arrays[f"{name}.bias"] = conv.weights, conv.bias
            arrays[f"{name}.flags"] = np.array([conv.relu, conv.upsample, conv.pool])
        np.savez(path, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> Network:
    """Read a network that :meth:`Network.save` wrote."""
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
    """The float network that a ``.fnst`` file quantises: its weights and biases in real units, without the 8-bit maps between.

    A layer computes ``q = (bias + sum(w * p)) * multiplier + zero``. With map steps s_in, s_out and input zero z that is
    the real convolution ``W = w * multiplier * s_out / s_in``, ``B = (bias + z * sum(w)) * multiplier * s_out``. The file does
    not have the steps between two layers: with ReLU any choice gives the same function.
    """
    model = reading.from_bytes(data)
    if not isinstance(model, modelfile.AdainFile):
        raise ValueError("not an AdaIN pair")
    pixel = 1 / 255
    encoder_steps = [pixel, *[MAP_STEP] * (len(model.encoder) - 1), model.feature_scale]
    decoder_steps = [model.decoder_scale, *[MAP_STEP] * (len(model.decoder) - 1), pixel]
    encoder_zeros = [0, *(layer.zero for layer in model.encoder)]
    decoder_zeros = [model.decoder_zero, *(layer.zero for layer in model.decoder)]
    encoder = [_real(layer, *encoder_steps[i : i + 2], encoder_zeros[i], last=False) for i, layer in enumerate(model.encoder)]  # type: ignore[arg-type, call-arg, misc]
    decoder = [
        _real(layer, *decoder_steps[i : i + 2], decoder_zeros[i], last=i == len(model.decoder) - 1)  # type: ignore[arg-type, call-arg, misc]
        for i, layer in enumerate(model.decoder)
    ]
    return Network(encoder, decoder)


def _real(layer: modelfile.Layer, step_in: float, step_out: float, zero_in: int, last: bool) -> Conv:
    multiplier = layer.multiplier.astype(np.float64) * step_out
    quantised = layer.weights.astype(np.float64)
    bias = (layer.bias + zero_in * quantised.sum((-3, -2, -1))) * multiplier
    weights = np.moveaxis(quantised, -1, -3) * multiplier[..., None, None, None] / step_in
    if layer.weights.ndim > 4:  # by phases
        weights, bias = _unphased(weights), bias.mean(0)
    if last:
        bias = bias + layer.zero * step_out  # 0 of a picture is black, whatever the zero of the layer is
    return Conv(weights.astype(np.float32), bias.astype(np.float32), not last, layer.upsample, layer.pool != "none")


def _unphased(phases: Array) -> Array:
    """The 3x3 kernels [O, I, 3, 3] whose four phases are nearest to ``phases`` [4, O, I, 2, 2], rounded separately."""
    rows = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 1]], np.float64)  # both phases' taps from a kernel's three
    inverse = np.linalg.pinv(rows)
    _, outputs, inputs, _, _ = phases.shape
    taps = phases.reshape(2, 2, outputs, inputs, 2, 2).transpose(2, 3, 0, 4, 1, 5).reshape(outputs, inputs, 4, 4)
    return np.asarray(inverse @ taps @ inverse.T)
