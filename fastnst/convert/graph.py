"""Trained generators as graphs of the engine's nodes, in floating point: what they are, and what they make of a picture.

:class:`~fastnst.convert.builder.Builder` makes them of named tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fastnst.format.graphfile import STEP

EPSILON = 1e-5
"""Added to variances by instance norms."""


@dataclass(frozen=True)
class FloatConv:
    """A convolution of map ``source`` to the new map ``target``.

    Attributes:
        weight: float64 [O, I, k, k], of form ``depthwise`` [C, 1, k, k]; ``transposed`` by PyTorch's rule, but [O, I, k, k].
        bias: float64 [O], or of form ``transposed`` also one for each phase, [O, 4] in the order of the file.
        border: what is beyond the edges: ``constant``, or as in :data:`~fastnst.format.graphfile.BORDERS`.
        gap: how many of the I channels are no one's; see :func:`joined`.
        outside: what a constant border is: of the picture, for instance, -1 if the network puts zeros around black.
    """

    source: int
    target: int
    weight: Tensor
    bias: Tensor
    stride: int = 1
    form: str = "full"
    border: str = "constant"
    gap: int = 0
    outside: float = 0.0

    @property
    def reach(self) -> int:
        """Pixels that windows go beyond the edges of the source."""
        return 1 if self.form == "transposed" else (self.weight.shape[-1] - 1) // 2


@dataclass(frozen=True)
class FloatAffine:
    """Instance norm or nothing, a factor and a summand for each channel, a (leaky) ReLU or nothing, and the addition of another
    map.

    Attributes:
        wide: whether the engine keeps the result in 16 bits.
        addend: number of the map that is added; 0 for none.
        gain, shift: the factors and summands, float64 [C], or [styles, C]; None for 1 and 0.
        limits: what the result is clipped to, from 0 or below to 0 or above. Not if it is ``wide``.
        epsilon: of the instance norm.
    """

    source: int
    target: int
    normalises: bool = False
    negative: float = 1.0
    wide: bool = False
    addend: int = 0
    gain: Tensor | None = None
    shift: Tensor | None = None
    limits: tuple[float, float] | None = None
    epsilon: float = EPSILON

    @property
    def styles(self) -> int:
        """How many it tells apart; 0 if it is the same in all."""
        return max(len(each) if each is not None and each.ndim > 1 else 0 for each in (self.gain, self.shift))


@dataclass(frozen=True)
class FloatPaint:
    """The picture, -1..1.

    Attributes:
        curve: from numbers to it, a name in :data:`CURVES`;
        gain, shift: what that is multiplied by, above 0, and what is then added.
    """

    source: int
    curve: str = "tanh"
    gain: float = 1.0
    shift: float = 0.0

    def of(self, x: Tensor) -> Tensor:
        """The picture of numbers."""
        return (CURVES[self.curve].of(x) * self.gain + self.shift).clamp(-1, 1)

    def inverse(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """The numbers that make values of a picture; infinite where none do."""
        return CURVES[self.curve].inverse((y - self.shift) / self.gain)


@dataclass(frozen=True)
class Curve:
    """A rising function to pictures, what it takes to reach ``y`` between -1 and 1, and how far 16 bits have to hold its
    argument: somewhat beyond where its byte no longer changes."""

    of: Callable[[Tensor], Tensor]
    inverse: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    reach: float


CURVES = {
    "tanh": Curve(torch.tanh, lambda y: np.arctanh(y.clip(-1, 1)), 4.0),
    "clamp": Curve(lambda x: x.clamp(-1, 1), lambda y: y, 1.25),
}


FloatNode: TypeAlias = FloatConv | FloatAffine | FloatPaint


def bordered(x: Tensor, conv: FloatConv, outside: float) -> Tensor:
    """``x`` with what windows see beyond its edges."""
    pad = (conv.reach,) * 4
    if conv.border == "constant" or not conv.reach:
        return F.pad(x, pad, value=outside)
    return F.pad(x, pad, mode="reflect" if conv.border == "reflected" else "replicate")


def convolve(frame: Tensor, conv: FloatConv, weight: Tensor) -> Tensor:
    """The sums of ``conv`` with this ``weight``, without bias, over a bordered map [N, I, H, W]."""
    if conv.form == "transposed":
        out = F.conv_transpose2d(frame, weight.transpose(0, 1), stride=2)
        height, width = (2 * (side - 2) for side in frame.shape[2:])
        return out[..., 3 : 3 + height, 3 : 3 + width]  # row i of the frame, i - 1 of the map, reaches rows 2 (i - 1) - 1 + k
    groups = len(weight) if conv.form == "depthwise" else 1
    return F.conv2d(frame, weight, stride=conv.stride, groups=groups)


def biased(sums: Tensor, bias: Tensor) -> Tensor:
    """``sums`` [N, O, H, W] and ``bias`` [O], or [O, 4] of the phases of a transposed convolution."""
    if bias.ndim == 1:
        return sums + bias[:, None, None]
    return sums + bias.reshape(1, -1, 2, 2).repeat(1, 1, sums.shape[2] // 2, sums.shape[3] // 2)


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Maps [N, C, H, W] in one: each but the first begins at the next multiple of 16 channels."""
    result = parts[0]
    for part in parts[1:]:
        gap = result.new_zeros(len(result), -result.shape[1] % STEP, *result.shape[2:])
        result = torch.cat([result, gap, part], 1)
    return result


