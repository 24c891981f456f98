"""AdaIN networks as ONNX graphs (opset 17, free height and width), built by hand in the cleanest form for runtimes."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from fastnst.format.floatnet import EPS, Conv, Network

ADAIN_PREFIX = "adain."
"""Names of the nodes between encoder and decoder begin so; quantisers are told to leave them alone."""


class Graph:
    """Nodes and constants under construction."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, Any] = {
            "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
            "scales": np.array([1, 1, 2, 2], np.float32),
            "eps": np.array(EPS, np.float32),
        }

    def add(self, operation: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Append a node; its only output bears its name."""
        self.nodes.append(helper.make_node(operation, inputs, [name], name=name, **attributes))
        return name

    def convolution(self, x: str, conv: Conv, name: str, constant: str) -> str:
        """One layer with what comes before and after it; ``constant`` names its weights, which two layers may share."""
        self.constants[f"{constant}.weights"], self.constants[f"{constant}.bias"] = conv.weights, conv.bias
        if conv.upsample:
            how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            x = self.add("Resize", [x, "", "scales"], f"{name}.upsample", **how)
        kernel = conv.weights.shape[-1]
        if kernel > 1:
            x = self.add("Pad", [x, "pads"], f"{name}.pad", mode="reflect")
        x = self.add("Conv", [x, f"{constant}.weights", f"{constant}.bias"], f"{name}.conv", kernel_shape=[kernel] * 2)
        if conv.relu:
            x = self.add("Relu", [x], f"{name}.relu")
        if conv.pool:
            x = self.add("MaxPool", [x], f"{name}.pool", kernel_shape=[2, 2], strides=[2, 2])
        return x

    def encoder(self, x: str, network: Network, constants: str = "encoder") -> str:
        for i, conv in enumerate(network.encoder):
            x = self.convolution(x, conv, f"{x.partition('.')[0]}.{i}", f"{constants}{i}")
        return x

    def statistics(self, x: str) -> tuple[str, str, str]:
        """Names of the mean of ``x``, of ``x`` less its mean, and of its deviation: sums of squares over n positions divided by
        n - 1 as in the published code and the engine, or by 1 if there is only one."""
        name = ADAIN_PREFIX + x.partition(".")[0]
        over = {"axes": [2, 3], "keepdims": 1}
        mean = self.add("ReduceMean", [x], f"{name}.mean", **over)
        centred = self.add("Sub", [x, mean], f"{name}.centred")
        square = self.add("Mul", [centred, centred], f"{name}.square")
        variance = self.add("Mul", [self.add("ReduceMean", [square], f"{name}.square.mean", **over), self._unbiased(x, name)],
                            f"{name}.variance")  # fmt: skip
        return mean, centred, self.add("Sqrt", [self.add("Add", [variance, "eps"], f"{name}.eps")], f"{name}.std")

    def _unbiased(self, x: str, name: str) -> str:
        """n / max(n - 1, 1) of the positions of ``x``."""
        self.constants["one"] = np.array(1, np.float32)
        sides = self.add(
            "Cast", [self.add("Shape", [x], f"{name}.sides", start=2, end=4)], f"{name}.lengths", to=TensorProto.FLOAT
        )
        count = self.add("ReduceProd", [sides], f"{name}.count", keepdims=0)
        others = self.add("Max", [self.add("Sub", [count, "one"], f"{name}.less"), "one"], f"{name}.others")
        return self.add("Div", [count, others], f"{name}.unbiased")

    def adain(self, content: str, mean: str, std: str) -> str:
        _, centred, own_std = self.statistics(content)
        unit = self.add("Div", [centred, own_std], f"{ADAIN_PREFIX}unit")
        return self.add("Add", [self.add("Mul", [unit, std], f"{ADAIN_PREFIX}scaled"), mean], f"{ADAIN_PREFIX}shifted")

    def model(self, inputs: dict[str, list[Any]]) -> ModelProto:
        """The checked model; the last node's output becomes the picture."""
        self.nodes[-1].output[0] = "picture"
        values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()}
        out = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, "H", "W"])
        read = {name for node in self.nodes for name in node.input}
        constants = [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in self.constants.items() if k in read]
        graph = helper.make_graph(self.nodes, "adain", list(values.values()), [out], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        checker.check_model(model)
        return model


def build(network: Network, style: str, twin: bool = False) -> ModelProto:
    """The whole pipeline for one way of giving the style.

    Args:
        style: ``given``: pictures ``content`` and ``style`` go in. ``cached``: ``content``, and the style's ``mean`` and
            ``std``.
        twin: give the style's encoder constants of its own. OpenVINO fuses bias, ReLU and requantisation into a convolution
            only where no other one shares its weights.
    """
    graph = Graph()
    picture = [1, 3, "H", "W"]
    if style == "given":
        inputs = {"content": picture, "style": [1, 3, "style_H", "style_W"]}
        content = graph.encoder("content", network)
        mean, _, std = graph.statistics(graph.encoder("style", network, "twin" if twin else "encoder"))
    else:
        vector = [1, network.channels, 1, 1]
        inputs = {"content": picture, "mean": vector, "std": vector}  # type: ignore[dict-item]
        content = graph.encoder("content", network)
        mean, std = "mean", "std"
    x = graph.adain(content, mean, std)
    for i, conv in enumerate(network.decoder):
        x = graph.convolution(x, conv, f"decoder.{i}", f"decoder{i}")
    return graph.model(inputs)
