"""What exporters leave to be computed from constants, such as the widths of borders: computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
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


def _sum(node: OnnxNode, inputs: Sequence[Array]) -> Array:
    data = inputs[0]
    axes = inputs[1].reshape(-1).tolist() if len(inputs) > 1 else node.get("axes", [0]) if "axes" in node.attributes else []
    if not axes:
        if node.get("noop_with_empty_axes", 0):
            return data
        axes = list(range(data.ndim))
    return np.asarray(data.sum(tuple(axes), keepdims=bool(node.get("keepdims", 1)), dtype=data.dtype))


def _gemm(node: OnnxNode, inputs: Sequence[Array]) -> Array:
    a, b = (each.T if node.get(name, 0) else each for each, name in zip(inputs[:2], ("transA", "transB"), strict=True))
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError("its inputs are no matrices")
    made = a @ b * np.float32(node.get("alpha", 1.0))
    return np.asarray(made if len(inputs) < 3 else made + inputs[2] * np.float32(node.get("beta", 1.0)))


def _split(node: OnnxNode, inputs: Sequence[Array]) -> Array:
    """The part that the attribute ``output`` says."""
    data, axis = inputs[0], node.get("axis", 0)
    sizes = inputs[1].tolist() if len(inputs) > 1 else node.get("split", [0]) if "split" in node.attributes else None
    parts = np.array_split(data, node.get("outputs", 1), axis) if sizes is None else np.split(data, np.cumsum(sizes)[:-1], axis)
    return np.asarray(parts[node.get("output", 0)])


def _flatten(node: OnnxNode, inputs: Sequence[Array]) -> Array:
    data, axis = inputs[0], node.get("axis", 1)
    return data.reshape(int(np.prod(data.shape[:axis], dtype=np.int64)), -1)


def _expand(_node: OnnxNode, inputs: Sequence[Array]) -> Array:
    data, shape = inputs
    sides = np.broadcast_shapes(data.shape, tuple(map(int, shape)))
    if np.prod(sides, dtype=np.float64) > MOST:
        raise ValueError("too large")
    return np.broadcast_to(data, sides)


def _product(_node: OnnxNode, inputs: Sequence[Array]) -> Array:
    a, b = inputs
    return np.asarray(a @ b)


COMPUTED: dict[str, Callable[[OnnxNode, Sequence[Array]], Array]] = {
    "Add": _whole(np.add),
    "Cast": _cast,
    "Ceil": lambda _, inputs: np.ceil(inputs[0]),
    "Concat": lambda node, inputs: np.concatenate(inputs, node.get("axis", 0)),
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "DequantizeLinear": _dequantised,
    "Div": _whole(lambda a, b: np.trunc(a / b) if a.dtype.kind == "i" else a / b),
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": lambda _, inputs: np.floor(inputs[0]),
    "Gather": _gather,
    "Gemm": _gemm,
    "Identity": lambda _, inputs: inputs[0],
    "MatMul": _product,
    "Max": _whole(np.maximum),
    "Min": _whole(np.minimum),
    "Mul": _whole(np.multiply),
    "QuantizeLinear": _quantised,
    "ReduceSum": _sum,
    "Reshape": _reshape,
    "Shape": lambda node, inputs: np.array(inputs[0].shape[node.get("start", 0) : node.get("end", 8)], np.int64),
    "Slice": _slice,
    "Split": _split,
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


def computed_all(node: OnnxNode, inputs: Sequence[Array]) -> dict[str, Array]:
    """As :func:`computed`, of nodes that make several things as well: by their names."""
    count = len(node.outputs)
    if count == 1:
        return {node.outputs[0]: computed(node, inputs)}
    each = (replace(node, attributes={**node.attributes, "output": place, "outputs": count}) for place in range(count))
    return {name: computed(own, inputs) for name, own in zip(node.outputs, each, strict=True) if name}


def constants_of(graph: OnnxGraph) -> dict[str, Array]:
    """All that is constant in a graph, by name; ValueError in one line if a node of it cannot be computed."""
    constants = dict(graph.constants)
    for node in graph.nodes:
        given = [name for name in node.inputs if name]
        if node.operator in COMPUTED and all(name in constants for name in given):
            constants |= computed_all(node, [constants[name] for name in given])
    return constants
