"""Networks from ONNX files: a graph's nodes, one after another, through :class:`~fastnst.convert.builder.Builder`."""

from __future__ import annotations

from pathlib import Path

from fastnst.convert.builder import Builder, Numbers
from fastnst.convert.graph import FloatConv, FloatNode
from fastnst.convert.onnx.constants import constants_of
from fastnst.convert.onnx.ending import ended, numbers_of
from fastnst.convert.onnx.operators import OPERATORS
from fastnst.convert.onnx.walk import Walk
from fastnst.convert.tensors import LayoutError, Source, Tensors
from fastnst.convert.trained_generator import TrainedGenerator
from fastnst.format.onnxreading import read_graph
from fastnst.system.digest import file_digest


def read_network(path: Path, numbers: Numbers | None) -> tuple[TrainedGenerator, str, Source]:
    """The generator in an ONNX file, in words what it is, and the file.

    Args:
        numbers: how it reads and writes pictures; without it, what it ends in has to tell. Tanh and Sigmoid make all from black
            to white, whatever the numbers are.

    Raises:
        OSError: the file cannot be read.
        ValueError: one line about what is wrong with it.
    """
    try:
        graph = read_graph(path)
        if graph.channels not in {None, 3}:
            raise LayoutError(f"its input has {graph.channels} channels, expected 3")
        tensors, constants = Tensors({}), constants_of(graph)
        walk = Walk(graph, Builder(tensors, numbers or numbers_of(graph, constants)), constants)
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
    return ended(walk)
