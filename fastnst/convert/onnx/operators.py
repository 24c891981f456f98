"""What each operator of ONNX becomes: :data:`OPERATORS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from fastnst.convert.builder import Level
from fastnst.convert.onnx.convolutions import convolution
from fastnst.convert.onnx.ending import LARGEST, bounds
from fastnst.convert.onnx.resizing import doubles
from fastnst.convert.onnx.walk import Part, Value, Walk
from fastnst.convert.tensors import LayoutError
from fastnst.format.onnxreading import OnnxNode

MOST_PARTS = 32
"""Maps in one concatenation."""
MODES = {"constant": "constant", "reflect": "reflected", "edge": "repeated"}


def _activation(walk: Walk, node: OnnxNode) -> Value:
    x = walk.value(node, 0, plain=False)
    negative = node.get("alpha", 0.01) if node.operator == "LeakyRelu" else 0.0
    if not 0 <= negative <= 1:
        raise LayoutError(f"{node}: alpha {negative:g}, expected 0 to 1")
    if x.pad and x.border != "constant":
        raise LayoutError(f"{node} stands behind a Pad, where there can only be a convolution")
    return replace(x, parts=tuple(replace(part, negative=part.negative * negative) for part in x.parts))


def _end(walk: Walk, node: OnnxNode) -> Value:
    return replace(walk.value(node, 0), end=node.operator)


def _clip(walk: Walk, node: OnnxNode) -> Value:
    """A ReLU, or the end: from black to white or further, for what is beyond is clipped anyway."""
    low, high = bounds(node, walk.graph.opset, walk.constants)
    if low == 0 and high >= LARGEST:
        return _activation(walk, node)
    numbers = walk.build.numbers
    if not (low <= numbers.low and numbers.high <= high):
        ends = f"{numbers.low:g} to {numbers.high:g}"
        raise LayoutError(f"{node}: {low:g} to {high:g}; the engine clips from 0 on, or at the end all that is not {ends}")
    return _end(walk, node)


def _same(walk: Walk, node: OnnxNode) -> Value:
    training = walk.constant(node, 2) if node.operator == "Dropout" else None
    if training is not None and training.any():
        raise LayoutError(f"{node}: dropout in training")
    return walk.value(node, 0, plain=False)


def _sum(walk: Walk, node: OnnxNode) -> Value:
    """One addend is in 16 bits already, or is brought there; the other is added where it is written."""
    if len(node.inputs) != 2:
        raise LayoutError(f"{node}: {len(node.inputs)} inputs, expected 2")
    if any(name in walk.constants for name in node.inputs):
        raise LayoutError(f"{node} adds a constant, which only the bias of a convolution can be")
    a, b = (walk.single(node, walk.value(node, place)) for place in (0, 1))
    _agree(node, [a, b])
    if a.channels != b.channels:
        raise LayoutError(f"{node} adds maps of {a.channels} and {b.channels} channels")
    if isinstance(a.parts[0].raw, Level) or a.parts[0].key in walk.streams:
        a, b = b, a
    addend = walk.stream(node, b)
    (part,) = a.parts
    return Value((Part(walk.build.affine(part.raw, part.negative, wide=True, addend=addend)),), a.halvings)


def _concatenation(walk: Walk, node: OnnxNode) -> Value:
    values = [walk.value(node, place) for place in range(len(node.inputs))]
    parts = tuple(part for value in values for part in value.parts)
    if node.get("axis", 1) not in {1, -3} or not 0 < len(parts) <= MOST_PARTS:
        raise LayoutError(f"{node}: {len(parts)} maps on axis {node.get('axis', 1)}, expected up to {MOST_PARTS} on axis 1")
    _agree(node, values)
    return Value(parts, values[0].halvings)


def _agree(node: OnnxNode, values: Sequence[Value]) -> None:
    if len({value.halvings for value in values}) > 1:
        raise LayoutError(f"{node} takes maps of different sizes")


def _pad(walk: Walk, node: OnnxNode) -> Value:
    x, mode = walk.value(node, 0, plain=False), node.word("mode", "constant")
    given = walk.constant(node, 1) if walk.graph.opset >= 11 else np.array(node.get("pads", [0]))
    outside = walk.constant(node, 2) if walk.graph.opset >= 11 else np.array(node.get("value", 0.0))
    pads = [] if given is None else given.reshape(-1).tolist()
    axes = walk.constant(node, 3)
    if axes is not None and axes.size * 2 == len(pads) == 4 and sorted(axes % 4) == [2, 3]:
        pads = [0, 0, *pads[:2], 0, 0, *pads[2:]]
    sides = [*pads[2:4], *pads[6:8]]
    if len(pads) != 8 or any((*pads[:2], *pads[4:6])) or len(set(sides)) != 1 or not 0 <= sides[0] <= 4 or x.pad:
        raise LayoutError(f"{node}: pads {pads[:8]}, expected the same up to 4 on all four sides, and once")
    if mode not in MODES or (mode == "constant" and outside is not None and outside.any()):
        raise LayoutError(f"{node}: mode {mode} with a value; the engine takes reflect, edge and zeros")
    return replace(x, border=MODES[mode], pad=int(sides[0]))


def _doubling(walk: Walk, node: OnnxNode) -> Value:
    x = walk.value(node, 0)
    place = 1 if node.operator == "Upsample" or walk.graph.opset < 11 else 2
    given = walk.constant(node, place)
    if given is None:
        given = np.array(node.get("scales", [0.0]))
    if given.reshape(-1).tolist() != [1, 1, 2, 2] or not doubles(node, walk.graph.opset):
        mode = node.word("mode", "nearest")
        raise LayoutError(
            f"{node}: mode {mode}, scales {given.reshape(-1).tolist()[:4]}; the engine takes nearest by 1, 1, 2, 2"
        )
    return replace(x, doubled=True)


def _norm(_walk: Walk, node: OnnxNode) -> Value:
    raise LayoutError(f"{node} does not stand right behind a convolution that nothing else reads")


OPERATORS: dict[str, Callable[[Walk, OnnxNode], Value]] = {
    "Add": _sum,
    "BatchNormalization": _norm,
    "Clip": _clip,
    "Concat": _concatenation,
    "Conv": convolution,
    "ConvTranspose": convolution,
    "Dropout": _same,
    "Identity": _same,
    "InstanceNormalization": _norm,
    "LeakyRelu": _activation,
    "Pad": _pad,
    "Relu": _activation,
    "Resize": _doubling,
    "Sigmoid": _end,
    "Tanh": _end,
    "Upsample": _doubling,
}
