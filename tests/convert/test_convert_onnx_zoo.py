"""Fast neural style as the ONNX Model Zoo has it: opset 9, and upsampling by what is computed of the sides of its maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx_graphs import Graph

from fastnst.convert.builder import Numbers
from fastnst.convert.generator import quantise_graph
from fastnst.convert.graph import FloatConv, run_float
from fastnst.convert.recognition import recognise
from fastnst.convert.trained_generator import TrainedGenerator
from fastnst.engine import Engine
from fastnst.format.graphfile import GeneratorFile
from fastnst.format.modelfile import to_bytes

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install '.[onnx]'")

from onnx.reference import ReferenceEvaluator  # noqa: E402

INTEGERS, FLOATS = 7, 1
BYTES = Numbers(0.0, 255.0)


def padded(g: Graph, x: str, inputs: int, outputs: int, kernel: int, stride: int = 1) -> str:
    around = [0, 0, kernel // 2, kernel // 2] * 2
    return g.conv(g.add("Pad", [x], mode="reflect", pads=around), inputs, outputs, kernel, strides=[stride] * 2, pads=[0] * 4)


def norm(g: Graph, x: str, channels: int) -> str:
    gain = g.constant(1 + g.random.normal(0, 0.2, channels))
    return g.add("InstanceNormalization", [x, gain, g.weights(channels)], epsilon=1e-5)


def side(g: Graph, x: str, axis: int, ways: str) -> str:
    """Twice a side, rounded down, in floating point or in whole numbers, as one number or as an array of one."""
    own = g.add("Gather", [g.add("Shape", [x]), g.constant(axis, np.int64)], axis=0)
    if ways == "whole":
        return g.add("Unsqueeze", [g.add("Mul", [own, g.constant(2, np.int64)])], axes=[0])
    large = g.add("Floor", [g.add("Mul", [g.add("Cast", [own], to=FLOATS), g.constant(2.0)])])
    return g.add("Unsqueeze", [g.add("Cast", [large], to=INTEGERS)], axes=[0])


def upsampled(g: Graph, x: str, ways: str) -> str:
    """Scales from the sides that there shall be and those that there are."""
    wanted = g.add("Cast", [g.add("Concat", [side(g, x, 2, ways), side(g, x, 3, ways)], axis=0)], to=FLOATS)
    there = g.add("Slice", [g.add("Shape", [x])], axes=[0], starts=[2], ends=[2**63 - 1])
    factors = g.add("Div", [wanted, g.add("Cast", [there], to=FLOATS)])
    return g.add("Upsample", [x, g.add("Concat", [g.constant([1, 1]), factors], axis=0)], mode="nearest")


def network(sides: tuple[Any, Any], ways: str, width: int = 6) -> Any:
    """What pytorch/examples trains, of two blocks, with weights that nobody has trained."""
    g, w = Graph(9, sides=sides), width
    x, low = g.add("Div", ["x", g.constant(64.0)]), 4 * w
    for inputs, outputs, kernel, stride in ((3, w, 9, 1), (w, 2 * w, 3, 2), (2 * w, low, 3, 2)):
        x = g.add("Relu", [norm(g, padded(g, x, inputs, outputs, kernel, stride), outputs)])
    for _ in range(2):
        y = g.add("Relu", [norm(g, padded(g, x, low, low, 3), low)])
        x = g.add("Add", [norm(g, padded(g, y, low, low, 3), low), x])
    for inputs, outputs in ((low, 2 * w), (2 * w, w)):
        x = g.add("Relu", [norm(g, padded(g, upsampled(g, x, ways), inputs, outputs, 3), outputs)])
    picture = g.add("Add", [g.add("Mul", [padded(g, x, w, 3, 9), g.constant(40.0)]), g.constant(127.0)])
    return g.model(picture)


def test_a_network_of_the_zoo_is_told_how_it_writes_pictures(tmp_path: Path) -> None:
    """It ends in a convolution, as published: what clips its numbers is not in the file."""
    onnx.save(network((48, 64), "float"), tmp_path / "mosaic.onnx")
    with pytest.raises(ValueError, match=r"so --values has to say how it writes pictures: .* bytes 0\.\.255"):
        recognise([tmp_path / "mosaic.onnx"])


@pytest.mark.parametrize("sides", [(48, 64), ("H", "W")], ids=["fixed", "free"])
@pytest.mark.parametrize("ways", ["float", "whole"])
def test_scales_that_a_graph_computes_of_sides_double_its_maps(ways: str, sides: tuple[Any, Any], tmp_path: Path) -> None:
    model = network(sides, ways)
    onnx.checker.check_model(model)
    onnx.save(model, tmp_path / "mosaic.onnx")
    trained = recognise([tmp_path / "mosaic.onnx"], BYTES).trained
    assert isinstance(trained, TrainedGenerator)
    turned = [node for node in trained.nodes if isinstance(node, FloatConv) and node.form == "transposed"]
    assert [(tuple(node.weight.shape), node.border) for node in turned] == [
        ((12, 24, 4, 4), "repeated"),
        ((6, 12, 4, 4), "repeated"),
    ]
    shape = (1, 3, 40, 64) if sides == ("H", "W") else (1, 3, 48, 64)
    small = np.random.default_rng(0).integers(0, 256, (1, 3, shape[2] // 8, shape[3] // 8)).astype(np.float32)
    picture = torch.nn.functional.interpolate(torch.from_numpy(small), size=shape[2:], mode="bicubic").clamp(0, 255).round()
    (wanted,) = ReferenceEvaluator(str(tmp_path / "mosaic.onnx")).run(None, {"x": picture.numpy()})
    assert wanted.std() > 20
    wanted = wanted.clip(0, 255)
    made = (run_float(trained.nodes, picture / 127.5 - 1) + 1) * 127.5
    np.testing.assert_allclose(made.numpy(), wanted, rtol=0, atol=0.01)
    nodes, _, _ = quantise_graph(trained.nodes, [picture.to(torch.uint8)])
    engine = Engine(to_bytes(GeneratorFile({"name": "mosaic", "kind": "generator"}, nodes)))
    eight = engine.translate(np.ascontiguousarray(picture[0].permute(1, 2, 0).numpy().astype(np.uint8)))
    error = eight.astype(np.float64) - wanted[0].transpose(1, 2, 0)
    assert 10 * np.log10(255**2 / (error**2).mean()) > 33
