"""The integer reference of ``fastnst/format/graphfile.py`` in NumPy: what the C++ engine must make of a picture, byte for byte.

Maps are [H, W, C]: uint8, or int64 that fit 16 bits. Written to be compared with the format's text, not to be fast.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from numpy_engine import Cursor, Lcg, Map, parse_weights

from fastnst.format.graphfile import BORDERS, FORMS, STEP, Affine, Convolution, GeneratorFile, Node, Paint

Words = NDArray[np.int64]
AnyMap = NDArray[Any]


def parse_node(cursor: Cursor, styles: int = 0) -> Node:
    """A node of a file with so many styles; ValueError if it is of no known type."""
    (kind,) = struct.unpack("<I", cursor.take(4))
    if kind == 1:
        source, target, inputs, outputs, kernel, stride, form, border, outside, coded = struct.unpack("<10I", cursor.take(40))
        shape = (outputs, kernel, kernel) if form == 1 else (outputs, kernel, kernel, inputs)
        weights = parse_weights(cursor, shape, coded)
        bias = cursor.array("<i4", (4, outputs) if form == 2 else (outputs,))
        multiplier = cursor.array("<f4", (outputs,))
        return Convolution(source, target, weights, bias, multiplier, stride, FORMS[form], BORDERS[border], outside)
    if kind == 2:
        source, target, addend, channels, normalises, wide, zero = struct.unpack("<7I", cursor.take(28))
        styled, negative = struct.unpack("<If", cursor.take(8)) if styles else (0, *struct.unpack("<f", cursor.take(4)))
        shape = (styles, channels) if styled else (channels,)
        slope, offset = cursor.array("<f4", shape), cursor.array("<f4", shape)
        epsilon = cursor.array("<f4", (channels,)) if normalises else None
        return Affine(source, target, slope, offset, epsilon, negative, zero, bool(wide), addend)
    if kind == 3:
        (source,) = struct.unpack("<I", cursor.take(4))
        return Paint(source, cursor.array("<i2", (255,)))
    raise ValueError("a node of an unknown type")


def reflected(count: int, side: int) -> list[int]:
    """Where each index of a side extended to ``count`` comes from."""
    period = max(2 * (side - 1), 1)
    return [min(i % period, period - i % period) if side > 1 else 0 for i in range(count)]


def framed(q: Map, reach: tuple[int, int], node: Convolution) -> Map:
    """``q`` with so many pixels before and after it in both directions."""
    if node.border != "constant":
        return np.pad(q, (reach, reach, (0, 0)), mode="reflect" if node.border == "reflected" else "edge")
    return np.pad(q, (reach, reach, (0, 0)), constant_values=node.outside)


def slide(frame: Map, weights: NDArray[np.int8], stride: int) -> Words:
    """Sums of a kernel [O, k, l, I] at every ``stride``-th place in ``frame``."""
    windows = np.lib.stride_tricks.sliding_window_view(frame, weights.shape[1:3], axis=(0, 1))[::stride, ::stride]
    columns = windows.transpose(0, 1, 3, 4, 2).reshape(*windows.shape[:2], -1).astype(np.float64)
    return (columns @ weights.reshape(len(weights), -1).T.astype(np.float64)).astype(np.int64)


def convolution_sums(q: Map, node: Convolution) -> Words:
    weights, kernel, height, width = node.weights, node.kernel, *q.shape[:2]
    reach = (kernel - 1) // 2
    if node.form == "full":
        return slide(framed(q, (reach, reach), node), weights, node.stride)
    if node.form == "depthwise":
        frame = framed(q, (reach, reach), node)
        parts = [slide(frame[..., c : c + 1], weights[c : c + 1, ..., None], 1) for c in range(node.outputs)]
        return np.concatenate(parts, 2)
    # What is outside takes part: rows and columns -1 and `height` hold it.
    frame = framed(q, (1, 1), node).astype(np.int64)
    out = np.zeros((2 * height + 2 * kernel, 2 * width + 2 * kernel, node.outputs), np.int64)
    at = kernel  # of output row 0, so that all that is added has a place
    for ky in range(kernel):
        for kx in range(kernel):
            added = frame @ weights[:, ky, kx].T.astype(np.int64)
            rows = slice(at - 3 + ky, at - 3 + ky + 2 * (height + 2), 2)
            columns = slice(at - 3 + kx, at - 3 + kx + 2 * (width + 2), 2)
            out[rows, columns] += added
    return out[at : at + 2 * height, at : at + 2 * width]


def run_convolution(q: Map, node: Convolution) -> Words:
    acc = convolution_sums(q, node)
    if node.form == "transposed":
        for row in (0, 1):
            for column in (0, 1):
                acc[row::2, column::2] += node.bias[2 * row + column]
    else:
        acc += node.bias
    assert np.abs(acc).max() < 2**31
    return np.clip(np.rint(acc.astype(np.float32) * node.multiplier), -32768, 32767).astype(np.int64)


def coefficients(r: Words, node: Affine) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """a and b [C], the sums in Python's integers."""
    if node.epsilon is None:
        return node.slope, node.offset
    count, values = r.shape[0] * r.shape[1], r.reshape(-1, r.shape[2])
    slopes, offsets = [], []
    for c, column in enumerate(values.T.astype(object)):
        total, squares = int(column.sum()), int((column * column).sum())
        variance = float(count * squares - total * total) / (float(count) * float(count)) + float(node.epsilon[c])
        gain = float(node.slope[c]) / np.sqrt(variance)
        slopes.append(gain)
        offsets.append(float(node.offset[c]) - (float(total) / float(count)) * gain)
    return np.array(slopes).astype(np.float32), np.array(offsets).astype(np.float32)


