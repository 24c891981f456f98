"""AdaIN models as ONNX graphs that compute in 8 bits (opset 17, free height and width): QuantizeLinear and DequantizeLinear
stand around each convolution, which is how runtimes are told to run it on bytes.

Weights, biases and the maps between layers are the model's own whole numbers. Padding, pools and doublings move bytes, so that
each convolution stands directly between its two, and runtimes fuse the three. AdaIN itself is float.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from fastnst.format.modelfile import AdainFile, Layer
from fastnst.format.onnxgraph import Graph

PIXEL = 1 / 255


def build_int8(model: AdainFile, cached: bool) -> ModelProto:
    """``content`` and ``style``, or if ``cached`` ``content`` and the style's ``mean`` and ``std``, to ``picture``: RGB 0..1,
    [1, 3, H, W]; vectors are [1, C, 1, 1]."""
    graph = _Int8Graph()
    picture: list[Any] = [1, 3, "H", "W"]
    content = graph.encoder_of(model, "content")
    if cached:
        mean, std = "mean", "std"
        vector = [1, model.encoder[-1].outputs, 1, 1]
        inputs = {"content": picture, "mean": vector, "std": vector}
    else:
        mean, _, std = graph.statistics(graph.encoder_of(model, "style"))
        inputs = {"content": picture, "style": [1, 3, "style_H", "style_W"]}
    x = graph.adain(content, mean, std)
    x, zero = graph.quantised(x, model.decoder_scale, model.decoder_zero, "decoder.input"), model.decoder_zero
    for i, layer in enumerate(model.decoder):
        x, zero = graph.layer(x, zero, layer, f"decoder.{i}", f"decoder{i}"), layer.zero
    graph.dequantised(x, PIXEL, 0, "decoder.output")  # a picture's 0 is black, whatever level the last layer calls zero
    return graph.model(inputs)


class _Int8Graph(Graph):
    """Between layers maps are counted in steps of 1, so that a runtime multiplies by the file's own multipliers."""

    def encoder_of(self, model: AdainFile, picture: str) -> str:
        """The features of an input, in real units."""
        x, zero = self.quantised(picture, PIXEL, 0, f"{picture}.bytes"), 0
        for i, layer in enumerate(model.encoder):
            x, zero = self.layer(x, zero, layer, f"{picture}.{i}", f"encoder{i}"), layer.zero
        return self.dequantised(x, model.feature_scale, zero, f"{picture}.features")

    def layer(self, x: str, zero: int, layer: Layer, name: str, constant: str) -> str:
        """Bytes, of which ``zero`` stands for 0, to bytes; ``constant`` names the weights, which two layers may share."""
        by_phase = layer.weights.ndim > 4
        if layer.upsample and not by_phase:
            how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            x = self.add("Resize", [x, "", "scales"], f"{name}.upsample", **how)
        if layer.kernel > 1:
            # Reflection of what is doubled is repetition of the edge of what is not.
            x = self.add("Pad", [x, "pads"], f"{name}.pad", mode="edge" if by_phase else "reflect")
        weights = _as_one(layer.weights) if by_phase else np.moveaxis(layer.weights, -1, -3)
        self.constants |= {
            f"{constant}.weights": weights,
            f"{constant}.zeros": np.zeros(len(weights), np.int8),
            f"{constant}.bias": (layer.bias.reshape(-1) + zero * weights.astype(np.int64).sum((1, 2, 3))).astype(np.int32),
            f"{constant}.steps": layer.multiplier.reshape(-1),
        }
        own = [f"{constant}.{each}" for each in ("weights", "steps", "zeros")]
        real = [
            self.dequantised(x, 1, zero, f"{name}.in"),
            self.add("DequantizeLinear", own, f"{name}.weights", axis=0),
            self.add("DequantizeLinear", [f"{constant}.bias", f"{constant}.steps"], f"{name}.bias", axis=0),
        ]
        x = self.add("Conv", real, f"{name}.conv", kernel_shape=list(weights.shape[2:]))
        x = self.quantised(x, 1, layer.zero, f"{name}.out")  # where its zero is byte 0, this is the ReLU
        if by_phase:
            x = self.add("DepthToSpace", [x], f"{name}.phases", blocksize=2, mode="DCR")
        if layer.pool != "none":
            sides, up = [2, 2], int(layer.pool == "ceil")
            x = self.add("MaxPool", [x], f"{name}.pool", kernel_shape=sides, strides=sides, ceil_mode=up)
        return x

    def quantised(self, x: str, step: float, zero: int, name: str) -> str:
        return self.add("QuantizeLinear", [x, *self._grid(step, zero)], name)

    def dequantised(self, x: str, step: float, zero: int, name: str) -> str:
        return self.add("DequantizeLinear", [x, *self._grid(step, zero)], name)

    def _grid(self, step: float, zero: int) -> tuple[str, str]:
        names = f"step {step!r}", f"zero {zero}"
        self.constants |= {names[0]: np.array(step, np.float32), names[1]: np.array(zero, np.uint8)}
        return names


def _as_one(phases: NDArray[np.int8]) -> NDArray[np.int8]:
    """Kernels [4, O, 2, 2, I], of which each meets two rows and columns of three, as [4 O, I, 3, 3]."""
    _, outputs, _, _, inputs = phases.shape
    whole = np.zeros((4, outputs, inputs, 3, 3), np.int8)
    for phase, (row, column) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        whole[phase, :, :, row : row + 2, column : column + 2] = np.moveaxis(phases[phase], -1, -3)
    return whole.reshape(-1, inputs, 3, 3)
