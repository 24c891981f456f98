"""ONNX graphs of a picture, built by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper


class Graph:
    """Nodes and constants under construction; the picture is ``x`` [1, 3, H, W], or [1, H, W, 3] if ``last``."""

    def __init__(self, opset: int = 17, last: bool = False, sides: tuple[Any, Any] = ("H", "W")) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self.opset, self.last, self.sides = opset, last, sides
        self.random = np.random.default_rng(5)

    def constant(self, value: Any, kind: Any = np.float32) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = np.asarray(value, kind)
        return name

    def weights(self, *shape: int, spread: float | None = None) -> str:
        """Random ones, that keep the size of what they are multiplied with."""
        fan = np.prod(shape[1:]) if len(shape) > 1 else 1
        return self.constant(self.random.normal(0, spread or (1.5 / fan**0.5 if len(shape) > 1 else 0.2), shape))

    def add(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        made = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [made], name=f"/{made}", **attributes))
        return made

    def conv(self, x: str, inputs: int, outputs: int, kernel: int = 3, **attributes: Any) -> str:
        given = {"pads": [kernel // 2] * 4} | attributes
        shape = (outputs, inputs // attributes.get("group", 1), kernel, kernel)
        return self.add("Conv", [x, self.weights(*shape), self.weights(outputs)], **given)

    def model(self, y: str) -> ModelProto:
        shape = [1, *self.sides, 3] if self.last else [1, 3, *self.sides]
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        out = helper.make_tensor_value_info(y, TensorProto.FLOAT, [None] * 4)
        constants = [numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, "network", [x], [out], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 10
        return model
