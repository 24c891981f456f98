"""Maps of other sizes: Resize and Upsample by 2 or 1/2, DepthToSpace and SpaceToDepth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.convert.builder import Raw
from fastnst.convert.graph import FloatConv
from fastnst.convert.onnx.convolutions import convolved, plain
from fastnst.convert.onnx.values import NOTHING, Part, Value
from fastnst.convert.onnx.walk import Walk, within
from fastnst.convert.tensors import LayoutError
from fastnst.format.onnxreading import OnnxNode

PLACES: dict[str, Callable[[int], float]] = {
    "half_pixel": lambda x: (x + 0.5) / 2 - 0.5,
    "half_pixel_symmetric": lambda x: (x + 0.5) / 2 - 0.5,
    "pytorch_half_pixel": lambda x: (x + 0.5) / 2 - 0.5,
    "asymmetric": lambda x: x / 2,
}
"""Where a pixel of a map twice as large lies in the smaller one."""
NEAREST: dict[str, Callable[[float], int]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "round_prefer_floor": lambda x: math.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: math.floor(x + 0.5),
}
BETWEEN = {"asymmetric": (0.5, 1.0, 0.5)} | dict.fromkeys(
    ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel"), (0.25, 0.75, 0.75, 0.25)
)
"""Taps of :meth:`~fastnst.convert.onnx.walk.Walk.spread` that double bilinearly."""


def resized(walk: Walk, node: OnnxNode) -> Value:
    x, mode = walk.value(node, 0, plain=False), node.word("mode", "nearest")
    old = node.operator == "Upsample" or walk.graph.opset < 11
    place = "asymmetric" if old else node.word("coordinate_transformation_mode", "half_pixel")
    scales = _scales(walk, node, x, 1 if old else 2)
    if scales == (1, 1):
        return x
    if scales == (2, 2) and mode == "nearest" and (old or _doubles(node, place)):
        return replace(walk.value(node, 0), doubled=True)
    if scales == (2, 2) and mode == "linear" and place in BETWEEN:
        return walk.spread(node, walk.value(node, 0), BETWEEN[place], "repeated")
    raise LayoutError(
        f"{node}: mode {mode}, {place}, by {' and '.join(f'{scale:g}' for scale in scales)}; the engine doubles, nearest as "
        "floor or linear between the middles of pixels"
    )


def _doubles(node: OnnxNode, place: str) -> bool:
    """Whether pixel x of a map twice as large is pixel x // 2 of the smaller one."""
    nearest = NEAREST.get(node.word("nearest_mode", "round_prefer_floor"))
    if place not in PLACES or nearest is None:
        return False
    return all(max(nearest(PLACES[place](x)), 0) == x // 2 for x in range(8))


def _scales(walk: Walk, node: OnnxNode, x: Value, place: int) -> tuple[float, float]:
    """By what rows and columns are multiplied, whatever sides the picture has."""
    found = {_scale(walk, node, x, place, probe) for probe in range(len(walk.probes))}
    if len(found) > 1:
        raise LayoutError(f"{node}: sizes that are not the same multiple of its map's for every picture")
    return found.pop()


def _scale(walk: Walk, node: OnnxNode, x: Value, place: int, probe: int) -> tuple[float, float]:
    """The same for one picture, as the node's scales say or the sizes that it gives."""
    axes = [axis % 4 for axis in node.get("axes", [0, 1, 2, 3])]
    given = walk.sized(node, place, probe) if place < len(node.inputs) else np.array(node.get("scales", [0.0]))
    sizes = walk.sized(node, 3, probe) if place == 2 else None
    if sizes is not None and sizes.size:
        given = sizes / walk.shape(x, walk.probes[probe])[axes] if sizes.size == len(axes) else sizes
    scales = [] if given is None else given.reshape(-1).tolist()
    whole, rows = dict.fromkeys(range(4), 1.0), 1 if x.last else 2
    whole |= dict(zip(axes, scales, strict=False))
    if len(scales) != len(axes) or any(whole[axis] != 1 for axis in (0, 3 if x.last else 1)):
        raise LayoutError(f"{node}: scales {scales[:4]}, expected one for each dimension, 1 for all but rows and columns")
    if node.word("keep_aspect_ratio_policy", "stretch") != "stretch" or node.get("antialias", 0):
        raise LayoutError(f"{node}: antialias, or sides that keep their ratio, which the engine does not have")
    return whole[rows], whole[rows + 1]


def to_space(walk: Walk, node: OnnxNode) -> Value:
    """Channels to the pixels of twice as large a map: as one transposed convolution with what makes them, if that fits in."""
    x = walk.joined(node, walk.value(node, 0))
    if node.get("blocksize", 0) != 2 or x.channels % 4 or x.last:
        raise LayoutError(f"{node}: blocksize {node.get('blocksize', 0)} of {x.channels} channels; the engine doubles")
    (part,), order = x.parts, _order(x.channels // 4, node.word("mode", "DCR"))
    folded = _folded(walk, part, order)
    if folded is not None:
        if not x.halvings:
            raise LayoutError(f"{node}: a map that is larger than the picture")
        return replace(x, parts=(replace(part, raw=folded),), halvings=x.halvings - 1)
    outputs = x.channels // 4
    weight = torch.zeros(within(node, outputs, x.channels, 3, 3), dtype=torch.float64)
    for phase in range(4):
        weight[torch.arange(outputs), order[phase], 1 + phase // 2, 1 + phase % 2] = 1
    return convolved(walk, node, x, weight, None, 2, "transposed", "constant", x.halvings - 1)


def _order(outputs: int, mode: str) -> Tensor:
    """The channels [4, O] of each phase, 2 x row + column."""
    channels = torch.arange(4 * outputs)
    return channels.reshape(outputs, 4).T if mode == "CRD" else channels.reshape(4, outputs)


def _folded(walk: Walk, part: Part, order: Tensor) -> Raw | None:
    """A convolution that only the shuffling reads, with it as a transposed one of kernel 4; None if that cannot be."""
    conv = walk.build.nodes[-1] if walk.build.nodes else None
    if not isinstance(part.raw, Raw) or part.raw.norm or part.gain is not None or part.shift is not None:
        return None
    if not isinstance(conv, FloatConv) or conv.target != part.raw.number or (conv.form, conv.stride) != ("full", 1):
        return None
    if conv.weight.shape[-1] > 3 or conv.border == "reflected":
        return None
    taps = F.pad(conv.weight, ((3 - conv.weight.shape[-1]) // 2,) * 4)[order]  # [4, O, I, 3, 3]
    weight = taps.new_zeros(*taps.shape[1:3], 6, 6)
    for phase in range(4):  # tap t of a row's parity a meets row i + t - 1, which the transposed tap a + 3 - 2 t spreads
        row, column = phase // 2, phase % 2
        weight[:, :, row : row + 5 : 2, column : column + 5 : 2] = taps[phase].flip(2, 3)
    if bool((weight[:, :, [0, 5]] != 0).any() or (weight[..., [0, 5]] != 0).any()):
        return None
    bias = conv.bias[order].T
    walk.build.nodes[-1] = replace(conv, weight=weight[:, :, 1:5, 1:5], bias=bias, stride=2, form="transposed")
    return Raw(part.raw.number, len(bias))


def to_depth(walk: Walk, node: OnnxNode) -> Value:
    """Pixels to the channels of a map half as large."""
    x = walk.value(node, 0)
    if node.get("blocksize", 0) != 2 or x.last:
        raise LayoutError(f"{node}: blocksize {node.get('blocksize', 0)}; the engine halves")
    weight = torch.zeros(within(node, 4 * x.channels, x.channels, 2, 2), dtype=torch.float64)
    for phase, channels in enumerate(_order(x.channels, "DCR")):
        weight[channels, torch.arange(x.channels), phase // 2, phase % 2] = 1
    return plain(walk, node, x, weight, None, 1, 2, NOTHING)
