"""How ONNX networks read and write pictures: what is done to them within the graph, what is beyond their edges, channels last,
and files of 8 bits. The float graph computes what ONNX's own reference does, and the engine comes close."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_graphs import Graph
from PIL import Image
from trained_pair import content_photograph, psnr

from fastnst.convert import convert
from fastnst.convert.builder import Numbers
from fastnst.convert.graph import run_float
from fastnst.convert.recognition import Recognised, recognise
from fastnst.convert.trained_generator import TrainedGenerator
from fastnst.engine import Engine

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install '.[onnx]'")

from onnx.reference import ReferenceEvaluator  # noqa: E402

FLOOR = 38.0
"""dB of the engine beside the reference; the networks are short."""
Make = Callable[[Graph], str]


def scaled(g: Graph, x: str, factor: float, more: float) -> str:
    return g.add("Add", [g.add("Mul", [x, g.constant(factor)]), g.constant(more)])


def tanh(g: Graph, x: str, outputs: int = 3) -> str:
    return g.add("Tanh", [g.conv(x, 6, outputs, 3)])


def middle(g: Graph, x: str, kernel: int = 3) -> str:
    return g.add("Relu", [g.conv(x, 3, 6, kernel)])


def imagenet(g: Graph) -> str:
    """Mean and deviation of each channel taken off first: 0, which is put around, is another colour."""
    mean, deviation = (g.constant(np.reshape(each, (1, 3, 1, 1))) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x = g.add("Div", [g.add("Sub", ["x", mean]), deviation])
    return g.add("Sigmoid", [g.conv(middle(g, x), 6, 3)])


def bytes_within(g: Graph) -> str:
    """0..255 outside, -1..1 inside."""
    x = g.add("Sub", [g.add("Div", ["x", g.constant(127.5)]), g.constant(1)])
    y = scaled(g, tanh(g, middle(g, x)), 127.5, 127.5)
    return g.add("Clip", [y, g.constant(0), g.constant(255)])


def further(g: Graph) -> str:
    """Fast neural style of TensorFlow: tanh reaches beyond black and white, and a clip cuts that off."""
    y = scaled(g, tanh(g, middle(g, scaled(g, "x", 0.01, 0), 9)), 150, 127.5)
    return g.add("Cast", [g.add("Cast", [g.add("Clip", [y, g.constant(0), g.constant(255)])], to=2)], to=1)


def residual(g: Graph) -> str:
    return g.add("Clip", [g.add("Add", ["x", g.conv(middle(g, "x"), 6, 3)]), g.constant(0), g.constant(1)])


def beside(g: Graph) -> str:
    """The picture beside other maps, through a ReLU, and by convolutions with other borders."""
    pads = g.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    reflected = g.conv(g.add("Pad", ["x", pads], mode="reflect"), 3, 3, 3, pads=[0] * 4)
    x = g.add("Concat", [g.conv("x", 3, 3), "x", g.add("Relu", ["x"]), reflected], axis=1)
    return g.add("Tanh", [g.conv(x, 12, 3, 1)])


def halves(g: Graph) -> str:
    """To 0..1 behind tanh."""
    return scaled(g, tanh(g, middle(g, "x")), 0.5, 0.5)


def normed_end(g: Graph) -> str:
    y = g.add("InstanceNormalization", [g.conv(middle(g, "x"), 6, 3), g.constant([0.5] * 3), g.constant([0.1] * 3)])
    return g.add("Tanh", [y])


def doubled_end(g: Graph) -> str:
    low = g.conv("x", 3, 3, 3, strides=[2, 2])
    return g.add("Sigmoid", [g.add("Resize", [low, "", g.constant([1, 1, 2, 2])], mode="nearest")])


def shuffled_end(g: Graph) -> str:
    low = g.conv("x", 3, 6, 3, strides=[2, 2])
    return g.add("Sigmoid", [g.add("DepthToSpace", [g.conv(low, 6, 12)], blocksize=2, mode="CRD")])


def last(g: Graph) -> str:
    """As TensorFlow's networks come: channels last, and a constant for each."""
    x = g.add("Sub", ["x", g.constant([0.4, 0.5, 0.6])])
    y = g.add("Sigmoid", [g.conv(middle(g, g.add("Transpose", [x], perm=[0, 3, 1, 2]), 1), 6, 3)])
    return g.add("Transpose", [y], perm=[0, 2, 3, 1])


