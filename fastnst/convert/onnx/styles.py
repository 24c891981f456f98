"""Networks of several styles: what a graph computes from the input that chooses one, as tables with a row for each style.

Such an input is weights, one for each style, by which the rows of tables are summed; or a whole number, by which they are
gathered. What depends on it alone is computed for one style after another. Weights are free to mix: they have to make of a
mixture the same mixture of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from fastnst.convert.onnx.constants import COMPUTED, Array, computed_all
from fastnst.convert.tensors import LayoutError
from fastnst.format.graphfile import MAX_STYLES
from fastnst.format.onnxreading import OnnxGraph, OnnxNode, StyleInput, shown

MOST_NUMBERS = 1 << 26
"""In all tables together."""
TOLERANCE = 1e-4
"""Of a mixture, relative to the largest number of its table: such sums are made in float32."""
PASSED_ON = {"Cast", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
"""Operators that leave a number what it is."""


def with_tables(graph: OnnxGraph, constants: Mapping[str, Array]) -> tuple[OnnxGraph, dict[str, Array]]:
    """The graph without the nodes that depend on the choice of a style alone, and what the others read of them, by name:
    [styles, ...].

    Raises:
        LayoutError: one line about an input that does not choose a style as is understood here.
    """
    style = graph.style
    if style is None:
        return graph, {}
    own: set[str] = {style.name}
    chain: list[OnnxNode] = []
    for node in graph.nodes:
        given = [name for name in node.inputs if name]
        if node.operator in COMPUTED and own.intersection(given) and all(name in own or name in constants for name in given):
            chain.append(node)
            own.update(node.outputs)
    rest = [node for node in graph.nodes if node.outputs[0] not in own]
    read = [name for name in dict.fromkeys(name for node in rest for name in node.inputs) if name in own]
    if not read:
        raise LayoutError(f"its input {shown(style.name)} chooses nothing")
    tables = _tables(style, _count(style, graph.nodes, constants), chain, constants, read)
    return replace(graph, nodes=rest), tables


def _tables(
    style: StyleInput, count: int, chain: Sequence[OnnxNode], constants: Mapping[str, Array], read: Sequence[str]
) -> dict[str, Array]:
    makers = {name: node for node in chain for name in node.outputs}
    choices: Array = np.arange(count) if style.whole else np.eye(count, dtype=np.float32)
    rows = []
    for choice in choices:
        rows.append(_values(style, choice, chain, constants, read))
        if count * sum(each.size for each in rows[-1]) > MOST_NUMBERS:
            raise LayoutError(f"its input {shown(style.name)} chooses among more than {MOST_NUMBERS:,} numbers")
    tables = {}
    for place, name in enumerate(read):
        if len({row[place].shape for row in rows}) > 1:
            raise LayoutError(f"{makers[name]} makes arrays of several shapes, by the choice of a style")
        tables[name] = np.stack([row[place] for row in rows])
    if not style.whole:
        parts = np.linspace(1, 3, count, dtype=np.float32)
        parts /= parts.sum()
        mixed = _values(style, parts, chain, constants, read)
        for name, made in zip(read, mixed, strict=True):
            table = tables[name].astype(np.float64)
            wanted = np.tensordot(parts.astype(np.float64), table, 1)
            if made.shape != wanted.shape or np.abs(made - wanted).max(initial=0) > TOLERANCE * max(
                np.abs(table).max(initial=0), 1e-12
            ):
                where = makers.get(name, shown(name))
                raise LayoutError(f"{where} makes of a mixture of styles another one than the weights say")
    return tables


def _values(
    style: StyleInput, choice: Array, chain: Sequence[OnnxNode], constants: Mapping[str, Array], read: Sequence[str]
) -> list[Array]:
    """What is read, for one choice."""
    known = {style.name: np.asarray(choice, np.int64 if style.whole else np.float32).reshape(style.shape)}
    for node in chain:
        inputs = [known[name] if name in known else constants[name] for name in node.inputs if name]
        known |= computed_all(node, inputs)
    return [known[name] for name in read]


def _count(style: StyleInput, nodes: Sequence[OnnxNode], constants: Mapping[str, Array]) -> int:
    """How many styles there are."""
    name = f"its input {shown(style.name)}"
    count = prod(style.shape)
    if style.whole:
        if count != 1:
            raise LayoutError(f"{name} is {count} whole numbers; one chooses a style")
        numbers, rows = {style.name}, []
        for node in nodes:
            if node.operator in PASSED_ON and node.inputs and node.inputs[0] in numbers:
                numbers.update(node.outputs)
            elif node.operator == "Gather" and node.inputs[1] in numbers and node.inputs[0] in constants:
                rows.append(constants[node.inputs[0]].shape[: 1 if node.get("axis", 0) == 0 else 0])
        if not rows or () in rows:
            raise LayoutError(f"{name} is a whole number, by which no Gather chooses among the rows of a constant")
        count = min(row[0] for row in rows)
    elif count == 1:
        raise LayoutError(f"{name} is one number, where weights of several styles could be")
    if not 1 <= count <= MAX_STYLES:
        raise LayoutError(f"{name} chooses one of {count} styles; {MAX_STYLES} are the most")
    return count
