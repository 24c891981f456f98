"""Trained networks in the form that the engine computes them: ``conv0`` folded, upsampling as phase convolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastnst.convert.tensors import LayoutError, read_source
from fastnst.networks.adain import LAYERS
from fastnst.networks.vgg import POOL_AFTER


@dataclass(frozen=True)
class Conv:
    """One float convolution in the engine's form.

    Attributes:
        weight: float64 [P, O, I, k, k]; P = 4 phases of 2x2 after an upsampling, otherwise 1.
        bias: float64 [O].
    """

    weight: Tensor
    bias: Tensor
    relu: bool = True
    upsample: bool = False
    pool: str = "none"


@dataclass(frozen=True)
class Pair:
    """A trained pair, and what its file says about its making."""

    encoder: list[Conv]
    decoder: list[Conv]
    parameters: int
    facts: dict[str, Any]

    @property
    def widths(self) -> list[int]:
        return [conv.weight.shape[1] for conv in self.encoder]


def expected_shapes(layers: Sequence[str], tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors of an encoder of ``layers`` and its decoder, as wide as their biases in ``tensors`` say.

    Widths are free on either side, for channels that never speak may have been removed; only where encoder and decoder meet are
    they the same.
    """

    def width(name: str) -> int:
        return max(tensors[name].numel(), 1) if name in tensors else 1

    shapes: dict[str, tuple[int, ...]] = {"encoder.conv0.weight": (3, 3, 1, 1), "encoder.conv0.bias": (3,)}
    inner = 3
    for side, names in (("encoder", layers), ("decoder", layers[::-1])):
        for name in names:
            outer = 3 if (side, name) == ("decoder", layers[0]) else width(f"{side}.{name}.bias")
            shapes |= {f"{side}.{name}.weight": (outer, inner, 3, 3), f"{side}.{name}.bias": (outer,)}
            inner = outer
    return shapes


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a file in float64, and what it says of itself; errors of :func:`~fastnst.convert.tensors.read_source`."""
    source = read_source(path)
    return {name: x.double() for name, x in source.tensors.items()}, source.facts


def check_shapes(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], where: str = "") -> None:
    """Raise LayoutError, whose words begin with ``where``, unless ``tensors`` are those of ``shapes``, all and no others."""
    for name in sorted(shapes.keys() | tensors.keys()):
        if name not in shapes:
            raise LayoutError(f"{where}unexpected tensor {name}")
        if name not in tensors:
            raise LayoutError(f"{where}tensor {name} is missing")
        if tuple(tensors[name].shape) != shapes[name]:
            raise LayoutError(f"{where}{name} has shape {list(tensors[name].shape)}, expected {list(shapes[name])}")


def load_pair(source: Path) -> Pair:
    """Read a pair as ``fastnst train adain`` leaves it in ``final.safetensors``; ValueError, one line, if it is none."""
    tensors, facts = read_tensors(source)
    try:
        return pair_of(tensors, facts)
    except LayoutError as error:
        raise ValueError(f"{source}: not a trained AdaIN pair: {error}") from None


def pair_of(tensors: Mapping[str, Tensor], facts: dict[str, Any]) -> Pair:
    """The pair of tensors ``encoder.conv1_1.weight`` and so on; LayoutError if they are none."""
    for name in LAYERS:
        if tensors.get(f"encoder.{name}.weight", torch.zeros(())).ndim != 4:
            raise LayoutError(f"no 4-dimensional tensor encoder.{name}.weight")
    check_shapes(tensors, expected_shapes(LAYERS, tensors))
    return engine_form(tensors, LAYERS, facts)


def engine_form(tensors: Mapping[str, Tensor], layers: Sequence[str], facts: dict[str, Any], last_relu: bool = False) -> Pair:
    """The pair with the tensors ``encoder.{layer}.weight`` and so on, checked before, for the engine.

    Args:
        layers: of the encoder, in its order.
        last_relu: whether a ReLU follows the decoder's last layer. Pictures have nothing below 0 in any case.
    """
    conv0, bias0 = tensors["encoder.conv0.weight"][:, :, 0, 0], tensors["encoder.conv0.bias"]

    def conv(side: str, name: str) -> Conv:
        weight, bias = tensors[f"{side}.{name}.weight"], tensors[f"{side}.{name}.bias"]
        if side == "decoder":
            upsample = name in POOL_AFTER
            relu = last_relu or name != layers[0]
            return Conv(phases_of(weight) if upsample else weight[None], bias, relu=relu, upsample=upsample)
        if name == layers[0]:
            # A 1x1 layer commutes with reflection padding, so its bias passes through all nine taps everywhere.
            bias = bias + torch.einsum("oikl,i->o", weight, bias0)
            weight = torch.einsum("oikl,ij->ojkl", weight, conv0)
        return Conv(weight[None], bias, pool="floor" if name in POOL_AFTER and name != layers[-1] else "none")

    encoder = [conv("encoder", name) for name in layers]
    decoder = [conv("decoder", name) for name in reversed(layers)]
    return Pair(encoder, decoder, sum(tensor.numel() for tensor in tensors.values()), facts)


def kernel_of(phases: Tensor) -> Tensor:
    """The 3x3 kernel [O, I, 3, 3] that ``phases`` [4, O, I, 2, 2] are of: the inverse of :func:`phases_of`."""

    def unfold(even: Tensor, odd: Tensor, dim: int) -> Tensor:
        (first, rest), (_, last) = even.unbind(dim), odd.unbind(dim)
        return torch.stack((first, rest - last, last), dim)

    return unfold(unfold(phases[0], phases[1], 3), unfold(phases[2], phases[3], 3), 2)


def phases_of(weight: Tensor) -> Tensor:
    """The four 2x2 kernels [4, O, I, 2, 2] that equal ``weight`` [O, I, 3, 3] after nearest x2 upsampling."""

    def fold(kernel: Tensor, dim: int, parity: int) -> Tensor:
        a, b, c = kernel.unbind(dim)
        return torch.stack((a, b + c) if parity == 0 else (a + b, c), dim)

    return torch.stack([fold(fold(weight, 2, row), 3, column) for row in (0, 1) for column in (0, 1)])
