"""The end of a graph: how the network writes pictures, and what paints them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from fastnst.convert.builder import Numbers, Raw
from fastnst.convert.graph import CURVES, FloatConv, FloatNode
from fastnst.convert.onnx.values import NOTHING, Part, Value
from fastnst.convert.onnx.walk import DOUBLED, Walk
from fastnst.convert.tensors import LayoutError

WRITTEN = ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0))
"""Black and white, as networks write them."""
OWN = {"Tanh": (1.0, 0.0), "Sigmoid": (0.5, 0.5)}
"""By what tanh is multiplied, and what is added, in what makes all from black to white."""


def _end(walk: Walk) -> Value:
    value = walk.values.get(walk.graph.output)
    if value is None or value.pads != NOTHING:
        raise LayoutError("the output is not a map that fastnst can paint a picture of")
    if value.channels != 3 or value.halvings != value.doubled:
        scale = f"1/{2 ** (value.halvings - value.doubled)} of" if value.halvings > value.doubled else "as large as"
        raise LayoutError(f"the output has {value.channels} channels, its sides are {scale} the picture; expected 3, as large")
    return value


def numbers_of(walk: Walk) -> Numbers:
    """How the network writes pictures, by what it ends in; LayoutError if that does not tell."""
    value = _end(walk)
    limits = value.limits if value.end else value.parts[0].limits if len(value.parts) == 1 else None
    if value.end:
        reached = value.shift - value.gain, value.shift + value.gain
        limits = reached if limits is None else (max(limits[0], reached[0]), min(limits[1], reached[1]))
    for low, high in WRITTEN if limits else ():
        if np.allclose(limits or (), (low, high), rtol=0, atol=1e-3 * (high - low)):
            return Numbers(low, high)
    last = next(node for node in walk.graph.nodes if walk.graph.output in node.outputs)
    raise LayoutError(
        f"it ends in {last}, not in a Tanh, Sigmoid or Clip that makes -1..1, 0..1 or 0..255, so --values has to say how it "
        "writes pictures: signed -1..1, unit 0..1, bytes 0..255"
    )


def written(walk: Walk) -> Numbers:
    """Black and white as the end makes them: the bounds of a bare Tanh or Sigmoid, whatever the network reads."""
    value, numbers = _end(walk), walk.build.numbers
    return Numbers(value.shift - value.gain, value.shift + value.gain) if _bare(value) else numbers


def ended(walk: Walk) -> list[FloatNode]:
    """The whole graph, with what paints the picture; LayoutError if the output is no picture."""
    value, last, build = _end(walk), walk.graph.nodes[-1], walk.build
    value = walk.joined(last, walk.spread(last, value, DOUBLED) if value.doubled else value)
    numbers, (part,) = build.numbers, value.parts
    limits = part.limits
    if not value.end and limits and limits[0] <= numbers.low and numbers.high <= limits[1]:
        part = replace(part, limits=None)  # what is beyond is clipped anyway
    conv = build.nodes[-1] if build.nodes else None
    sole = isinstance(part.raw, Raw) and not part.raw.norm and isinstance(conv, FloatConv) and conv.target == part.raw.number
    if not sole or not part.linear or part.styled:
        (part,) = walk.copied(last, replace(value, parts=(part,))).parts
        conv = build.nodes[-1]
    assert isinstance(conv, FloatConv)
    assert isinstance(part.raw, Raw)
    build.nodes[-1] = _scaled(conv, part)
    if not value.end:
        return build.paint(part.raw, "clamp")
    gain, shift = 1.0, 0.0
    if not _bare(value):
        gain, shift = value.gain / numbers.half, (value.shift - numbers.middle) / numbers.half
    _check_range(value, numbers, gain, shift)
    return build.paint(part.raw, "tanh", gain, shift)


def _bare(value: Value) -> bool:
    """Whether it is made by a Tanh or Sigmoid that nothing is multiplied with or added to."""
    return OWN.get(value.end) == (value.gain, value.shift)


def _scaled(conv: FloatConv, part: Part) -> FloatConv:
    """The convolution with what its channels are multiplied by, and what is added."""
    gain = torch.ones(3, dtype=torch.float64) if part.gain is None else part.gain
    shift = torch.zeros(3, dtype=torch.float64) if part.shift is None else part.shift
    if conv.bias.ndim > 1:
        gain, shift = gain[:, None], shift[:, None]
    weight = conv.weight * gain.reshape(-1, 1, 1, 1)
    return replace(conv, weight=weight, bias=conv.bias * gain + shift)


def _check_range(value: Value, numbers: Numbers, gain: float, shift: float) -> None:
    limits = value.limits
    if limits and not (limits[0] <= numbers.low and numbers.high <= limits[1]):
        raise LayoutError(
            f"it ends in a Clip to {limits[0]:g}..{limits[1]:g}; black and white are {numbers.low:g} and {numbers.high:g}"
        )
    reach, step = np.tanh(CURVES["tanh"].reach) * gain, 0.5 / 127.5
    if shift + reach < 1 - step or shift - reach > step - 1:
        ends = f"{value.shift - value.gain:g} to {value.shift + value.gain:g}"
        raise LayoutError(f"its end makes {ends}, and not all from {numbers.low:g} to {numbers.high:g}")
