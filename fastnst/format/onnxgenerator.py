"""Generators as ONNX graphs (opset 17, free height and width): what their nodes compute, without rounding to bytes, or with it.

Maps of bytes are counted from the byte that stands for 0 beyond their edges, so that zeros are put around them, and sums in the
unit in which the epsilon of a norm, or the curve of the picture, is the usual one. What is written are the operators that such
networks are trained with, which runtimes have fast code for, and which ``fastnst convert`` reads again.

In 8 bits, what convolutions read goes through QuantizeLinear and DequantizeLinear with steps of 1, and so becomes the engine's
bytes; weights and biases are the file's whole numbers, dequantised. Sums stay float numbers. The engine rounds them to 16 bits,
which QuantizeLinear of this opset does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from fastnst.format.graphfile import Affine, Convolution, GeneratorFile, Node, Paint
from fastnst.format.onnxgraph import Graph

WORDS = 65536
EPSILON = 1e-5
"""Of the norms that are written."""
STYLE = "style_weights"
Floats = NDArray[np.float64]


def build_generator(model: GeneratorFile, int8: bool = False) -> ModelProto:
    """``content`` [1, 3, H, W], RGB 0..1, to ``picture``, the same. Sides are those that the graph takes without extension. A
    graph of several styles has an input ``style_weights`` [styles] as well, whose sum is 1.

    Args:
        int8: with quantisers around all that convolutions read, and whole weights.
    """
    graph = _GeneratorGraph(model.nodes, int8)
    for node in model.nodes:
        if isinstance(node, Convolution):
            graph.convolve(node)
        elif isinstance(node, Affine):
            graph.scale(node)
        else:
            graph.paint(node)
    chosen = {STYLE: [model.styles]} if model.styles else {}
    return graph.model({"content": [1, 3, "H", "W"], **chosen})


@dataclass(frozen=True)
class Part:
    """Some channels of a map of bytes, which are counted from ``zero``."""

    name: str
    channels: int
    zero: int


class _GeneratorGraph(Graph):
    """Several writers of one map are joined when it is read."""

    def __init__(self, nodes: Sequence[Node], int8: bool) -> None:
        super().__init__()
        self.count, self.int8 = 0, int8
        self.outside = {
            node.source: node.outside
            for node in nodes
            if isinstance(node, Convolution) and node.border == "constant" and (node.kernel > 1 or node.form == "transposed")
        }
        self.units = {node.target: np.ones(node.outputs) for node in nodes if isinstance(node, Convolution)}
        for node in nodes:
            if isinstance(node, Affine) and node.epsilon is not None:
                self.units[node.source] = np.sqrt(EPSILON / node.epsilon.astype(np.float64))
            elif isinstance(node, Paint):
                self.units[node.source] = np.full(3, curve_of(node)[1])
        self.wide: dict[int, str] = {}
        zero = self.outside.get(0, 0)
        picture = self.numbered("Mul", ["content", self.constant(255, np.float32)])
        counted = self.plus(picture, np.float32(-zero))
        self.parts = {0: [Part(self.rounded(counted, zero) if int8 else counted, 3, zero)]}

    def constant(self, value: object, kind: type) -> str:
        self.count += 1
        self.constants[f"constant{self.count}"] = np.array(value, kind)
        return f"constant{self.count}"

    def numbered(self, operation: str, inputs: list[str], **attributes: object) -> str:
        self.count += 1
        return self.add(operation, inputs, f"{operation}{self.count}", **attributes)

    def plus(self, x: str, value: NDArray[np.float32] | np.float32) -> str:
        return self.numbered("Add", [x, self.constant(value, np.float32)]) if np.any(value) else x

    def channels(self, values: Floats, *shape: int) -> str:
        """Numbers for each channel, [C] or [styles, C], of the style that is chosen; of this shape if it is given."""
        if values.ndim == 1:
            return self.constant(values.reshape(shape or -1), np.float32)
        made = self.numbered("MatMul", [STYLE, self.constant(values, np.float32)])
        return self.numbered("Reshape", [made, self.constant(shape, np.int64)]) if shape else made

    def rounded(self, x: str, zero: int) -> str:
        """``x``, counted from ``zero``, as bytes and back."""
        steps = [self.constant(1, np.float32), self.constant(zero, np.uint8)]
        return self.numbered("DequantizeLinear", [self.numbered("QuantizeLinear", [x, *steps]), *steps])

    def scaled(self, whole: NDArray[np.int64], steps: Floats, kind: type) -> str:
        """Whole numbers times a step for each output, their first dimension; of this kind if they stay whole."""
        if not self.int8:
            return self.constant(whole * steps.reshape(-1, *[1] * (whole.ndim - 1)), np.float32)
        zeros = [self.constant(np.zeros(len(steps)), kind)] if kind is np.int8 else []
        names = [self.constant(whole, kind), self.constant(steps, np.float32), *zeros]
        return self.numbered("DequantizeLinear", names, axis=0)

    def convolve(self, node: Convolution) -> None:
        used: list[int] = []
        at = 0
        for part in self.parts[node.source]:  # those between the parts are nobody's
            used += range(at, at + part.channels)
            at += -(-part.channels // 16) * 16
        own = node.weights[..., None] if node.form == "depthwise" else np.take(node.weights, used, -1)
        steps, reach = node.multiplier * self.units[node.target], (node.kernel - 1) // 2
        weights, bias = own.transpose(0, 3, 1, 2).astype(np.int64), node.bias.astype(np.int64).reshape(-1)
        if node.form == "transposed":
            weights, reach, steps = _phases(weights), 1, np.tile(steps, 4)
        zeros = np.concatenate([np.full(part.channels, part.zero) for part in self.parts[node.source]])
        bias = bias + (weights.sum((1, 2, 3)) * zeros if node.form == "depthwise" else weights.sum((2, 3)) @ zeros)
        x = self.read(node.source)
        if reach and node.border != "constant":
            pads = self.constant([0, 0, reach, reach] * 2, np.int64)
            x = self.numbered("Pad", [x, pads], mode={"reflected": "reflect", "repeated": "edge"}[node.border])
        names = [self.scaled(weights, steps, np.int8), self.scaled(bias, steps, np.int32)]
        made = self.numbered(
            "Conv",
            [x, *names],
            strides=[1 if node.form == "transposed" else node.stride] * 2,
            group=node.outputs if node.form == "depthwise" else 1,
            pads=[reach if node.border == "constant" else 0] * 4,
        )
        if node.form == "transposed":
            made = self.numbered("DepthToSpace", [made], blocksize=2, mode="DCR")
        self.wide[node.target] = made

    def read(self, number: int) -> str:
        parts = self.parts[number]
        names = [part.name for part in parts]
        return names[0] if len(names) == 1 else self.numbered("Concat", names, axis=1)

    def scale(self, node: Affine) -> None:
        x, unit = self.wide[node.source], self.units.get(node.source, np.ones(node.channels))
        slope, offset = node.slope.astype(np.float64), node.offset.astype(np.float64)
        if node.epsilon is not None:
            own = np.sqrt(EPSILON / node.epsilon.astype(np.float64))
            if not np.allclose(own, unit):  # another norm has chosen the unit
                x = self.numbered("Mul", [x, self.constant((own / unit).reshape(1, -1, 1, 1), np.float32)])
            x = self.numbered(
                "InstanceNormalization",
                [x, self.channels(slope), self.channels(offset)],
                epsilon=EPSILON,
            )
        else:
            x = self.numbered("Mul", [x, self.channels(slope / unit, 1, -1, 1, 1)])
            x = self.numbered("Add", [x, self.channels(offset, 1, -1, 1, 1)]) if offset.any() else x
        if node.negative < 1:
            x = self.numbered("LeakyRelu", [x], alpha=node.negative) if node.negative else self.numbered("Relu", [x])
        if node.wide:
            self.wide[node.target] = self.numbered("Add", [x, self.wide[node.addend]]) if node.addend else x
            return
        zero = self.outside.get(node.target, node.zero)
        x = self.plus(x, np.float32(node.zero - zero))
        if self.int8:
            made = self.rounded(x, zero)
        else:
            made = self.numbered("Clip", [x, *(self.constant(end - zero, np.float32) for end in (0, 255))])
        self.parts.setdefault(node.target, []).append(Part(made, node.channels, zero))

    def paint(self, node: Paint) -> None:
        """The curve, and the picture's own size."""
        x, (curve, _) = self.wide[node.source], curve_of(node)
        if curve:
            ends = [self.constant(end, np.float32) for end in (-1, 1)]
            x = self.numbered("Tanh", [x]) if curve == "tanh" else self.numbered("Clip", [x, *ends])
            x = self.plus(self.numbered("Mul", [x, self.constant(0.5, np.float32)]), np.float32(0.5))
        else:  # through the thresholds, at each of which the byte is between two
            table = np.interp(np.arange(WORDS) - WORDS // 2, node.thresholds - 0.5, np.arange(255) + 0.5) / 255
            places = self.plus(x, np.float32(WORDS // 2 + 0.5))
            ends = [self.constant(end, np.float32) for end in (0, WORDS - 1)]
            whole = self.numbered("Cast", [self.numbered("Floor", [self.numbered("Clip", [places, *ends])])], to=7)
            x = self.numbered("Gather", [self.constant(table, np.float32), whole])
        begin, end = self.constant([2], np.int64), self.constant([4], np.int64)
        size = self.numbered("Slice", [self.numbered("Shape", ["content"]), begin, end])
        self.numbered("Slice", [x, self.constant([0, 0], np.int64), size, self.constant([2, 3], np.int64)])


def curve_of(node: Paint) -> tuple[str, float]:
    """The curve whose thresholds these are, ``tanh`` or ``clamp``, and what one step of its argument is; or none, and 1."""
    edges = (np.arange(1.0, 256.0) - 0.5) / 127.5 - 1
    for curve, arguments in (("tanh", np.arctanh(edges)), ("clamp", edges)):
        for reach in (4.0, 1.25):  # as converters have them
            step = reach / 32767
            if np.array_equal(np.ceil(arguments / step).astype(np.int64), node.thresholds):
                return curve, step
    return "", 1.0


def _phases(weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """A transposed kernel [O, I, k, k] as one of 3x3 for each phase, [4 O, I, 3, 3], that sees a row above and one below."""
    outputs, inputs, kernel, _ = weights.shape
    phases = np.zeros((2, 2, outputs, inputs, 3, 3), np.int64)
    met = [[(1 + (parity + 1 - k) // 2, k) for k in range(kernel) if (k + parity) % 2] for parity in (0, 1)]
    for row in (0, 1):
        for column in (0, 1):
            for y, ky in met[row]:
                for x, kx in met[column]:
                    phases[row, column, :, :, y, x] = weights[:, :, ky, kx]
    return phases.reshape(4 * outputs, inputs, 3, 3)
