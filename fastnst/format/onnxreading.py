"""ONNX files as they are: nodes and constants, checked so far that nothing else has to ask whether they are well formed.

Nothing is read outside the file. What nodes mean, :mod:`fastnst.convert.onnx` knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, ValueInfoProto, defs, helper

Array = NDArray[Any]

OLDEST = 7
"""The opset from which on a batch norm is that of inference, as in all later ones."""
MOST_BYTES = 2**31 - 1
"""Of a protobuf message."""
MOST_PIXELS = 1 << 24
"""To a side of a picture."""
WHOLE = {TensorProto.INT32, TensorProto.INT64}
KINDS: dict[int, tuple[str, str]] = {
    TensorProto.FLOAT: ("<f4", "float_data"),
    TensorProto.DOUBLE: ("<f8", "double_data"),
    TensorProto.FLOAT16: ("<f2", "int32_data"),
    TensorProto.INT32: ("<i4", "int32_data"),
    TensorProto.BOOL: ("?", "int32_data"),
    TensorProto.INT8: ("i1", "int32_data"),
    TensorProto.UINT8: ("u1", "int32_data"),
    TensorProto.INT64: ("<i8", "int64_data"),
}
"""Of tensors that are read: their type in NumPy, and the field that holds them where the raw bytes do not."""


def named(value: str | bytes) -> str:
    """A name in a file. What is no UTF-8, protobuf gives as bytes."""
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")


def plain(text: str) -> str:
    """Words from a file, fit for one line."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:80]) + (".." if len(text) > 80 else "")


def shown(name: str) -> str:
    """A name from a file in quotes, fit for one line."""
    return f"'{plain(name)}'"


@dataclass(frozen=True)
class OnnxNode:
    """A node of a graph.

    Attributes:
        name: its own, or that of what it makes.
        attributes: numbers, words (bytes), lists of them, and arrays.
    """

    operator: str
    name: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.operator} {shown(self.name)}"

    def get(self, name: str, default: Any) -> Any:
        """An attribute of the type of ``default``, lists of the type of its items; ValueError if it is of another one."""
        value = self.attributes.get(name, default)
        listed = isinstance(default, list)
        kinds = {type(each) for each in value} if isinstance(value, list) else {type(value)}
        if isinstance(value, list) != listed or not kinds <= {type(default[0]) if listed else type(default)}:
            raise ValueError(f"{self}: its attribute {name} is of a wrong type")
        return value

    def word(self, name: str, default: str) -> str:
        """An attribute that is a word."""
        return plain(self.get(name, default.encode()).decode("utf-8", "replace"))


@dataclass(frozen=True)
class StyleInput:
    """An input that chooses a style.

    Attributes:
        shape: with 1 for what the file leaves free.
        whole: it is the number of a style; otherwise it is the weights of all.
    """

    name: str
    shape: tuple[int, ...]
    whole: bool


@dataclass(frozen=True)
class OnnxGraph:
    """A graph from one picture to another.

    Attributes:
        nodes: those that the output depends on, each after those that it reads.
        constants: the initialisers that they read, by their names.
        channels: of the input; None if the file does not say.
        sides: its height and width; None for what the file leaves free.
        last: whether its channels are its last dimension, not its second one.
        style: the input beside it, if there is one.
    """

    nodes: Sequence[OnnxNode]
    constants: dict[str, Array]
    input: str
    output: str
    opset: int
    channels: int | None
    sides: tuple[int | None, int | None] = (None, None)
    last: bool = False
    style: StyleInput | None = None


