"""What each operator of ONNX becomes: :data:`OPERATORS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fastnst.convert.onnx import elementwise
from fastnst.convert.onnx.convolutions import average, convolution
from fastnst.convert.onnx.resizing import resized, to_depth, to_space
from fastnst.convert.onnx.values import NOTHING, Value
from fastnst.convert.onnx.walk import Walk
from fastnst.convert.tensors import LayoutError
from fastnst.format.onnxreading import OnnxNode

MOST_PARTS = 32
"""Maps in one concatenation."""
MOST_PADS = 4
"""Pixels on a side."""
MODES = {"constant": "constant", "reflect": "reflected", "edge": "repeated"}


def _concatenation(walk: Walk, node: OnnxNode) -> Value:
    values = [walk.value(node, place) for place in range(len(node.inputs))]
    parts = tuple(part for value in values for part in value.parts)
    axis, count = node.get("axis", 1), len(parts)
    if not values or axis % 4 != (3 if values[0].last else 1) or count > MOST_PARTS:
        raise LayoutError(f"{node}: {count} maps on axis {axis}, expected up to {MOST_PARTS} on axis 1")
    if len({value.halvings for value in values}) > 1:
        raise LayoutError(f"{node} takes maps of different sizes")
    return replace(values[0], parts=parts)


def _pad(walk: Walk, node: OnnxNode) -> Value:
    x, mode = walk.value(node, 0, plain=False), node.word("mode", "constant")
    given = walk.constant(node, 1) if walk.graph.opset >= 11 else np.array(node.get("pads", [0]))
    outside = walk.constant(node, 2) if walk.graph.opset >= 11 else np.array(node.get("value", 0.0))
    pads, axes = [] if given is None else given.reshape(-1).tolist(), walk.constant(node, 3)
    named = list(range(4)) if axes is None else [axis % 4 for axis in axes.reshape(-1).tolist()]
    if len(pads) != 2 * len(named):
        raise LayoutError(f"{node}: pads {pads[:8]}, expected two for each dimension")
    before, behind = (dict.fromkeys(range(4), 0) | dict(zip(named, part, strict=True)) for part in _halves(pads))
    rows = 1 if x.last else 2
    sides = before[rows], before[rows + 1], behind[rows], behind[rows + 1]
    others = [each[axis] for each in (before, behind) for axis in range(4) if axis not in {rows, rows + 1}]
    if not any((*sides, *others)):
        return x
    if any(others) or not all(0 <= side <= MOST_PADS for side in sides) or x.pads != NOTHING:
        raise LayoutError(f"{node}: pads {pads[:8]}, expected up to {MOST_PADS} on the sides of the picture, and once")
    if mode not in MODES or (mode == "constant" and outside is not None and outside.any()):
        raise LayoutError(f"{node}: mode {mode} with a value; the engine takes reflect, edge and zeros")
    return replace(x, border=MODES[mode], pads=sides)


def _halves(values: list[int]) -> tuple[list[int], list[int]]:
    return values[: len(values) // 2], values[len(values) // 2 :]


def _transposed(walk: Walk, node: OnnxNode) -> Value:
    """Channels from the last dimension to the second one, or back."""
    x, order = walk.value(node, 0, end=True), node.get("perm", [3, 2, 1, 0])
    if order != ([0, 3, 1, 2] if x.last else [0, 2, 3, 1]):
        raise LayoutError(f"{node}: dimensions {order[:8]}, expected channels to come first or last")
    return replace(x, last=not x.last)


def _slice(walk: Walk, node: OnnxNode) -> Value:
    """What leaves its map as it is, or cuts off what the engine does itself."""
    x = walk.value(node, 0, end=True)
    for number, probe in enumerate(walk.probes):
        shape, old = walk.shape(x, probe).tolist(), walk.graph.opset < 10
        given = [
            np.array(node.get(name, [0])) if old else walk.sized(node, 1 + i, number)
            for i, name in enumerate(("starts", "ends"))
        ]
        starts, ends = ([] if each is None else each.reshape(-1).tolist() for each in given)
        axes, steps = (None, None) if old else (walk.constant(node, 3), walk.constant(node, 4))
        named = (
            node.get("axes", list(range(len(starts))))
            if old
            else range(len(starts))
            if axes is None
            else axes.reshape(-1).tolist()
        )
        fits = len(starts) == len(ends) == len(named) and (steps is None or bool((steps == 1).all()))
        if not fits or any(
            begin or not -4 <= axis < 4 or stop < shape[axis] for begin, stop, axis in zip(starts, ends, named, strict=True)
        ):
            raise LayoutError(f"{node}: cuts something off its map")
    return x


OPERATORS: dict[str, Callable[[Walk, OnnxNode], Value]] = {
    "Add": elementwise.arithmetic,
    "AveragePool": average,
    "BatchNormalization": elementwise.batch_norm,
    "Cast": elementwise.cast,
    "Clip": elementwise.clip,
    "Concat": _concatenation,
    "Conv": convolution,
    "ConvTranspose": convolution,
    "DepthToSpace": to_space,
    "DequantizeLinear": elementwise.quantiser,
    "Div": elementwise.arithmetic,
    "Dropout": elementwise.same,
    "Identity": elementwise.same,
    "InstanceNormalization": elementwise.instance_norm,
    "LeakyRelu": elementwise.relu,
    "Mul": elementwise.arithmetic,
    "Neg": elementwise.negation,
    "PRelu": elementwise.prelu,
    "Pad": _pad,
    "QuantizeLinear": elementwise.quantiser,
    "Relu": elementwise.relu,
    "Resize": resized,
    "Sigmoid": elementwise.end,
    "Slice": _slice,
    "SpaceToDepth": to_depth,
    "Sub": elementwise.arithmetic,
    "Sum": elementwise.total,
    "Tanh": elementwise.end,
    "Transpose": _transposed,
    "Upsample": resized,
}
