"""Instance norms spelt out as means, differences, squares and roots, in whatever order: recognised by what they compute.

Every value that is computed from one map x and its means is a sum of products (:data:`Terms`) of x, of its mean m and the mean
q of its squares, and of the root s of variance and epsilon and its reciprocal r. A norm is ``gain * x * r - gain * m * r +
shift``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnst.convert.onnx.constants import Array
from fastnst.format.onnxreading import OnnxGraph, OnnxNode, needed

Terms = dict[str, NDArray[np.float64]]
"""Factors of products of the letters x, m, q, s and r in the order of the alphabet: a number, one for each channel, or such for
each style."""
MOST_TERMS = 8
SPATIAL = {"first": [2, 3], "last": [1, 2]}


def with_norms(
    graph: OnnxGraph, constants: Mapping[str, Array], tables: Mapping[str, Array]
) -> tuple[OnnxGraph, dict[str, Array], dict[str, Array]]:
    """A graph, its constants, and its tables of styles, with nodes InstanceNormalization for what they are spelt out as."""
    known, styled, nodes, made = dict(constants), dict(tables), list(graph.nodes), {}
    roots: dict[str, list[int]] = {}
    for node in nodes:
        axes = _axes(node, known)
        if axes is not None and node.inputs[0] not in known:
            roots.setdefault(node.inputs[0], axes)
    for x, axes in roots.items():
        for name, (gain, shift, epsilon) in _Algebra(x, axes, known, styled).norms(nodes).items():
            made[name] = x, gain, shift, epsilon
    for place, node in enumerate(nodes):
        found = made.get(node.outputs[0])
        if found is not None:
            x, gain, shift, epsilon = found
            names = [f"{node.outputs[0]} {kind}" for kind in ("gain", "shift")]
            (styled if gain.ndim > 1 else known).update(zip(names, (gain, shift), strict=True))
            nodes[place] = replace(node, operator="InstanceNormalization", inputs=[x, *names], attributes={"epsilon": epsilon})
    if made:
        nodes = needed(nodes, graph.output, {*known, *styled, graph.input})
    return replace(graph, nodes=nodes), known, styled


def _axes(node: OnnxNode, known: Mapping[str, Array]) -> list[int] | None:
    """The dimensions that a node takes the mean over, if these are rows and columns and stay, as one."""
    if node.operator == "GlobalAveragePool":
        return SPATIAL["first"]
    if node.operator != "ReduceMean" or not node.get("keepdims", 1):
        return None
    axes = node.get("axes", [0])
    if len(node.inputs) > 1:
        axes = known[node.inputs[1]].reshape(-1).tolist() if node.inputs[1] in known else []
    axes = sorted(axis % 4 for axis in axes)
    return axes if axes in SPATIAL.values() else None


class _Algebra:
    """What is computed from map ``x``, whose means are over ``axes``."""

    def __init__(self, x: str, axes: list[int], constants: Mapping[str, Array], tables: Mapping[str, Array]) -> None:
        self.axes, self.constants, self.tables = axes, constants, tables
        self.channel = 1 if axes == SPATIAL["first"] else 3
        self.terms: dict[str, Terms] = {x: {"x": np.ones(1)}}
        self.epsilon = 0.0

    def norms(self, nodes: Sequence[OnnxNode]) -> dict[str, tuple[Array, Array, float]]:
        """Names of the values that are norms of x, with their gain, shift and epsilon."""
        found: dict[str, tuple[Array, Array, float]] = {}
        for node in nodes:
            if node.operator not in SPELT and _axes(node, self.constants) != self.axes:
                continue
            given = [self._given(name) for name in node.inputs if name]
            mean = _axes(node, self.constants) is not None
            if not any(name in self.terms for name in node.inputs) or (None in given[:1] if mean else None in given):
                continue
            values = [each for each in given if each is not None]
            if not mean and len(values) != SPELT[node.operator][0]:
                continue
            made = self._mean(values[0]) if mean else SPELT[node.operator][1](self, *values)
            if made is None or len(made) > MOST_TERMS:
                continue
            self.terms[node.outputs[0]] = made
            gain = made.get("rx")
            if gain is not None and set(made) <= {"rx", "mr", ""} and np.allclose(made.get("mr", np.zeros(1)), -gain):
                both = np.broadcast_arrays(gain, made.get("", np.zeros(1)))
                found[node.outputs[0]] = both[0].copy(), both[1].copy(), self.epsilon
        return found

    def _given(self, name: str) -> Terms | None:
        if name in self.terms:
            return self.terms[name]
        array, rows = (self.tables[name], 1) if name in self.tables else (self.constants.get(name), 0)
        if array is None or array.ndim - rows > 4 or array.dtype.kind not in "fi":
            return None
        own = array.shape[rows:]
        shape = [1] * (4 - len(own)) + list(own)
        if prod(own) != shape[self.channel] or not array.size:
            return None
        return {"": array.astype(np.float64).reshape(*array.shape[:rows], -1)}

    def _mean(self, terms: Terms) -> Terms | None:
        if any(product.count("x") > 2 for product in terms):
            return None
        result: Terms = {}
        for product, factor in terms.items():
            letters = product.replace("xx", "q").replace("x", "m")
            _put(result, letters, factor)
        return result

    def add(self, a: Terms, b: Terms) -> Terms:
        result = dict(a)
        for product, factor in b.items():
            _put(result, product, factor)
        return result

    def subtract(self, a: Terms, b: Terms) -> Terms:
        return self.add(a, {product: -factor for product, factor in b.items()})

    def multiply(self, a: Terms, b: Terms) -> Terms:
        result: Terms = {}
        for first, one in a.items():
            for second, other in b.items():
                letters = first + second
                while "r" in letters and "s" in letters:
                    letters = letters.replace("r", "", 1).replace("s", "", 1)
                _put(result, letters, one * other)
        return result

    def divide(self, a: Terms, b: Terms) -> Terms | None:
        below = self.reciprocal(b)
        return None if below is None else self.multiply(a, below)

    def reciprocal(self, a: Terms) -> Terms | None:
        if len(a) != 1:
            return None
        ((product, factor),) = a.items()
        turned = {"": "", "s": "r", "r": "s"}.get(product)
        return None if turned is None or (factor == 0).any() else {turned: 1 / factor}

    def root(self, a: Terms) -> Terms | None:
        """Of a variance and an epsilon, of which there can be but one."""
        epsilon = a.get("", np.zeros(1))
        is_variance = set(a) == {"", "mm", "q"} and (a["q"] == 1).all() and (a["mm"] == -1).all()
        if not is_variance or epsilon.ndim > 1 or (epsilon != epsilon[0]).any() or self.epsilon not in {0.0, float(epsilon[0])}:
            return None
        self.epsilon = float(epsilon[0])
        return {"s": np.ones(1)}

    def power(self, a: Terms, b: Terms) -> Terms | None:
        exponent = b.get("", np.zeros(0)) if set(b) <= {""} else np.zeros(0)
        if exponent.shape != (1,):
            return None
        if exponent[0] == 2:
            return self.multiply(a, a)
        root = self.root(a) if abs(exponent[0]) == 0.5 else None
        return root if root is None or exponent[0] > 0 else self.reciprocal(root)


def _put(terms: Terms, letters: str, factor: Array) -> None:
    product = "".join(sorted(letters))
    total = terms.get(product, np.zeros(1)) + factor
    terms[product] = total
    if not total.any():
        del terms[product]


SPELT: dict[str, tuple[int, Callable[..., Any]]] = {
    "Add": (2, _Algebra.add),
    "Div": (2, _Algebra.divide),
    "Identity": (1, lambda _, a: a),
    "Mul": (2, _Algebra.multiply),
    "Neg": (1, lambda algebra, a: algebra.subtract({}, a)),
    "Pow": (2, _Algebra.power),
    "Reciprocal": (1, _Algebra.reciprocal),
    "Sqrt": (1, _Algebra.root),
    "Sub": (2, _Algebra.subtract),
}
"""How many values each operator takes, and what it makes of them."""
