"""Graphs of generators built from named tensors, as layouts do it: :class:`Builder`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fastnst.convert.graph import EPSILON, FloatAffine, FloatConv, FloatNode, FloatPaint
from fastnst.convert.tensors import LayoutError, Tensors
from fastnst.format.graphfile import STEP

UPSAMPLED = torch.tensor([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], dtype=torch.float64)
"""From the taps of a 3x3 convolution behind nearest upsampling by 2 to those of a transposed one of kernel 4; one dimension."""


@dataclass(frozen=True)
class Numbers:
    """How a network writes pictures, -1..1 and RGB unless stated.

    Attributes:
        low, high: black and white, such as 0 and 255.
        bgr: blue comes first.
    """

    low: float = -1.0
    high: float = 1.0
    bgr: bool = False

    @property
    def middle(self) -> float:
        return (self.high + self.low) / 2

    @property
    def half(self) -> float:
        """From the middle to white."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Raw:
    """What a convolution made: the number of its map, its channels, the instance norm that is to follow if there is one, and
    what its channels are then multiplied by, and what is added."""

    number: int
    channels: int
    norm: bool = False
    gain: Tensor | None = None
    shift: Tensor | None = None
    epsilon: float = EPSILON


@dataclass(frozen=True)
class Level:
    """A map that convolutions read: its number, and the parts that its channels were written in."""

    number: int
    parts: tuple[int, ...]

    @property
    def channels(self) -> int:
        return sum(self.parts)