def run_affine(r: Words, addend: Words | None, node: Affine) -> AnyMap:
    a, b = coefficients(r, node)
    product = r.astype(np.float32) * a
    t = product + b
    t = np.maximum(t, t * np.float32(node.negative))
    if not node.wide:
        return np.clip(np.rint(t).astype(np.float64) + node.zero, 0, 255).astype(np.uint8)
    rounded = np.rint(np.clip(t, np.float32(-65536), np.float32(65536))).astype(np.int64)
    return np.clip(rounded + (0 if addend is None else addend), -32768, 32767)


def runs(model: GeneratorFile, side: int) -> bool:
    """Whether a picture of this side goes through: found by trying, map by map."""
    sides = {0: side}
    for node in model.nodes:
        if isinstance(node, Paint):
            break
        own = sides[node.source]
        made = own
        if isinstance(node, Convolution):
            if node.border == "reflected" and own <= (node.kernel - 1) // 2:
                return False
            if node.stride == 2:
                if node.form == "full" and own % 2 and (node.kernel == 4 or model.version < 4):
                    return False
                made = 2 * own if node.form == "transposed" else (own + 1) // 2
        elif node.addend and sides[node.addend] != own:
            return False
        if sides.setdefault(node.target, made) != made:
            return False
    return True


def deepest(nodes: Sequence[Node]) -> int:
    """How often the smallest map's sides are half those of the picture."""
    halvings = {0: 0}
    for node in nodes:
        if not isinstance(node, Paint):
            step = 0 if isinstance(node, Affine) else -1 if node.form == "transposed" else node.stride - 1
            halvings[node.target] = halvings[node.source] + step
    return max(halvings.values())


