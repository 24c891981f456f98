"""A graph of ONNX on its way through :class:`~fastnst.convert.builder.Builder`: :class:`Walk`.

Only what a convolution reads has to be bytes, and only what is added 16 bits on a common grid. So a map stays what its
convolution made, with what is still to be done to it (:class:`Value`), until a node needs it in one form or the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastnst.convert.builder import Builder, Level, Raw
from fastnst.convert.tensors import LayoutError
from fastnst.format.onnxreading import OnnxGraph, OnnxNode, shown


@dataclass(frozen=True)
class Part:
    """A map of 16 bits, or the picture, and the (leaky) ReLU that it is to go through."""

    raw: Raw | Level
    negative: float = 1.0

    @property
    def key(self) -> tuple[int, float]:
        return self.raw.number, self.negative


@dataclass(frozen=True)
class Value:
    """What a node made.

    Attributes:
        parts: more than one if it is a concatenation.
        halvings: how often its sides are half those of the picture.
        border, pad: what a Pad put around it, and how many pixels of that.
        doubled: by nearest upsampling, before the border.
        end: the operator that made it, if it can only be the end: Tanh, Sigmoid or Clip.
    """

    parts: tuple[Part, ...]
    halvings: int = 0
    border: str = "constant"
    pad: int = 0
    doubled: bool = False
    end: str = ""

    @property
    def channels(self) -> int:
        return sum(part.raw.channels for part in self.parts)


@dataclass
class Copy:
    """A map of bytes, and what is beyond its edges for those that read there; nobody does yet if None."""

    level: Level
    border: str | None


@dataclass
class Walk:
    """The nodes of a graph on their way through a builder; ``constants`` are all that are constant in it."""

    graph: OnnxGraph
    build: Builder
    constants: dict[str, NDArray[Any]]
    values: dict[str, Value] = field(default_factory=dict)
    copies: dict[tuple[object, ...], list[Copy]] = field(default_factory=dict)
    streams: dict[tuple[int, float], Level] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values[self.graph.input] = Value((Part(Builder.picture),))
        self.readers: dict[str, list[OnnxNode]] = {}
        for node in self.graph.nodes:
            for name in filter(None, node.inputs):
                self.readers.setdefault(name, []).append(node)

    def value(self, node: OnnxNode, place: int, *, plain: bool = True) -> Value:
        """An input that is a map; ``plain``: with nothing around it and not upsampled."""
        name = node.inputs[place] if place < len(node.inputs) else ""
        if not name or name not in self.values:
            raise LayoutError(f"{node}: its input {shown(name)} is no map, or made for something else")
        value = self.values[name]
        if value.end:
            raise LayoutError(f"{node} reads what {value.end} has made; this {value.end} can only be the end")
        if plain and (value.pad or value.doubled):
            raise LayoutError(f"{node} stands behind a Pad or an upsampling, where there can only be a convolution")
        return value

    def constant(self, node: OnnxNode, place: int) -> NDArray[Any] | None:
        """An input that is constant; None if it is left out."""
        name = node.inputs[place] if place < len(node.inputs) else ""
        if not name:
            return None
        if name not in self.constants:
            raise LayoutError(f"{node}: its input {shown(name)} has to be constant")
        return self.constants[name]

    def tensor(self, node: OnnxNode, place: int, rank: int) -> Tensor:
        """An input that is a constant of weights, float64."""
        array = self.constant(node, place)
        if array is None or array.ndim != rank:
            what = "is missing" if array is None else f"has {array.ndim} dimensions, expected {rank}"
            raise LayoutError(f"{node}: its input {place + 1} {what}")
        return torch.from_numpy(array.astype(np.float64))

    def only_reader(self, name: str) -> OnnxNode | None:
        """The node that alone reads a value."""
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and name != self.graph.output else None

    def level(self, node: OnnxNode, value: Value, border: str | None, depthwise: bool) -> Level:
        """The map in bytes. One whose edges are gone beyond in two ways is written twice."""
        key = (*(part.key for part in value.parts), depthwise)
        kept = self.copies.setdefault(key, [])
        for copy in kept:
            if border is None or copy.border in {None, border}:
                copy.border = copy.border or border
                return copy.level
        pictures = [part for part in value.parts if part.raw.number == 0]
        if pictures and (kept or value.parts != (Part(Builder.picture),)):
            raise LayoutError(f"{node} needs the picture with other borders than before, activated, or beside other maps")
        if len(value.parts) > 1 and border == "constant" and any(part.negative for part in value.parts):
            raise LayoutError(f"{node} puts zeros around a concatenation of maps that are not all behind a ReLU")
        level = Builder.picture if pictures else None
        for part in value.parts if level is None else ():
            level = self.build.affine(part.raw, part.negative, behind=level)
        assert level is not None
        kept.append(Copy(level, border))
        return level

    def stream(self, node: OnnxNode, value: Value) -> Level:
        """The map in 16 bits on the grid of what is added."""
        (part,) = self.single(node, value).parts
        if isinstance(part.raw, Level) and part.negative == 1:
            return part.raw
        if part.key not in self.streams:
            self.streams[part.key] = self.build.affine(part.raw, part.negative, wide=True)
        return self.streams[part.key]

    def single(self, node: OnnxNode, value: Value) -> Value:
        """``value`` if a node can take it as 16 bits."""
        if len(value.parts) > 1 or value.parts[0].raw.number == 0:
            what = "a concatenation" if len(value.parts) > 1 else "the picture itself"
            raise LayoutError(f"{node} reads {what}, which only convolutions can")
        return value
