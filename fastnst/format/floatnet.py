"""The float network that an AdaIN model quantises, in real units: as NumPy arrays, for export and for other runtimes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnst.format.modelfile import AdainFile, Layer

Array = NDArray[Any]

LAYERS = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4", "conv4_1")
"""Of the encoder; the decoder has them backwards."""
EPS = 1e-5
MAP_STEP = 1 / 32
"""The step of the 8-bit maps between two layers; any positive number works, see :func:`float_network`."""


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
        """Of the features between encoder and decoder."""
        return len(self.encoder[-1].bias)

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(len(conv.bias) for conv in self.encoder)

    def named(self) -> Iterator[tuple[str, Conv]]:
        """All convolutions with their names in graphs and files."""
        yield from ((f"encoder{i}", conv) for i, conv in enumerate(self.encoder))
        yield from ((f"decoder{i}", conv) for i, conv in enumerate(self.decoder))


def float_network(model: AdainFile) -> Network:
    """The float network that an AdaIN model quantises: its weights and biases in real units, without the 8-bit maps between.

    A layer computes ``q = (bias + sum(w * p)) * multiplier + zero``. With map steps s_in, s_out and input zero z that is
    the real convolution ``W = w * multiplier * s_out / s_in``, ``B = (bias + z * sum(w)) * multiplier * s_out``. The file does
    not have the steps between two layers: with ReLU any choice gives the same function.
    """
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


def _real(layer: Layer, step_in: float, step_out: float, zero_in: int, last: bool) -> Conv:
    multiplier = layer.multiplier.astype(np.float64) * step_out
    quantised = layer.weights.astype(np.float64)
    bias = (layer.bias + zero_in * quantised.sum((-3, -2, -1))) * multiplier
    weights = np.moveaxis(quantised, -1, -3) * multiplier[..., None, None, None] / step_in
    if layer.weights.ndim > 4:  # by phases
        weights, bias = _unphased(weights), bias.mean(0)
    if last:
        bias = bias + layer.zero * step_out  # a picture's 0 is black, whatever level the layer calls zero
    return Conv(weights.astype(np.float32), bias.astype(np.float32), not last, layer.upsample, layer.pool != "none")


def _unphased(phases: Array) -> Array:
    """The 3x3 kernels [O, I, 3, 3] whose four phases are nearest to ``phases`` [4, O, I, 2, 2], each rounded on its own."""
    rows = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 1]], np.float64)  # both phases' taps from a kernel's three
    inverse = np.linalg.pinv(rows)
    _, outputs, inputs, _, _ = phases.shape
    taps = phases.reshape(2, 2, outputs, inputs, 2, 2).transpose(2, 3, 0, 4, 1, 5).reshape(outputs, inputs, 4, 4)
    return np.asarray(inverse @ taps @ inverse.T)


def trained_tensors(network: Network) -> dict[str, Array]:
    """The network's tensors as recipe `adain` names them; ``conv0``, which is folded into ``conv1_1``, does nothing.

    Raises:
        ValueError: its layers are not those of VGG-19 up to relu4_1.
    """
    if (len(network.encoder), len(network.decoder)) != (len(LAYERS), len(LAYERS)):
        raise ValueError(f"{len(network.encoder)} and {len(network.decoder)} layers, {len(LAYERS)} are expected of either side")
    named = {
        "encoder.conv0.weight": np.eye(3, dtype=np.float32)[:, :, None, None],
        "encoder.conv0.bias": np.zeros(3, np.float32),
    }
    for side, names in (("encoder", LAYERS), ("decoder", LAYERS[::-1])):
        for name, conv in zip(names, getattr(network, side), strict=True):
            named |= {f"{side}.{name}.weight": np.ascontiguousarray(conv.weights), f"{side}.{name}.bias": conv.bias}
    return named
