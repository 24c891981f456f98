"""Generators as ONNX graphs (opset 17, free height and width): what their nodes compute, without rounding to bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from fastnst.format.graphfile import Affine, Convolution, GeneratorFile, Paint
from fastnst.format.onnxgraph import Graph

WORDS = 65536


def build_generator(model: GeneratorFile) -> ModelProto:
    """``content`` [1, 3, H, W], RGB 0..1, to ``picture``, the same. Sides are those that the graph takes without extension."""
    graph = _GeneratorGraph()
    for node in model.nodes:
        if isinstance(node, Convolution):
            graph.convolve(node)
        elif isinstance(node, Affine):
            graph.scale(node)
        else:
            graph.paint(node)
    return graph.model({"content": [1, 3, "H", "W"]})


class _GeneratorGraph(Graph):
    """Maps are named by their numbers; several writers of one are joined when it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.constants |= {"bytes": np.float32(255), "low": np.float32(-32768), "high": np.float32(32767)}
        self.parts: dict[int, list[str]] = {0: [self.add("Mul", ["content", "bytes"], "map0")]}
        self.channels: dict[int, list[int]] = {0: [3]}
        self.count = 0

    def constant(self, value: object, kind: type) -> str:
        self.count += 1
        self.constants[f"constant{self.count}"] = np.array(value, kind)
        return f"constant{self.count}"

    def numbered(self, operation: str, inputs: list[str], **attributes: object) -> str:
        self.count += 1
        return self.add(operation, inputs, f"{operation}{self.count}", **attributes)

    def read(self, number: int) -> str:
        parts = self.parts[number]
        if len(parts) > 1:
            self.parts[number] = parts = [self.numbered("Concat", parts, axis=1)]
        return parts[0]

    def convolve(self, node: Convolution) -> None:
        used: list[int] = []
        at = 0
        for width in self.channels[node.source]:  # those between the parts are nobody's
            used += range(at, at + width)
            at += -(-width // 16) * 16
        own = node.weights[..., None] if node.form == "depthwise" else np.take(node.weights, used, -1)
        weights = own.transpose(0, 3, 1, 2) * node.multiplier[:, None, None, None]
        bias = np.atleast_2d(node.bias) * node.multiplier
        x, reach = self.read(node.source), (node.kernel - 1) // 2
        if node.form == "transposed":
            weights, reach = _phases(weights), 1
        if reach:
            pads = self.constant([0, 0, reach, reach] * 2, np.int64)
            mode = {"constant": "constant", "reflected": "reflect", "repeated": "edge"}[node.border]
            x = self.numbered("Pad", [x, pads, self.constant(node.outside, np.float32)], mode=mode)
        names = [self.constant(weights, np.float32), self.constant(bias.reshape(-1), np.float32)]
        groups = node.outputs if node.form == "depthwise" else 1
        stride = 1 if node.form == "transposed" else node.stride
        x = self.numbered("Conv", [x, *names], strides=[stride] * 2, group=groups)
        if node.form == "transposed":
            x = self.numbered("DepthToSpace", [x], blocksize=2, mode="DCR")
        self.parts[node.target] = [self.numbered("Clip", [x, "low", "high"])]
        self.channels[node.target] = [node.outputs]

    def scale(self, node: Affine) -> None:
        def shaped(values: NDArray[np.float32]) -> str:
            return self.constant(values.reshape(1, -1, 1, 1), np.float32)

        x, slope = self.read(node.source), shaped(node.slope)
        if node.epsilon is not None:
            mean = self.numbered("ReduceMean", [x], axes=[2, 3], keepdims=1)
            x = self.numbered("Sub", [x, mean])
            variance = self.numbered("ReduceMean", [self.numbered("Mul", [x, x])], axes=[2, 3], keepdims=1)
            deviation = self.numbered("Sqrt", [self.numbered("Add", [variance, shaped(node.epsilon)])])
            x = self.numbered("Div", [x, deviation])
        x = self.numbered("Add", [self.numbered("Mul", [x, slope]), shaped(node.offset)])
        if node.negative < 1:
            x = self.numbered("LeakyRelu", [x], alpha=node.negative)
        low, high = "low", "high"
        if node.wide:
            x = self.numbered("Add", [x, self.read(node.addend)]) if node.addend else x
        else:
            x = self.numbered("Add", [x, self.constant(node.zero, np.float32)])
            low, high = self.constant(0, np.float32), "bytes"
        made = self.numbered("Clip", [x, low, high])
        self.parts.setdefault(node.target, []).append(made)
        self.channels.setdefault(node.target, []).append(len(node.slope))

    def paint(self, node: Paint) -> None:
        """The curve through the thresholds, at each of which the byte is between two; then the picture's own size."""
        numbers = np.arange(WORDS) - WORDS // 2
        table = np.interp(numbers, node.thresholds - 0.5, np.arange(255) + 0.5) / 255
        places = self.numbered("Add", [self.read(node.source), self.constant(WORDS // 2 + 0.5, np.float32)])
        whole = self.numbered("Cast", [self.numbered("Floor", [places])], to=7)
        x = self.numbered("Gather", [self.constant(table, np.float32), whole])
        begin, end = self.constant([2], np.int64), self.constant([4], np.int64)
        size = self.numbered("Slice", [self.numbered("Shape", ["content"]), begin, end])
        self.numbered("Slice", [x, self.constant([0, 0], np.int64), size, self.constant([2, 3], np.int64)])


def _phases(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """A transposed kernel [O, I, k, k] as one of 3x3 for each phase, [4 O, I, 3, 3], that sees a row above and one below."""
    outputs, inputs, kernel, _ = weights.shape
    phases = np.zeros((2, 2, outputs, inputs, 3, 3), np.float32)
    met = [[(1 + (parity + 1 - k) // 2, k) for k in range(kernel) if (k + parity) % 2] for parity in (0, 1)]
    for row in (0, 1):
        for column in (0, 1):
            for y, ky in met[row]:
                for x, kx in met[column]:
                    phases[row, column, :, :, y, x] = weights[:, :, ky, kx]
    return phases.reshape(4 * outputs, inputs, 3, 3)