def extended(picture: Map, model: GeneratorFile) -> Map:
    """A picture with sides that the graph takes: its own, or the next multiples if there is a side that does not go through
    but for its being short."""
    most = deepest(model.nodes)
    step = 1 if all(runs(model, side) for side in range(64 << most, 65 << most)) else 1 << most

    def long_enough(side: int) -> int:
        return next(each for each in range(-(-side // step) * step, side + (64 << most), step) if runs(model, each))

    rows, columns = (reflected(long_enough(side), side) for side in picture.shape[:2])
    return picture[rows][:, columns]


def of_style(node: Node, parts: Sequence[float]) -> Node:
    """A node with the slopes and offsets of a mixture of styles."""
    if not isinstance(node, Affine) or node.slope.ndim == 1:
        return node
    slope, offset = np.zeros(node.slope.shape[1]), np.zeros(node.slope.shape[1])
    for style, part in enumerate(parts):
        slope += part * node.slope[style].astype(np.float64)
        offset += part * node.offset[style].astype(np.float64)
    return replace(node, slope=slope.astype(np.float32), offset=offset.astype(np.float32))


def translate(model: GeneratorFile, picture: Map, parts: Sequence[float] = ()) -> Map:
    """The picture [H, W, 3] that the generator makes of another, in a mixture of styles, or in its first one."""
    maps: dict[int, AnyMap] = {0: extended(picture, model)}
    chosen = parts or [1.0, *[0.0] * (model.styles - 1)]
    for node in (of_style(each, chosen) for each in model.nodes):
        if isinstance(node, Paint):
            counts = np.searchsorted(node.thresholds, maps[node.source], side="right")
            return counts.astype(np.uint8)[: picture.shape[0], : picture.shape[1]]
        if isinstance(node, Convolution):
            maps[node.target] = run_convolution(maps[node.source], node)
            continue
        made = run_affine(maps[node.source], maps[node.addend] if node.addend else None, node)
        if node.target in maps:
            before = maps[node.target]
            gap = np.zeros((*before.shape[:2], -before.shape[2] % STEP), np.uint8)
            made = np.concatenate([before, gap, made], 2)
        maps[node.target] = made
    raise AssertionError("a graph that paints nothing")


class Builder:
    """A random graph on its way, with what it makes of a probe, so that its numbers stay in range."""

    def __init__(self, lcg: Lcg, side: int = 32) -> None:
        self.lcg = lcg
        self.nodes: list[Node] = []
        self.maps: list[AnyMap] = [lcg.integers(0, 256, (side, side, 3)).astype(np.uint8)]

    def convolution(
        self, source: int, outputs: int, kernel: int, *, stride: int = 1, form: str = "full", border: str = "constant"
    ) -> int:
        """The number of the map written."""
        q, lcg = self.maps[source], self.lcg
        shape = (outputs, kernel, kernel) if form == "depthwise" else (outputs, kernel, kernel, q.shape[2])
        weights = lcg.integers(-127, 128, shape).astype(np.int8)
        outside = 97 if border == "constant" else 0
        node = Convolution(
            source,
            len(self.maps),
            weights,
            np.zeros(outputs, np.int32),
            np.ones(outputs, np.float32),
            stride,
            form,
            border,
            outside,
        )
        sums = convolution_sums(q, node).reshape(-1, outputs)
        bias = -(sums.sum(0) // len(sums))
        if form == "transposed":
            bias = bias + lcg.integers(-500, 501, (4, outputs))
        reach = np.abs(sums - sums.mean(0)).max(0) + 1
        most = 255 * np.abs(weights.astype(np.int64)).reshape(outputs, -1).sum(1) + np.abs(np.atleast_2d(bias)).max(0)
        multiplier = lcg.integers(8000, 40000, (outputs,)) / reach  # now and then it saturates
        multiplier = np.minimum(multiplier, 0.999 * 2**30 / most).astype(np.float32)  # the engine's bound
        node = Convolution(source, len(self.maps), weights, bias.astype(np.int32), multiplier, stride, form, border, outside)
        self.nodes.append(node)
        self.maps.append(run_convolution(q, node))
        return node.target

    def affine(
        self,
        source: int,
        *,
        target: int | None = None,
        normalises: bool = False,
        negative: float = 1.0,
        wide: bool = False,
        addend: int = 0,
    ) -> int:
        """The number of the map written: a new one, or ``target``, to which channels are added."""
        r, lcg = self.maps[source], self.lcg
        channels, zero = r.shape[2], 0 if wide or negative == 0 else lcg.below(256)
        size = np.full(channels, 1.0) if normalises else np.sqrt((r.astype(np.float64) ** 2).mean((0, 1))) + 1
        level = 6000 if wide else 60
        slope = (lcg.integers(level // 2, level, (channels,)) / size).astype(np.float32)
        offset = (lcg.integers(-level, level, (channels,)) / 8).astype(np.float32)
        epsilon = (lcg.integers(1, 1000, (channels,)) / 64).astype(np.float32) if normalises else None
        number = len(self.maps) if target is None else target
        node = Affine(source, number, slope, offset, epsilon, negative, zero, wide, addend)
        made = run_affine(r, self.maps[addend] if addend else None, node)
        self.nodes.append(node)
        if target is None:
            self.maps.append(made)
        else:
            before = self.maps[target]
            gap = np.zeros((*before.shape[:2], -before.shape[2] % STEP), np.uint8)
            self.maps[target] = np.concatenate([before, gap, made], 2)
        return number

    def paint(self, source: int) -> GeneratorFile:
        steps = self.lcg.integers(0, 256, (255,))
        thresholds = (np.cumsum(steps) * 60000 // int(steps.sum()) - 30000).astype(np.int16)
        self.nodes.append(Paint(source, thresholds))
        return GeneratorFile({"name": "random", "kind": "generator"}, self.nodes)


def skipped_lanes_cleared(model: GeneratorFile) -> GeneratorFile:
    """For models whose channels are added behind others: what lies between them is not defined, and its weights must be 0."""
    widths: dict[int, list[tuple[int, int]]] = {}
    nodes: list[Node] = []
    for node in model.nodes:
        if isinstance(node, Affine):
            parts = widths.setdefault(node.target, [])
            first = -(-parts[-1][1] // STEP) * STEP if parts else 0
            parts.append((first, first + node.channels))
        elif isinstance(node, Convolution) and node.form != "depthwise" and len(widths.get(node.source, [])) > 1:
            for (_, end), (begin, _) in zip(widths[node.source], widths[node.source][1:], strict=False):
                node.weights[..., end:begin] = 0
        nodes.append(node)
    return GeneratorFile(model.card, nodes, model.version)


def with_styles(model: GeneratorFile, lcg: Lcg, styles: int, every: int = 1) -> GeneratorFile:
    """The model with a row for each style in every so many of its affine nodes, the first row as it was."""
    nodes, seen = list(model.nodes), 0
    for place, node in enumerate(nodes):
        if not isinstance(node, Affine):
            continue
        seen += 1
        if (seen - 1) % every:
            continue
        factors = lcg.integers(-128, 257, (2, styles, node.channels)).astype(np.float32) / np.float32(128)
        factors[:, 0] = 1
        nodes[place] = replace(node, slope=node.slope * factors[0], offset=node.offset * factors[1])
    return GeneratorFile(model.card, nodes)


def resnet_like(lcg: Lcg, width: int, blocks: int = 2, separable: bool = True) -> GeneratorFile:
    """A graph of a ResNet generator's shape."""
    graph = Builder(lcg)
    normal = {"normalises": True}
    x = graph.affine(graph.convolution(0, width, 7, border="reflected"), negative=0.0, **normal)
    x = graph.affine(graph.convolution(x, 2 * width, 3, stride=2), negative=0.0, **normal)
    raw = graph.convolution(x, 4 * width, 3, stride=2)
    stream = graph.affine(raw, negative=0.0, wide=True, **normal)
    for _ in range(blocks):
        x = graph.affine(stream)
        for half in range(2):
            if separable:
                raw = graph.convolution(x, 4 * width, 3, form="depthwise", border="reflected")
                raw = graph.convolution(graph.affine(raw, **normal), 4 * width, 1)
            else:
                raw = graph.convolution(x, 4 * width, 3, border="reflected")
            if half == 0:
                x = graph.affine(raw, negative=0.0, **normal)
        stream = graph.affine(raw, wide=True, addend=stream, **normal)
    x = graph.affine(stream)
    for outputs in (2 * width, width):
        x = graph.affine(graph.convolution(x, outputs, 3, stride=2, form="transposed"), negative=0.0, **normal)
    return graph.paint(graph.convolution(x, 3, 7, border="reflected"))


def transformer_like(lcg: Lcg, width: int, blocks: int = 1) -> GeneratorFile:
    """A graph of the shape of fast neural style's: 9x9, halvings that reflect, and form 2 that repeats its edge."""
    graph = Builder(lcg)
    normal = {"normalises": True, "negative": 0.0}
    x = graph.affine(graph.convolution(0, width, 9, border="reflected"), **normal)
    x = graph.affine(graph.convolution(x, 2 * width, 3, stride=2, border="reflected"), **normal)
    stream = graph.affine(graph.convolution(x, 4 * width, 3, stride=2, border="reflected"), wide=True, **normal)
    for _ in range(blocks):
        x = graph.affine(graph.convolution(graph.affine(stream), 4 * width, 3, border="reflected"), **normal)
        raw = graph.convolution(x, 4 * width, 3, border="reflected")
        stream = graph.affine(raw, wide=True, addend=stream, normalises=True)
    x = graph.affine(stream)
    for outputs in (2 * width, width):
        x = graph.affine(graph.convolution(x, outputs, 4, stride=2, form="transposed", border="repeated"), **normal)
    return graph.paint(graph.convolution(x, 3, 9, border="reflected"))


def unet_like(lcg: Lcg, width: int, levels: int = 3) -> GeneratorFile:
    """A graph of a U-Net's shape, of odd widths too."""
    graph = Builder(lcg)
    raw, x = [], 0
    for level in range(levels):
        raw.append(graph.convolution(x, width * 2**level, 4, stride=2))
        if level + 1 < levels:
            x = graph.affine(raw[-1], negative=0.2)
    x = graph.affine(raw[-1], negative=0.0)
    for level in reversed(range(levels - 1)):
        up = graph.convolution(x, width * 2**level, 4, stride=2, form="transposed")
        x = graph.affine(raw[level], negative=0.0)
        graph.affine(up, target=x, negative=0.0)
    return skipped_lanes_cleared(graph.paint(graph.convolution(x, 3, 4, stride=2, form="transposed")))