def eight_bits(g: Graph) -> str:
    """As quantisers write: pairs around all maps, of which those behind what was a ReLU begin at 0."""
    g.opset = 21

    def pair(x: str, low: float, high: float) -> str:
        step = (high - low) / 255
        given = [g.constant(np.float32(step)), g.constant(round(-low / step), np.uint8)]
        return g.add("DequantizeLinear", [g.add("QuantizeLinear", [x, *given]), *given])

    def conv(x: str, inputs: int, outputs: int) -> str:
        weight = g.constant(g.random.integers(-127, 128, (outputs, inputs, 3, 3)), np.int8)
        scales = g.constant(g.random.uniform(0.5, 1, outputs) / 127 * 0.5)
        bias = g.constant(g.random.integers(-20, 20, outputs), np.int32)
        zeros = g.constant([0] * outputs, np.int8)
        weight = g.add("DequantizeLinear", [weight, scales, zeros], axis=0)
        return g.add("Conv", [x, weight, g.add("DequantizeLinear", [bias, scales], axis=0)], pads=[1] * 4)

    x = pair("x", -1, 1)
    x = pair(conv(x, 3, 6), 0, 6)
    return pair(g.add("Tanh", [pair(conv(x, 6, 3), -6, 6)]), -1, 1)


CASES: dict[str, tuple[Make, tuple[float, float] | None, float, float, float]] = {
    "mean and deviation": (imagenet, None, 0, 1, 2e-4),
    "bytes outside": (bytes_within, None, 0, 255, 0.05),
    "beyond white": (further, None, 0, 255, 1.01),  # rounded down by the file itself
    "what is added to the picture": (residual, None, 0, 1, 2e-4),
    "the picture beside other maps": (beside, None, -1, 1, 2e-4),
    "tanh to 0..1": (halves, None, 0, 1, 2e-4),
    "a norm at the end": (normed_end, None, -1, 1, 2e-4),
    "an upsampled end": (doubled_end, None, 0, 1, 2e-4),
    "a shuffled end": (shuffled_end, None, 0, 1, 2e-4),
    "channels last": (last, None, 0, 1, 2e-4),
    "8 bits": (eight_bits, None, -1, 1, 0.1),  # steps of 1/42 within
    "given values": (lambda g: g.conv(middle(g, "x"), 6, 3), (0.0, 255.0), 0, 255, 0.05),
}
"""Networks, what is said of how they write pictures, black and white, and how far floats may be apart."""


class Case:
    def __init__(self, name: str, folder: Path) -> None:
        make, self.given, self.low, self.high, self.tolerance = CASES[name]
        g = Graph(last=make is last)
        self.last, self.path = g.last, folder / "network.onnx"
        model = g.model(make(g))
        onnx.checker.check_model(model)
        onnx.save(model, self.path)

    def recognised(self) -> Recognised:
        return recognise([self.path], None if self.given is None else Numbers(*self.given))

    def painted(self, picture: np.ndarray) -> np.ndarray:
        """What the reference makes of a picture [H, W, 3], 0..255, in the network's numbers; the same shape."""
        x = (picture[None] / 255 * (self.high - self.low) + self.low).astype(np.float32)
        (made,) = ReferenceEvaluator(str(self.path)).run(None, {"x": x if self.last else x.transpose(0, 3, 1, 2)})
        return np.asarray(made if self.last else made.transpose(0, 2, 3, 1))[0]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(request.param, tmp_path_factory.mktemp("onnx"))


def test_the_graph_computes_what_the_network_does(case: Case) -> None:
    trained = case.recognised().trained
    assert isinstance(trained, TrainedGenerator)
    picture = content_photograph()[100:148, 60:132]
    given = torch.from_numpy(picture.transpose(2, 0, 1)[None] / 127.5 - 1).float()
    made = run_float(trained.nodes, given)[0].permute(1, 2, 0).clamp(-1, 1).numpy()
    wanted = case.painted(picture).clip(case.low, case.high)
    assert wanted.std() > 0.05 * (case.high - case.low)
    np.testing.assert_allclose((made + 1) / 2 * (case.high - case.low) + case.low, wanted, rtol=0, atol=case.tolerance)


def test_the_engine_comes_close(case: Case, tmp_path: Path) -> None:
    picture = np.ascontiguousarray(content_photograph()[60:140, 40:136])
    Image.fromarray(content_photograph()).save(tmp_path / "photograph.png")
    convert(case.path, tmp_path, tmp_path / "mine.fnst", values=case.given)
    wanted = (case.painted(picture).clip(case.low, case.high) - case.low) / (case.high - case.low) * 255
    assert psnr(Engine(tmp_path / "mine.fnst").translate(picture), wanted) > (30 if case.tolerance == 0.1 else FLOOR)


def test_pairs_of_quantisers_are_said_to_be_left_out(tmp_path: Path) -> None:
    assert ", 4 quantisers left out" in Case("8 bits", tmp_path).recognised().what
