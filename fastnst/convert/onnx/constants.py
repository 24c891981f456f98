"""What exporters leave to be computed from constants, such as the widths of borders: computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from fastnst.format.onnxreading import KINDS, OnnxGraph, OnnxNode, array_of

Array = NDArray[Any]

MOST = 4096
"""Numbers that may be made from fewer: these are sizes and borders, not weights."""


def _constant(node: OnnxNode, _inputs: Sequence[Array]) -> Array:
    for name, kind in (
        ("value_int", np.int64),
        ("value_ints", np.int64),
        ("value_float", np.float32),
        ("value_floats", np.float32),
    ):
        if node.attributes.get(name) is not None:
            return np.asarray(node.attributes[name], kind)
    value = node.attributes.get("value")
    if not isinstance(value, TensorProto):
        raise ValueError("its value is of a type that fastnst does not read")
    return array_of(value)


def _filled(node: OnnxNode, inputs: Sequence[Array]) -> Array:
    value, (shape,) = node.attributes.get("value"), inputs
    fill = array_of(value).reshape(-1)[0] if isinstance(value, TensorProto) else np.float32(0)
    if shape.size > 8 or np.prod(shape, dtype=np.float64) > MOST:
        raise ValueError("too large")
    return np.full(shape.astype(np.int64), fill)


def _slice(node: OnnxNode, inputs: Sequence[Array]) -> Array:
    data, *given = inputs
    if not given:  # before opset 10
        given = [np.array(node.attributes[name]) for name in ("starts", "ends", "axes") if name in node.attributes]
    starts, ends = given[:2]
    axes = given[2] if len(given) > 2 else np.arange(len(starts))
    steps = given[3] if len(given) > 3 else np.ones(len(starts), np.int64)
    places: list[slice] = [slice(None)] * data.ndim
    for axis, *part in zip(axes, starts, ends, steps, strict=True):
        places[int(axis)] = slice(*map(int, part))
    result: Array = data[tuple(places)]
    return result


def _reshape(_node: OnnxNode, inputs: Sequence[Array]) -> Array:
    data, shape = inputs
    sides = [data.shape[place] if side == 0 else int(side) for place, side in enumerate(shape)]
    return data.reshape(sides)


def _unsqueeze(node: OnnxNode, inputs: Sequence[Array]) -> Array:
    axes = inputs[1].tolist() if len(inputs) > 1 else node.get("axes", [0])
    return np.expand_dims(inputs[0], tuple(axes))


def _whole(operate: Callable[[Array, Array], Array]) -> Callable[[OnnxNode, Sequence[Array]], Array]:
    """Arithmetic of two arrays of one type, which it leaves."""

    def compute(_node: OnnxNode, inputs: Sequence[Array]) -> Array:
        a, b = inputs
        return np.asarray(operate(a, b)).astype(a.dtype)

    return compute


def _gather(node: OnnxNode, inputs: Sequence[Array]) -> Array:
    data, places = inputs
    return np.take(data, places.astype(np.int64), node.get("axis", 0))


def _squeeze(node: OnnxNode, inputs: Sequence[Array]) -> Array:
    axes = inputs[1].reshape(-1).tolist() if len(inputs) > 1 else node.get("axes", [0]) if "axes" in node.attributes else None
    return np.squeeze(inputs[0], None if axes is None else tuple(axes))


def _along(node: OnnxNode, values: Array, rank: int) -> Array:
    """Scales or zero points, one or one for each place on an axis, in a shape that fits the numbers."""
    return values if values.size == 1 else values.reshape([-1 if i == node.get("axis", 1) % rank else 1 for i in range(rank)])


def _dequantised(node: OnnxNode, inputs: Sequence[Array]) -> Array:
    data, scale = inputs[:2]
    zero = inputs[2].astype(np.int64) if len(inputs) > 2 else np.zeros(1, np.int64)
    rank = max(data.ndim, 1)
    whole = data.astype(np.int64) - _along(node, zero, rank)
    made = whole.astype(np.float32) * _along(node, scale.astype(np.float32), rank)
    return made.reshape(data.shape).astype(np.float32)


def _quantised(node: OnnxNode, inputs: Sequence[Array]) -> Array:
    data, scale = inputs[:2]
    zero = inputs[2] if len(inputs) > 2 else np.zeros(1, np.uint8)
    if zero.dtype not in (np.int8, np.uint8):
        raise ValueError(f"a zero point of type {zero.dtype}, expected bytes")
    rank, ends = max(data.ndim, 1), np.iinfo(zero.dtype)
    steps = np.rint(data / _along(node, scale, rank)) + _along(node, zero.astype(np.float64), rank)
    return steps.clip(ends.min, ends.max).astype(zero.dtype).reshape(data.shape)


def _cast(node: OnnxNode, inputs: Sequence[Array]) -> Array:
    return inputs[0].astype(KINDS[node.get("to", 1)][0])


def _transpose(node: OnnxNode, inputs: Sequence[Array]) -> Array:
    (data,) = inputs
    return data.transpose(node.get("perm", list(range(data.ndim))[::-1] or [0]))


COMPUTED: dict[str, Callable[[OnnxNode, Sequence[Array]], Array]] = {
    "Add": _whole(np.add),
    "Cast": _cast,
    "Ceil": lambda _, inputs: np.ceil(inputs[0]),
    "Concat": lambda node, inputs: np.concatenate(inputs, node.get("axis", 0)),
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "DequantizeLinear": _dequantised,
    "Div": _whole(lambda a, b: np.trunc(a / b) if a.dtype.kind == "i" else a / b),
    "Floor": lambda _, inputs: np.floor(inputs[0]),
    "Gather": _gather,
    "Identity": lambda _, inputs: inputs[0],
    "Max": _whole(np.maximum),
    "Min": _whole(np.minimum),
    "Mul": _whole(np.multiply),
    "QuantizeLinear": _quantised,
    "Reshape": _reshape,
    "Shape": lambda node, inputs: np.array(inputs[0].shape[node.get("start", 0) : node.get("end", 8)], np.int64),
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sub": _whole(np.subtract),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}


def computed(node: OnnxNode, inputs: Sequence[Array]) -> Array:
    """What a node of :data:`COMPUTED` makes of constants; ValueError in one line if it cannot."""
    try:
        with np.errstate(all="raise", under="ignore"):
            result = np.asarray(COMPUTED[node.operator](node, inputs))
        if result.size > max(MOST, *(each.size for each in inputs), 0) and node.operator != "Constant":
            raise ValueError("too large")
    except (ArithmeticError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{node} cannot be computed: {str(error).splitlines()[0] if str(error) else 'its inputs are wrong'}"
        ) from None
    return result


def constants_of(graph: OnnxGraph) -> dict[str, Array]:
    """All that is constant in a graph, by name; ValueError in one line if a node of it cannot be computed."""
    constants = dict(graph.constants)
    for node in graph.nodes:
        given = [name for name in node.inputs if name]
        if node.operator in COMPUTED and all(name in constants for name in given):
            constants[node.outputs[0]] = computed(node, [constants[name] for name in given])
    return constants
