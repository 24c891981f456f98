"""Networks from ONNX files: a graph's nodes, one after another, through :class:`~fastnst.convert.builder.Builder`."""

from __future__ import annotations

from pathlib import Path

from fastnst.convert.builder import Builder, Numbers, Raw
from fastnst.convert.graph import FloatConv, FloatNode
from fastnst.convert.onnx.operators import OPERATORS
from fastnst.convert.onnx.walk import Walk
from fastnst.convert.tensors import LayoutError, Source, Tensors
from fastnst.convert.trained_generator import TrainedGenerator
from fastnst.format.onnxreading import read_graph
from fastnst.system.digest import file_digest


def read_network(path: Path, numbers: Numbers | None) -> tuple[TrainedGenerator, str, Source]:
    """The generator in an ONNX file, in words what it is, and the file.

    Args:
        numbers: how it writes pictures; None for -1..1, which only one that ends in Tanh says of itself.

    Raises:
        OSError: the file cannot be read.
        ValueError: one line about what is wrong with it.
    """
    try:
        graph = read_graph(path)
        if graph.channels not in {None, 3}:
            raise LayoutError(f"its input has {graph.channels} channels, expected 3")
        if numbers is None and not any(node.operator == "Tanh" for node in graph.nodes):
            raise LayoutError(
                "it does not end in Tanh, so --values has to say how it writes pictures: signed -1..1, unit 0..1, bytes 0..255"
            )
        tensors = Tensors({})
        walk = Walk(graph, Builder(tensors, numbers))
        nodes = walked(walk)
        convs = [node for node in nodes if isinstance(node, FloatConv)]
        trained = TrainedGenerator(nodes, "graph", len(convs[0].weight), tensors.parameters, {})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    what = f"ONNX graph of {len(convs)} convolutions, {trained.width} filters first"
    return trained, what, Source(path, {}, {}, file_digest(path))


def walked(walk: Walk) -> list[FloatNode]:
    """The whole graph; LayoutError says what is not possible, and at which node."""
    for node in walk.graph.nodes:
        if node.outputs[0] in walk.values or node.outputs[0] in walk.constants:  # a norm went along with its convolution
            continue
        if node.operator not in OPERATORS:
            raise LayoutError(f"{node} is of an operator that fastnst does not take; it takes {', '.join(sorted(OPERATORS))}")
        walk.values[node.outputs[0]] = OPERATORS[node.operator](walk, node)
    return _ended(walk)


def _ended(walk: Walk) -> list[FloatNode]:
    value, last = walk.values.get(walk.graph.output), walk.build.nodes[-1] if walk.build.nodes else None
    if value is None or value.pad or value.doubled or len(value.parts) > 1:
        raise LayoutError("the output is not what a convolution, or a Tanh behind one, makes")
    (part,) = value.parts
    plain = isinstance(part.raw, Raw) and not part.raw.norm and part.negative == 1
    if not plain or not isinstance(last, FloatConv) or last.target != part.raw.number:
        raise LayoutError("the output has to be what the last convolution, or a Tanh behind it, makes")
    if part.raw.channels != 3 or value.halvings:
        scale = f"1/{2**value.halvings} of" if value.halvings else "as large as"
        raise LayoutError(
            f"the output has {part.raw.channels} channels, its sides are {scale} the picture; expected 3, as large"
        )
    assert isinstance(part.raw, Raw)
    return walk.build.paint(part.raw, "tanh" if value.painted else "clamp")