class Builder:
    """Nodes of a graph on their way; every method takes the tensors of one layer.

    Args:
        tensors: of the network.
        numbers: how pictures are written in it.
    """

    def __init__(self, tensors: Tensors, numbers: Numbers | None = None) -> None:
        self.tensors, self.numbers = tensors, numbers or Numbers()
        self.nodes: list[FloatNode] = []
        self.maps = 1

    picture = Level(0, (3,))

    def conv(
        self,
        source: Level,
        name: str,
        kernel: int,
        *,
        stride: int = 1,
        form: str = "full",
        border: str = "constant",
        norm: str | None = None,
        outputs: int | None = None,
    ) -> Raw:
        """A convolution of ``source`` by tensors that have names, and the norm behind it.

        Args:
            name: of its ``weight`` and ``bias``.
            form: as in the file, or ``upsampled``: kernel 3 behind nearest upsampling by 2 and a border of one pixel.
            border: what is beyond the edges of the source, or of the upsampled one: ``constant`` zeros, ``reflected`` or
                ``repeated``.
            norm: the name of the norm's tensors. A batch norm, known by its running statistics, is folded. An instance norm may
                have a weight and a bias; running statistics that old programs saved with it are not used.
            outputs: how many there must be; any number without it.

        Raises:
            LayoutError: a tensor is missing or of another shape.
        """
        weight, bias = self._weights(source, name, kernel, form, outputs)
        raw = Raw(self.maps, len(weight))
        if norm is not None:
            weight, bias, raw = self._normalised(raw, weight, bias, norm)
        self.convolve(source, weight, bias, stride=stride, form=form, border=border)
        return raw

    def convolve(
        self,
        source: Level,
        weight: Tensor,
        bias: Tensor | None,
        *,
        stride: int = 1,
        form: str = "full",
        border: str = "constant",
        outside: float = 0.0,
    ) -> Raw:
        """A convolution of ``source``; arguments as of :meth:`conv` and :class:`~fastnst.convert.graph.FloatConv`.

        Args:
            outside: what a constant border is, in the network's numbers; of the picture, none that no picture has.
        """
        bias = weight.new_zeros(len(weight)) if bias is None else bias
        if source.number == 0:
            outside = (outside - self.numbers.middle) / self.numbers.half
            weight, bias = weight * self.numbers.half, bias + self.numbers.middle * weight.sum((1, 2, 3))
        if source.number == 0 and self.numbers.bgr:
            weight = weight.flip(1)
        gap = 0
        if len(source.parts) > 1:
            weight, gap = with_gap(weight, source.parts)
        if form == "upsampled":
            weight = torch.einsum("ka,lb,oiab->oikl", UPSAMPLED, UPSAMPLED, weight)
            # A reflected row of an upsampled map is the same as the one at the edge.
            form, border, stride = "transposed", "constant" if border == "constant" else "repeated", 2
        outside = outside if border == "constant" and weight.shape[-1] > 1 else 0.0
        self.nodes.append(FloatConv(source.number, self.maps, weight, bias, stride, form, border, gap, outside))
        self.maps += 1
        return Raw(self.maps - 1, len(weight))

    def affine(
        self,
        raw: Raw | Level,
        negative: float = 1.0,
        *,
        wide: bool = False,
        addend: Level | None = None,
        behind: Level | None = None,
        limits: tuple[float, float] | None = None,
    ) -> Level:
        """The norm of ``raw``, if it has one, its gain and shift, and a (leaky) ReLU; then the sum with ``addend``, or a place
        ``behind`` a map."""
        number = self.maps if behind is None else behind.number
        own = raw if isinstance(raw, Raw) else Raw(raw.number, raw.channels)
        added = addend.number if addend else 0
        self.nodes.append(
            FloatAffine(own.number, number, own.norm, negative, wide, added, own.gain, own.shift, limits, own.epsilon)
        )
        self.maps += behind is None
        return Level(number, (*(behind.parts if behind else ()), raw.channels))

    def paint(self, raw: Raw, curve: str, gain: float = 1.0, shift: float = 0.0) -> list[FloatNode]:
        """The picture, and so the whole graph.

        Args:
            curve: of :class:`~fastnst.convert.graph.FloatPaint`, as are ``gain`` and ``shift``.
        """
        conv = self.nodes[-1]
        assert isinstance(conv, FloatConv)
        if curve == "clamp":  # tanh makes -1..1 itself
            half = self.numbers.half
            conv = replace(conv, weight=conv.weight / half, bias=(conv.bias - self.numbers.middle) / half)
        if self.numbers.bgr:
            conv = replace(conv, weight=conv.weight.flip(0), bias=conv.bias.flip(0))
        self.nodes[-1] = conv
        self.nodes.append(FloatPaint(raw.number, curve, gain, shift))
        return self.nodes

    def _weights(self, source: Level, name: str, kernel: int, form: str, outputs: int | None) -> tuple[Tensor, Tensor | None]:
        """[O, I, k, k], and the bias if there is one."""
        sides = kernel, kernel
        if form == "transposed":
            weight = self.tensors.take(f"{name}.weight", source.channels, outputs, *sides).transpose(0, 1)
        elif form == "depthwise":
            weight = self.tensors.take(f"{name}.weight", source.channels, 1, *sides)
        else:
            weight = self.tensors.take(f"{name}.weight", outputs, source.channels, *sides)
        given = f"{name}.bias" in self.tensors
        return weight, self.tensors.take(f"{name}.bias", len(weight)) if given else None

    def _normalised(self, raw: Raw, weight: Tensor, bias: Tensor | None, norm: str) -> tuple[Tensor, Tensor | None, Raw]:
        """What becomes of a convolution and its raw map by the norm behind it.

        A convolution before a batch norm has no bias in published networks; those with both count their batches.
        """
        own, channels = self.tensors, raw.channels
        counted = f"{norm}.num_batches_tracked" in own
        own.drop([f"{norm}.num_batches_tracked"])
        if f"{norm}.weight" not in own:
            own.drop([f"{norm}.running_mean", f"{norm}.running_var"])
            return weight, bias, replace(raw, norm=True)
        gain, shift = (own.take(f"{norm}.{kind}", channels) for kind in ("weight", "bias"))
        if f"{norm}.running_mean" in own and (counted or bias is None):
            mean, variance = (own.take(f"{norm}.running_{kind}", channels) for kind in ("mean", "var"))
            if (variance < 0).any():
                raise LayoutError(f"{norm}.running_var holds negative numbers")
            own.parameters -= 2 * channels
            gain = gain / (variance + EPSILON).sqrt()
            begin = -mean if bias is None else bias - mean
            return weight * gain[:, None, None, None], begin * gain + shift, raw
        own.drop([f"{norm}.running_mean", f"{norm}.running_var"])
        return weight, bias, replace(raw, norm=True, gain=gain, shift=shift)


def with_gap(weight: Tensor, parts: Sequence[int]) -> tuple[Tensor, int]:
    """Weights [O, I, k, k] of a map whose parts begin at multiples of 16 channels, and how many channels are skipped."""
    made, at = weight[:, : parts[0]], parts[0]
    for width in parts[1:]:
        between = weight.new_zeros(len(weight), -made.shape[1] % STEP, *weight.shape[2:])
        made, at = torch.cat([made, between, weight[:, at : at + width]], 1), at + width
    return made, made.shape[1] - weight.shape[1]