def read_graph(path: Path) -> OnnxGraph:
    """The graph in a file.

    Raises:
        OSError: it cannot be read.
        ValueError: one line about what is wrong with it, without the file's name.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ValueError("larger than ONNX files can be")
    try:
        model = ModelProto.FromString(path.read_bytes())
    except DecodeError:
        raise ValueError("no ONNX file, or a damaged one") from None
    graph = model.graph
    if not graph.node:
        raise ValueError("no ONNX file, or one whose graph is empty")
    opset = next((each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}), 0)
    if opset < OLDEST:
        raise ValueError(f"opset {opset} of ONNX; {OLDEST} is the first that fastnst reads")
    if graph.sparse_initializer:
        raise ValueError("sparse tensors, which fastnst does not read")
    constants = {named(tensor.name): tensor for tensor in graph.initializer}
    inputs = [each for each in graph.input if named(each.name) not in constants]
    style = next((each for each in inputs if _may_choose(each)), None) if len(inputs) == 2 else None
    pictures = [each for each in inputs if each is not style]
    for kind, values, wanted in (("input", inputs, pictures), ("output", graph.output, graph.output)):
        if len(wanted) != 1:
            listed = ", ".join(named(each.name) for each in values[:3]) + (", .." if len(values) > 3 else "")
            chosen = ", and at most the number or the weights of a style beside it" if len(inputs) > 1 else ""
            raise ValueError(f"{len(values)} {kind}s ({listed or 'none'}), expected one picture{chosen}")
    inputs = pictures
    source, output = named(inputs[0].name), named(graph.output[0].name)
    chooses = None if style is None else _style_input(style)
    nodes = needed(_nodes(graph), output, {*constants, source, *([] if chooses is None else [chooses.name])})
    for node in nodes:
        _check_inputs(node, opset)
    dims = [each.dim_value if 0 < each.dim_value < MOST_PIXELS else None for each in inputs[0].type.tensor_type.shape.dim]
    last = len(dims) == 4 and dims[1] != 3 and dims[3] == 3
    channels, height, width = ((dims[3], *dims[1:3]) if last else dims[1:]) if len(dims) == 4 else (None, None, None)
    read = {name for node in nodes for name in node.inputs}
    arrays = {name: array_of(tensor) for name, tensor in constants.items() if name in read}
    return OnnxGraph(nodes, arrays, source, output, opset, channels, (height, width), last, chooses)


def _may_choose(value: ValueInfoProto) -> bool:
    """Whether an input can be the number or the weights of a style: it has at most two dimensions."""
    kind = value.type.tensor_type
    return kind.HasField("shape") and len(kind.shape.dim) <= 2 and kind.elem_type in {*WHOLE, TensorProto.FLOAT}


def _style_input(value: ValueInfoProto) -> StyleInput:
    kind = value.type.tensor_type
    shape = tuple(max(1, min(int(each.dim_value), MOST_PIXELS)) for each in kind.shape.dim)
    return StyleInput(named(value.name), shape, kind.elem_type in WHOLE)


def array_of(tensor: TensorProto) -> Array:
    """A tensor's numbers, all finite.

    Raises:
        ValueError: they are in another file, of a type that is not read, or not as many as its shape says.
    """
    name = f"tensor {shown(named(tensor.name))}"
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise ValueError(f"{name} is in another file: save the network as one file, onnx.save(onnx.load(FILE), ONE)")
    if tensor.data_type not in KINDS:
        raise ValueError(f"{name} is of type {tensor.data_type} of ONNX, expected floating-point or whole numbers")
    kind, field = KINDS[tensor.data_type]
    if tensor.raw_data:
        length = len(tensor.raw_data)
        if length % np.dtype(kind).itemsize:
            raise ValueError(f"{name} holds {length} bytes, which are no whole count of numbers")
        values = np.frombuffer(tensor.raw_data, kind)
    elif kind == "<f2":  # as their bits
        values = (np.array(tensor.int32_data, np.int64) & 0xFFFF).astype("<u2").view(kind)
    else:
        values = np.array(getattr(tensor, field), kind)
    shape = list(tensor.dims)
    if min(shape, default=1) < 0 or prod(shape) != len(values):
        raise ValueError(f"{name} has shape {shape[:8]} and holds {len(values)} numbers")
    if len(shape) > 8:
        raise ValueError(f"{name} has {len(shape)} dimensions")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinity")
    return values.reshape(shape)


def _nodes(graph: GraphProto) -> list[OnnxNode]:
    nodes = []
    for node in graph.node:
        inputs, outputs = [named(each) for each in node.input], [named(each) for each in node.output]
        name = named(node.name) or next(iter(outputs), "")
        domain = "" if node.domain in {"", "ai.onnx"} else f"{named(node.domain)}."
        operator = plain(domain + named(node.op_type))
        attributes = {named(each.name): _attribute(each) for each in node.attribute}
        nodes.append(OnnxNode(operator, name, inputs, outputs, attributes))
    return nodes


def _check_inputs(node: OnnxNode, opset: int) -> None:
    """ValueError if an input that its operator must have is left out. Operators that ONNX does not know are named later."""
    if not defs.has(node.operator):
        return
    try:
        operator = defs.get_schema(node.operator, opset)
    except defs.SchemaError:  # of a later opset than the file says
        operator = defs.get_schema(node.operator)
    for place, wanted in enumerate(operator.inputs):
        if wanted.option == defs.OpSchema.FormalParameterOption.Single and not any(node.inputs[place : place + 1]):
            raise ValueError(f"{node}: its input {wanted.name} is left out")


def _attribute(attribute: AttributeProto) -> Any:
    """Its value; a tensor stays as it is, for most are of nodes that are not needed; None for a graph and the like."""
    read = {"INT", "INTS", "FLOAT", "FLOATS", "STRING", "STRINGS", "TENSOR"}
    kinds = {AttributeProto.AttributeType.Value(kind) for kind in read}
    return helper.get_attribute_value(attribute) if attribute.type in kinds and not attribute.ref_attr_name else None


def needed(nodes: Sequence[OnnxNode], output: str, known: set[str]) -> list[OnnxNode]:
    """The nodes that ``output`` depends on; ValueError if one reads what no node before it has made, as in a cycle."""
    made_by: dict[str, int] = {}
    for place, node in enumerate(nodes):
        for name in node.outputs:
            if name and (name in made_by or name in known):
                raise ValueError(f"{node} makes {shown(name)}, which there is already")
            made_by[name] = place
    if output not in made_by:
        raise ValueError(f"no node makes the output {shown(output)}")
    wanted, left = {made_by[output]}, [made_by[output]]
    while left:
        place = left.pop()
        for name in filter(None, nodes[place].inputs):
            if name in known:
                continue
            maker = made_by.get(name, place)
            if maker >= place:
                raise ValueError(f"{nodes[place]} reads {shown(name)}, which no node before it makes")
            if maker not in wanted:
                wanted.add(maker)
                left.append(maker)
    return [nodes[place] for place in sorted(wanted)]
