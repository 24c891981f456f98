"""Networks in ONNX files, whatever their layout: read as they compute, and built of what the engine has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from fastnst.convert.builder import Builder, Numbers
from fastnst.convert.graph import FloatConv, without_unread
from fastnst.convert.onnx.constants import Array, constants_of
from fastnst.convert.onnx.ending import ended, numbers_of, written
from fastnst.convert.onnx.operators import OPERATORS
from fastnst.convert.onnx.sizes import sized
from fastnst.convert.onnx.spelt import with_norms
from fastnst.convert.onnx.styles import with_tables
from fastnst.convert.onnx.walk import Walk
from fastnst.convert.tensors import LayoutError, Source, Tensors
from fastnst.convert.trained_generator import TrainedGenerator
from fastnst.format.onnxreading import OnnxGraph, read_graph
from fastnst.system.digest import file_digest


def read_network(path: Path, numbers: Numbers | None) -> tuple[TrainedGenerator, str, Source]:
    """The generator in an ONNX file, in words what it is, and the file.

    Args:
        numbers: how it reads and writes pictures; without it, what it ends in has to tell. Tanh and Sigmoid make all from black
            to white, whatever the numbers are, unless something multiplies them.

    Raises:
        OSError: the file cannot be read.
        ValueError: one line about what is wrong with it, or about the first node that is not possible.
    """
    try:
        found = generator_of(read_graph(path), numbers)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return found.trained, found.what, Source(path, {}, {}, file_digest(path))


@dataclass(frozen=True)
class Found:
    """The generator of a graph, and in words what it is.

    Attributes:
        read, written: black and white in the pictures that it takes, and in those that it makes.
        exact: it computes what the graph does; false if quantisers were left out.
    """

    trained: TrainedGenerator
    what: str
    read: Numbers
    written: Numbers
    exact: bool


def generator_of(graph: OnnxGraph, numbers: Numbers | None) -> Found:
    """The generator of a graph; errors as of :func:`read_network`, without the file's name."""
    if graph.channels not in {None, 3}:
        raise LayoutError(f"its input has {graph.channels} channels, expected 3")
    constants = constants_of(graph)
    graph = replace(graph, nodes=[node for node in graph.nodes if node.outputs[0] not in constants])
    graph, tables = with_tables(graph, constants)
    graph, constants, tables = with_norms(graph, constants, tables)
    if numbers is None:
        numbers = numbers_of(walked(graph, Numbers(), constants, tables))
    walk = walked(graph, numbers, constants, tables)
    nodes = without_unread(ended(walk))  # of some maps only the size is read
    convs = [node for node in nodes if isinstance(node, FloatConv)]
    trained = TrainedGenerator(nodes, "graph", len(convs[0].weight), walk.parameters, {})
    left = f", {walk.quantisers} quantisers left out" if walk.quantisers else ""
    styles = f", {trained.styles} styles" if trained.styles else ""
    what = f"ONNX graph of {len(convs)} convolutions, {trained.width} filters first{styles}{left}"
    return Found(trained, what, numbers, written(walk), exact=not walk.quantisers)


def walked(graph: OnnxGraph, numbers: Numbers, constants: dict[str, Array], tables: dict[str, Array]) -> Walk:
    """The walk when it is through all nodes; LayoutError says what is not possible, and at which node."""
    walk = Walk(graph, Builder(Tensors({}), numbers), dict(constants), tables)
    for node in graph.nodes:
        if node.outputs[0] in walk.constants or sized(walk, node):
            continue
        if node.operator not in OPERATORS:
            raise LayoutError(f"{node} is of an operator that fastnst does not take; it takes {', '.join(sorted(OPERATORS))}")
        walk.values[node.outputs[0]] = OPERATORS[node.operator](walk, node)
    return walk
