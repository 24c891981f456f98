"""The end of a graph: how the network writes pictures, and what paints them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnst.convert.builder import Numbers, Raw
from fastnst.convert.graph import FloatConv, FloatNode
from fastnst.convert.onnx.walk import Walk
from fastnst.convert.tensors import LayoutError
from fastnst.format.onnxreading import OnnxGraph, OnnxNode

LARGEST = float(np.finfo(np.float32).max)
"""What is written where nothing is clipped."""
WRITTEN = ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0))
"""Black and white, as networks write them that clip to these."""
CURVES = {"": "clamp", "Clip": "clamp", "Sigmoid": "sigmoid", "Tanh": "tanh"}
"""What paints the picture, by the operator that the graph ends in."""


def bounds(node: OnnxNode, opset: int, constants: Mapping[str, NDArray[Any]]) -> tuple[float, float]:
    """What a Clip clips to; ValueError if that is not constant."""
    ends = [-LARGEST, LARGEST]
    for place, name in enumerate(("min", "max")):
        if opset < 11:
            ends[place] = node.get(name, ends[place])
        elif place + 1 < len(node.inputs) and (given := node.inputs[place + 1]):
            if given not in constants or constants[given].size != 1:
                raise LayoutError(f"{node}: its {name} has to be one constant number")
            ends[place] = float(constants[given].reshape(-1)[0])
    return ends[0], ends[1]


def numbers_of(graph: OnnxGraph, constants: Mapping[str, NDArray[Any]]) -> Numbers:
    """How the network writes pictures, by the operator that it ends in; LayoutError if that does not tell."""
    makers = {node.outputs[0]: node for node in graph.nodes}
    last = makers[graph.output] if graph.output in makers else graph.nodes[-1]
    while last.operator in {"Dropout", "Identity"} and last.inputs and last.inputs[0] in makers:
        last = makers[last.inputs[0]]
    ends = {"Tanh": WRITTEN[0], "Sigmoid": WRITTEN[1]}.get(last.operator)
    if last.operator == "Clip":
        ends = bounds(last, graph.opset, constants)
    if ends not in WRITTEN:
        raise LayoutError(
            f"it ends in {last}, not in Tanh, Sigmoid, or a Clip to -1..1, 0..1 or 0..255, so --values has to say how it "
            "writes pictures: signed -1..1, unit 0..1, bytes 0..255"
        )
    return Numbers(*ends)


def ended(walk: Walk) -> list[FloatNode]:
    """The whole graph, with what paints the picture; LayoutError if the output is no picture."""
    value, last = walk.values.get(walk.graph.output), walk.build.nodes[-1] if walk.build.nodes else None
    if value is None or value.pad or value.doubled or len(value.parts) > 1:
        raise LayoutError("the output is not what a convolution, or a Tanh, Sigmoid or Clip behind one, makes")
    (part,) = value.parts
    plain = isinstance(part.raw, Raw) and not part.raw.norm and part.negative == 1
    if not plain or not isinstance(last, FloatConv) or last.target != part.raw.number:
        raise LayoutError("the output has to be what the last convolution, or a Tanh, Sigmoid or Clip behind it, makes")
    if part.raw.channels != 3 or value.halvings:
        scale = f"1/{2**value.halvings} of" if value.halvings else "as large as"
        raise LayoutError(
            f"the output has {part.raw.channels} channels, its sides are {scale} the picture; expected 3, as large"
        )
    assert isinstance(part.raw, Raw)
    return walk.build.paint(part.raw, CURVES[value.end])
