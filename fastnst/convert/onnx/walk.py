"""A graph of ONNX on its way through :class:`~fastnst.convert.builder.Builder`: :class:`Walk`.

Only what a convolution reads has to be bytes, and only what is added 16 bits on a common grid. So a map stays what its
convolution made, with what is still to be done to it (:class:`Value`), until a node needs it in one form or the other. Where
the engine needs the sums of a convolution and there are none, a convolution that changes nothing makes them
(:meth:`Walk.copied`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastnst.convert.builder import Builder, Level, Raw
from fastnst.convert.onnx.values import NOTHING, Border, Part, Value, then
from fastnst.convert.tensors import LayoutError
from fastnst.format.onnxreading import OnnxGraph, OnnxNode, shown

PROBES = ((3 << 11, 5 << 11), (7 << 11, 9 << 11))
"""Sides of pictures for which sizes are computed where the file leaves them free: multiples of all that halvings need."""


DOUBLED = (0.0, 1.0, 1.0)
"""Taps of :meth:`Walk.spread` that show each pixel twice."""


MOST = 1e20
"""What channels may be multiplied or shifted by."""
MOST_WEIGHTS = 1 << 26
"""Of a convolution that a file writes with fewer."""


def within(node: OnnxNode, *shape: int) -> tuple[int, ...]:
    """``shape`` if so many weights can be."""
    if prod(shape) > MOST_WEIGHTS:
        raise LayoutError(f"{node}: would take {prod(shape):,} weights")
    return shape


@dataclass
class Copy:
    """A map of bytes, and what is beyond its edges for those that read there; nobody does yet if None."""

    level: Level
    border: Border | None


@dataclass
class Walk:
    """The nodes of a graph on their way through a builder.

    Attributes:
        constants: all that are constant in it.
        tables: what depends on the style alone, [styles, ...].
        sizes: what depends on the sides of the picture, for each of ``probes``.
        trained: the constants that were taken as weights.
        quantisers: how many nodes QuantizeLinear were left out.
    """

    graph: OnnxGraph
    build: Builder
    constants: dict[str, NDArray[Any]]
    tables: dict[str, NDArray[Any]] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    copies: dict[tuple[object, ...], list[Copy]] = field(default_factory=dict)
    streams: dict[tuple[object, ...], Level] = field(default_factory=dict)
    pictures: dict[tuple[object, ...], Raw] = field(default_factory=dict)
    sizes: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    trained: set[str] = field(default_factory=set)
    quantisers: int = 0

    def __post_init__(self) -> None:
        self.values[self.graph.input] = Value((Part(Builder.picture),), last=self.graph.last)
        height, width = self.graph.sides
        self.probes = list(dict.fromkeys((height or free, width or other) for free, other in PROBES))

    def readers(self, name: str) -> list[OnnxNode]:
        """The nodes that read a value."""
        return [node for node in self.graph.nodes if name in node.inputs]

    @property
    def parameters(self) -> int:
        """How many numbers were taken as weights."""
        return sum((self.tables if name in self.tables else self.constants)[name].size for name in self.trained)

    def is_given(self, name: str) -> bool:
        """Whether a value is constant, or depends on the style alone."""
        return name in self.constants or name in self.tables

    def value(self, node: OnnxNode, place: int, *, plain: bool = True, end: bool = False) -> Value:
        """An input that is a map.

        Args:
            plain: with nothing around it and not upsampled.
            end: it may be what only the end can be.
        """
        name = node.inputs[place] if place < len(node.inputs) else ""
        if not name or name not in self.values:
            raise LayoutError(f"{node}: its input {shown(name)} is no map, or made for something else")
        value = self.values[name]
        if value.end and not end:
            raise LayoutError(f"{node} reads what {value.end} has made; this {value.end} can only be the end")
        if plain and value.pads != NOTHING:
            raise LayoutError(f"{node} stands behind a Pad, where there can only be a convolution")
        return self.spread(node, value, DOUBLED) if plain and value.doubled else value

    def constant(self, node: OnnxNode, place: int) -> NDArray[Any] | None:
        """An input that is constant; None if it is left out."""
        name = node.inputs[place] if place < len(node.inputs) else ""
        if not name:
            return None
        if name not in self.constants:
            styled = ", the same in all styles" if name in self.tables else ""
            raise LayoutError(f"{node}: its input {shown(name)} has to be constant{styled}")
        return self.constants[name]

    def sized(self, node: OnnxNode, place: int, probe: int) -> NDArray[Any] | None:
        """An input that is constant, or for one of the pictures that are thought of; None if it is left out."""
        name = node.inputs[place] if place < len(node.inputs) else ""
        return self.sizes[name][probe] if name in self.sizes else self.constant(node, place)

    def channelwise(self, node: OnnxNode, place: int, value: Value) -> Tensor | None:
        """An input that is a constant for each channel of ``value``, or one for all, float64 [C] or [1], or such for each
        style; None if it is none."""
        if place >= len(node.inputs) or not self.is_given(node.inputs[place]):
            return None
        array, rows = self._given(node.inputs[place])
        own = array.shape[rows:]
        shape = [1] * (4 - len(own)) + list(own)
        axis = 3 if value.last else 1
        others = [side for place, side in enumerate(shape) if place != axis]
        if len(shape) != 4 or others != [1, 1, 1] or shape[axis] not in {1, value.channels}:
            raise LayoutError(f"{node}: a constant of shape {list(own)[:8]}, expected a number for each channel")
        return torch.from_numpy(array.astype(np.float64).reshape(*array.shape[:rows], -1))

    def vector(self, node: OnnxNode, place: int) -> Tensor:
        """An input that is a constant of weights, float64 [C], or [styles, C]."""
        name = node.inputs[place] if place < len(node.inputs) else ""
        if name not in self.tables:
            return self.tensor(node, place, 1)
        array = self.tables[name]
        if array.ndim != 2:
            raise LayoutError(f"{node}: its input {place + 1} has {array.ndim - 1} dimensions, expected 1")
        self.trained.add(name)
        return torch.from_numpy(array.astype(np.float64))

    def _given(self, name: str) -> tuple[NDArray[Any], int]:
        """A constant or a table, and how many dimensions of it are for styles."""
        return (self.tables[name], 1) if name in self.tables else (self.constants[name], 0)

    def tensor(self, node: OnnxNode, place: int, rank: int) -> Tensor:
        """An input that is a constant of weights, float64."""
        array = self.constant(node, place)
        if array is None or array.ndim != rank:
            what = "is missing" if array is None else f"has {array.ndim} dimensions, expected {rank}"
            raise LayoutError(f"{node}: its input {place + 1} {what}")
        self.trained.add(node.inputs[place])
        return torch.from_numpy(array.astype(np.float64))

    def shape(self, value: Value, probe: tuple[int, int]) -> NDArray[np.int64]:
        """The shape of a map for a picture of these sides."""
        sides = [-(-side >> value.halvings) << value.doubled for side in probe]
        height, width = (side + value.pads[i] + value.pads[i + 2] for i, side in enumerate(sides))
        shape = [1, height, width, value.channels] if value.last else [1, value.channels, height, width]
        return np.array(shape, np.int64)

    def level(self, node: OnnxNode, value: Value, border: Border | None, depthwise: bool = False) -> Level:
        """The map in bytes. One whose edges are gone beyond in two ways is written twice."""
        parts = value.parts
        bare = len(parts) == 1 and parts[0].plain and parts[0].raw.number == 0
        if not bare:
            parts = tuple(self._unpictured(part) for part in parts)
        if len(parts) > 1 and border and border[0] == "constant" and not all(self._from_zero(part) for part in parts):
            return self.level(node, self.copied(node, value), border, depthwise)  # so that one byte stands for 0 in all
        kept = self.copies.setdefault((*(part.key for part in parts), depthwise), [])
        for copy in kept:
            if border is None or copy.border in {None, border}:
                copy.border = copy.border or border
                return copy.level
        if bare and kept:
            return self.level(node, replace(value, parts=(Part(self._raw_picture(parts[0])),)), border, depthwise)
        level = Builder.picture if bare else None
        for part in parts if level is None else ():
            level = self._affine(part, behind=level)
        assert level is not None
        kept.append(Copy(level, border))
        return level

    def stream(self, node: OnnxNode, part: Part) -> Level:
        """A part in 16 bits on the grid of what is added."""
        part = self._unpictured(part)
        if isinstance(part.raw, Level) and part.plain:
            return part.raw
        key = part.key
        if key not in self.streams:
            if part.limits:  # only bytes are clipped
                part = self.copied(node, Value((part,))).parts[0]
            self.streams[key] = self._affine(part, wide=True)
        return self.streams[key]

    def may_read_picture(self, border: Border | None) -> bool:
        """Whether a convolution can read the picture itself; all that do agree on what is beyond its edges."""
        kept = self.copies.get((Part(Builder.picture).key, False), [])
        return border != ("none", 0.0) and all(border is None or copy.border in {None, border} for copy in kept)

    def beyond(self, part: Part) -> float | None:
        """Which number of the picture becomes 0 in a part that it is multiplied and shifted to; None if none does in all
        channels."""
        if part.shift is None:
            return 0.0
        outside = -part.shift if part.gain is None else -part.shift / part.gain
        low, high = (float(each) for each in outside.aminmax())
        numbers = self.build.numbers
        same = high - low <= 1e-4 * (numbers.high - numbers.low) and numbers.low <= low <= high <= numbers.high
        return (low + high) / 2 if same else None

    def added(self, node: OnnxNode, a: Value, b: Value) -> Value:
        """The sum of two maps: one is in 16 bits already, or is brought there; the other is added where it is written."""
        if a.halvings != b.halvings:
            raise LayoutError(f"{node} takes maps of different sizes")
        if a.channels != b.channels:
            raise LayoutError(f"{node} adds maps of {a.channels} and {b.channels} channels")
        first, second = (self._unpictured(self.joined(node, each).parts[0]) for each in (a, b))
        if isinstance(first.raw, Level) or first.key in self.streams or first.limits:
            first, second = second, first
        addend = self.stream(node, second)
        if first.limits:
            first = Part(self.stream(node, first))
        return Value((Part(self._affine(first, wide=True, addend=addend)),), a.halvings, last=a.last)

    def scaled(self, node: OnnxNode, value: Value, gain: Tensor, shift: Tensor) -> Value:
        """``value`` times ``gain`` plus ``shift``, float64 [C] or [1], or that for each style."""
        if not all(bool((each.abs() < MOST).all()) for each in (gain, shift)):
            raise LayoutError(f"{node}: numbers beyond {MOST:g}")
        if value.pads != NOTHING and value.border == "constant" and bool((shift != 0).any()):
            raise LayoutError(f"{node} stands behind a Pad, where there can only be a convolution")
        if value.end:
            if gain.numel() > 1 or shift.numel() > 1 or not gain.item() > 0:
                raise LayoutError(f"{node}: what {value.end} has made takes one factor above 0, and one summand")
            g, s = gain.item(), shift.item()
            limits = None if value.limits is None else (value.limits[0] * g + s, value.limits[1] * g + s)
            return replace(value, gain=value.gain * g, shift=value.shift * g + s, limits=limits)
        widths = [part.raw.channels for part in value.parts]
        gains, shifts = (torch.split(each.expand(*each.shape[:-1], sum(widths)), widths, -1) for each in (gain, shift))
        parts = (self._scaled(node, *each) for each in zip(value.parts, gains, shifts, strict=True))
        return replace(value, parts=tuple(parts))

    def activated(self, value: Value, negative: float) -> Value:
        """``value`` through a (leaky) ReLU, which leaves zeros around it as they are."""

        def through(part: Part) -> Part:
            limits = part.limits and (part.limits[0] * negative, part.limits[1])
            return replace(part, negative=part.negative * negative, limits=limits)

        return replace(value, parts=tuple(through(part) for part in value.parts))

    def clipped(self, value: Value, low: float, high: float) -> Value:
        """``value`` clipped to numbers between which 0 is."""

        def through(part: Part) -> Part:
            before = part.limits or (low, high)
            return replace(part, limits=(max(low, before[0]), min(high, before[1])))

        return replace(value, parts=tuple(through(part) for part in value.parts))

    def copied(self, node: OnnxNode, value: Value) -> Value:
        """The same as what a convolution makes that changes nothing, of bytes."""
        within(node, value.channels, value.channels)
        level, eye = self.level(node, value, None), torch.eye(value.channels, dtype=torch.float64)
        return replace(value, parts=(Part(self.build.convolve(level, eye[:, :, None, None], None)),))

    def spread(self, node: OnnxNode, value: Value, taps: Sequence[float], border: str = "constant") -> Value:
        """``value`` doubled: each pixel to the rows from one before its own two on, times ``taps``; columns likewise."""
        level = self.level(node, replace(value, doubled=False), (border, 0.0))
        within(node, value.channels, value.channels, len(taps), len(taps))
        square = torch.outer(*[torch.tensor(taps, dtype=torch.float64)] * 2)
        weight = torch.eye(value.channels, dtype=torch.float64)[:, :, None, None] * square
        raw = self.build.convolve(level, weight, None, stride=2, form="transposed", border=border)
        if not value.halvings:
            raise LayoutError(f"{node}: a map that is larger than the picture")
        return replace(value, parts=(Part(raw),), halvings=value.halvings - 1, doubled=False)

    def joined(self, node: OnnxNode, value: Value) -> Value:
        """``value`` in one part."""
        return value if len(value.parts) == 1 else self.copied(node, value)

    def _affine(self, part: Part, wide: bool = False, addend: Level | None = None, behind: Level | None = None) -> Level:
        raw = part.raw
        if part.gain is not None or part.shift is not None:
            raw = raw if isinstance(raw, Raw) else Raw(raw.number, raw.channels)
            gain, shift = then((raw.gain, raw.shift), (part.gain, part.shift))
            raw = replace(raw, gain=gain, shift=shift)
        return self.build.affine(raw, part.negative, wide=wide, addend=addend, behind=behind, limits=part.limits)

    def _unpictured(self, part: Part) -> Part:
        """A part that is no longer the picture itself, which only one kind of convolution can read."""
        if part.raw.number:
            return part
        if part.styled:
            return replace(part, raw=self._raw_picture(Part(part.raw)))
        return Part(self._raw_picture(part), part.negative, limits=part.limits)

    def _raw_picture(self, part: Part) -> Raw:
        key = replace(part, negative=1.0, limits=None).key
        if key not in self.pictures:
            gain = torch.ones(3, dtype=torch.float64) if part.gain is None else part.gain
            self.pictures[key] = self.build.convolve(Builder.picture, torch.diag(gain)[:, :, None, None], part.shift)
        return self.pictures[key]

    @staticmethod
    def _from_zero(part: Part) -> bool:
        """Whether the least byte stands for 0."""
        return part.negative == 0 or (part.limits is not None and part.limits[0] == 0)

    def _scaled(self, node: OnnxNode, part: Part, gain: Tensor, shift: Tensor) -> Part:
        rises, moves = bool((gain > 0).all()), bool((shift != 0).any())
        limits, (g, s) = part.limits, (each.flatten()[0].item() for each in (gain, shift))
        if limits:
            limits = limits[0] * g + s, limits[1] * g + s
        alike = bool((gain == g).all() and (shift == s).all())
        fits = limits is None or (alike and limits[0] <= 0 <= limits[1])
        if not part.linear and not (rises and fits and (part.negative == 1 or not moves)):
            part, limits = Part(self.stream(node, part)), None
        changed = then((part.gain, part.shift), (None if alike and g == 1 else gain, shift if moves else None))
        return replace(part, gain=changed[0], shift=changed[1], limits=limits)