def _like(values: Tensor | None, x: Tensor) -> Tensor | None:
    return None if values is None else values.to(x.dtype)


def affine(x: Tensor, node: FloatAffine, gain: Tensor | None, shift: Tensor | None) -> Tensor:
    """What an affine node makes of a map [N, C, H, W] before its sum, with these numbers [C] of one style."""
    if node.normalises:
        x = F.instance_norm(x, weight=gain, bias=shift, eps=node.epsilon)
    else:
        x = x if gain is None else x * gain[:, None, None]
        x = x if shift is None else x + shift[:, None, None]
    if node.negative < 1:
        x = F.leaky_relu(x, node.negative)
    return x.clamp(*node.limits) if node.limits else x


def float_node(node: FloatNode, maps: dict[int, Tensor]) -> Tensor:
    """What a node makes of float maps [N, C, H, W], the picture -1..1 as map 0."""
    x = maps[node.source]
    if isinstance(node, FloatConv):
        sums = convolve(bordered(x, node, node.outside), node, node.weight.to(x.dtype))
        return biased(sums, node.bias.to(x.dtype))
    if isinstance(node, FloatPaint):
        return node.of(x)
    x = affine(x, node, _like(node.gain, x), _like(node.shift, x))
    return x + maps[node.addend] if node.addend else x


def keep(node: FloatConv | FloatAffine, made: Tensor, maps: dict[int, Tensor]) -> None:
    """Put what a node made where it belongs: into a new map, or behind what is there."""
    maps[node.target] = joined([maps[node.target], made]) if node.target in maps else made


def halvings_of(nodes: Sequence[FloatNode]) -> dict[int, int]:
    """How often the sides of each map are half those of the picture."""
    result = {0: 0}
    for node in nodes:
        if isinstance(node, FloatConv):
            change = -1 if node.form == "transposed" else node.stride - 1
            result[node.target] = result[node.source] + change
        elif isinstance(node, FloatAffine):
            result[node.target] = result[node.source]
    return result


def step_of(nodes: Sequence[FloatNode]) -> int:
    """What the sides of pictures must be multiples of."""
    return 1 << max(halvings_of(nodes).values())


def last_reads(nodes: Sequence[FloatNode]) -> dict[int, int]:
    """The last node, by its place, that reads each map."""
    last = {}
    for place, node in enumerate(nodes):
        last[node.source] = place
        if isinstance(node, FloatAffine) and node.addend:
            last[node.addend] = place
    return last


def without_unread(nodes: Sequence[FloatNode]) -> list[FloatNode]:
    """A graph without what the picture does not depend on, its maps numbered anew."""
    read, kept = set(), []
    for node in reversed(nodes):
        if isinstance(node, FloatPaint) or node.target in read:
            kept.append(node)
            read |= {node.source, node.addend if isinstance(node, FloatAffine) else 0}
    numbers, result = {0: 0}, list[FloatNode]()
    for node in reversed(kept):
        if isinstance(node, FloatPaint):
            result.append(replace(node, source=numbers[node.source]))
            continue
        target = numbers.setdefault(node.target, len(numbers))
        moved = replace(node, source=numbers[node.source], target=target)
        result.append(replace(moved, addend=numbers[moved.addend]) if isinstance(moved, FloatAffine) else moved)
    return result


def of_style(node: FloatNode, style: int) -> FloatNode:
    """The node as it is in one style."""
    if not isinstance(node, FloatAffine) or not node.styles:
        return node
    gain, shift = (each if each is None or each.ndim == 1 else each[style] for each in (node.gain, node.shift))
    return replace(node, gain=gain, shift=shift)


def run_float(nodes: Sequence[FloatNode], picture: Tensor, style: int = 0) -> Tensor:
    """The picture, -1..1, that a graph makes of another one [N, 3, H, W], -1..1."""
    maps, last = {0: picture}, last_reads(nodes)
    for place, node in enumerate(of_style(each, style) for each in nodes):
        made = float_node(node, maps)
        if isinstance(node, FloatPaint):
            return made
        keep(node, made, maps)
        maps = {number: x for number, x in maps.items() if last.get(number, 0) > place}
    raise AssertionError("a graph that paints nothing")
