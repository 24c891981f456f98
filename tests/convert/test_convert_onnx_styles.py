"""Networks in ONNX files whose styles an input chooses: how exporters write them, and what does not choose a style."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from trained_pair import as_tensor, calibration_photographs, content_photograph, psnr

from fastnst import cli
from fastnst.convert import convert, pictures
from fastnst.convert.graph import run_float
from fastnst.convert.recognition import recognise
from fastnst.convert.trained_generator import TrainedGenerator
from fastnst.engine import Engine
from fastnst.format.reading import read

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install '.[onnx]'")
from onnx import TensorProto, helper  # noqa: E402
from onnx_graphs import Graph  # noqa: E402

STYLES, WIDTH = 4, 6
FLOOR = 33.0
"""dB, as of other layouts."""


class Summed(nn.Module):
    """Rows summed by weights, and a norm in means and roots."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(1 + 0.5 * (torch.rand(STYLES, channels) - 0.5))
        self.beta = nn.Parameter(0.6 * (torch.rand(STYLES, channels) - 0.5))

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        gamma, beta = ((weights[:, None] * each).sum(0).view(1, -1, 1, 1) for each in (self.gamma, self.beta))
        mean = x.mean((2, 3), keepdim=True)
        return (x - mean) * (1 / torch.sqrt(((x - mean) ** 2).mean((2, 3), keepdim=True) + 1e-5)) * gamma + beta


class Multiplied(Summed):
    """A product of matrices, and what comes of it as the norm's own parameters."""

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return F.instance_norm(x) * (weights @ self.gamma)[:, :, None, None] + (weights @ self.beta)[:, :, None, None]


class Linear(nn.Module):
    """A linear layer of the weights, with a bias: both halves at once."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(STYLES, 2 * channels)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        gamma, beta = self.linear(weights).chunk(2, 1)
        return F.instance_norm(x) * (1 + gamma)[..., None, None] + beta[..., None, None]


class Embedded(nn.Module):
    """An embedding of the style's number: both halves at once, through a layer that no weights could go through."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(STYLES, 2 * channels)

    def forward(self, x: Tensor, number: Tensor) -> Tensor:
        gamma, beta = self.embedding(number).chunk(2, 1)
        return (1 + 0.4 * gamma * gamma)[..., None, None] * F.instance_norm(x) + 0.3 * beta[..., None, None]


class Picked(Summed):
    """A row by its number."""

    def forward(self, x: Tensor, number: Tensor) -> Tensor:
        return F.instance_norm(x) * self.gamma[number].view(1, -1, 1, 1) + self.beta[number].view(1, -1, 1, 1)


class Scaled(Summed):
    """No norm at all: channels multiplied and shifted by the style."""

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return x * (weights @ self.gamma)[..., None, None] + (weights @ self.beta)[..., None, None]


KINDS: dict[str, tuple[Callable[[int], nn.Module], Tensor]] = {
    "summed": (Summed, torch.zeros(STYLES)),
    "multiplied": (Multiplied, torch.zeros(1, STYLES)),
    "linear": (Linear, torch.zeros(1, STYLES)),
    "embedded": (Embedded, torch.zeros(1, dtype=torch.int64)),
    "picked": (Picked, torch.tensor(0)),
    "scaled": (Scaled, torch.zeros(1, STYLES)),
}
"""Norms, and what is given to them."""


class Network(nn.Module):
    """Down, a block, up, and every norm in the style, the last one's too; the picture itself is scaled by it as well."""

    def __init__(self, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.first = Scaled(3) if norm is Scaled else None
        self.stem, self.down = nn.Conv2d(3, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, WIDTH, 3, 2, 1)
        self.block, self.head = nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, 3, 3, padding=1)
        self.norms = nn.ModuleList([*(norm(WIDTH) for _ in range(3)), norm(3)])

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        stem, down, block, head = self.norms
        x = self.first(x, style) if self.first else x
        low = F.relu(down(self.down(F.relu(stem(self.stem(x), style))), style))
        low = low + block(self.block(low), style)
        return torch.tanh(head(self.head(F.interpolate(low, scale_factor=2)), style))


class Case:
    """A network as a file, and what it makes itself."""

    def __init__(self, name: str, folder: Path) -> None:
        make, self.style = KINDS[name]
        torch.manual_seed(1)
        self.network, self.path = Network(make), folder / f"{name}.onnx"
        self.network.head.weight.data *= 5  # for the contrast of what no norm follows
        axes = {"x": {2: "height", 3: "width"}, "y": {2: "height", 3: "width"}}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an exporter that is no longer the default
            torch.onnx.export(
                self.network.eval(), (torch.zeros(1, 3, 32, 32), self.style), str(self.path), dynamo=False,
                input_names=["x", "style"], output_names=["y"], dynamic_axes=axes,
            )  # fmt: skip

    @torch.no_grad()
    def made(self, picture: Tensor, parts: list[float]) -> Tensor:
        """0..255, of a picture uint8 [1, 3, H, W]; parts of a mixture only where the network takes weights."""
        whole = self.style.dtype == torch.int64
        style = torch.tensor(parts.index(1.0)) if whole else torch.tensor(parts)
        return (self.network(picture.float() / 127.5 - 1, style.reshape(self.style.shape)) + 1) * 127.5


@pytest.fixture(scope="module", params=KINDS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(request.param, tmp_path_factory.mktemp("styles"))


def one(style: int) -> list[float]:
    return [float(each == style) for each in range(STYLES)]


def test_every_style_is_what_the_network_makes(case: Case) -> None:
    found = recognise([case.path])
    assert isinstance(found.trained, TrainedGenerator)
    assert found.trained.styles == STYLES and f", {STYLES} styles" in found.what
    picture = as_tensor(content_photograph()[100:164, 60:108])
    seen = set()
    for style in range(STYLES):
        with torch.no_grad():
            made = (run_float(found.trained.nodes, picture.float() / 127.5 - 1, style) + 1) * 127.5
        wanted = case.made(picture, one(style))
        torch.testing.assert_close(made, wanted, rtol=0, atol=1e-3 * 127.5)
        seen.add(round(float(wanted.mean()), 3))
    assert len(seen) == STYLES


def test_eight_bits_stay_close_in_every_style_and_mixture(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "SHORT_SIDE", 64)
    card = convert(case.path, calibration_photographs(tmp_path), tmp_path / "mine.fnst")
    assert card["styles"] == STYLES and card["psnr"] > FLOOR
    engine, picture = Engine(tmp_path / "mine.fnst"), np.ascontiguousarray(content_photograph()[20:84, 90:154])
    assert engine.styles == STYLES
    mixtures = [one(style) for style in range(STYLES)]
    mixtures += [] if case.style.dtype == torch.int64 else [[0.25, 0.0, 0.75, 0.0]]
    for parts in mixtures:
        wanted = case.made(as_tensor(picture), parts)[0].permute(1, 2, 0).numpy()
        assert wanted.std() > 15
        assert psnr(engine.translate(picture, styles=parts), wanted) > FLOOR, parts


def test_the_export_is_read_back_with_its_styles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    monkeypatch.setattr(pictures, "SHORT_SIDE", 64)
    (tmp_path / "photographs").mkdir()
    photographs = calibration_photographs(tmp_path / "photographs")
    for name in ("multiplied", "scaled"):
        path, out = tmp_path / f"{name}.fnst", tmp_path / f"{name}-out.onnx"
        convert(Case(name, tmp_path).path, photographs, path)
        assert cli.main(["export", str(path), "-o", str(out)]) == 0
        session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
        picture, parts = np.ascontiguousarray(content_photograph()[20:84, 90:154]), [0.1, 0.2, 0.3, 0.4]
        given = {"content": (picture.transpose(2, 0, 1)[None] / 255).astype(np.float32), "style_weights": np.float32(parts)}
        made = session.run(None, given)[0][0].transpose(1, 2, 0) * 255
        assert psnr(Engine(path).translate(picture, styles=parts), made) > FLOOR
        convert(out, photographs, tmp_path / "back.fnst", overwrite=True)
        assert len(read(tmp_path / "back.fnst").nodes) == len(read(path).nodes)  # type: ignore[union-attr]
        assert psnr(Engine(tmp_path / "back.fnst").translate(picture, styles=parts), made) > FLOOR


# ---- what does not choose a style ----


def beside(make: Callable[[Graph, str], str], kind: int, shape: list[Any], path: Path) -> Path:
    """A file of a network with one more input, ``s``."""
    graph = Graph()
    model = graph.model(make(graph, "x"))
    model.graph.input.append(helper.make_tensor_value_info("s", kind, shape))
    onnx.save(model, path)
    return path


def ended(g: Graph, x: str, factor: str) -> str:
    """A convolution, times a factor of each of its channels."""
    shaped = g.add("Reshape", [factor, g.constant([1, -1, 1, 1], np.int64)])
    return g.add("Tanh", [g.conv(g.add("Mul", [g.conv(x, 3, 4), shaped]), 4, 3)])


def table(g: Graph) -> str:
    return g.constant(g.random.normal(0, 1, (5, 4)))


REFUSED: dict[str, tuple[Callable[[Graph, str], str], int, list[Any], str]] = {
    "squares": (
        lambda g, x: ended(g, x, g.add("MatMul", [g.add("Mul", ["s", "s"]), table(g)])),
        TensorProto.FLOAT,
        [5],
        "makes of a mixture of styles another one than the weights say",
    ),
    "softmax": (
        lambda g, x: ended(g, x, g.add("MatMul", [g.add("Softmax", ["s"]), table(g)])),
        TensorProto.FLOAT,
        [5],
        "Softmax '/v0' is of an operator that fastnst does not take",
    ),
    "one number": (
        lambda g, x: ended(g, x, g.add("Mul", ["s", table(g)])),
        TensorProto.FLOAT,
        [1],
        "its input 's' is one number, where weights of several styles could be",
    ),
    "weights without a count": (
        lambda g, x: ended(g, x, g.add("MatMul", ["s", table(g)])),
        TensorProto.FLOAT,
        ["N"],
        "its input 's' is one number",
    ),
    "weights of others": (
        lambda g, x: ended(g, x, g.add("MatMul", ["s", table(g)])),
        TensorProto.FLOAT,
        [6],
        "MatMul '/v0' cannot be computed",
    ),
    "a number that is added": (
        lambda g, x: ended(g, x, g.add("Cast", [g.add("Add", ["s", g.constant([1], np.int64)])], to=1)),
        TensorProto.INT64,
        [1],
        "is a whole number, by which no Gather chooses among the rows of a constant",
    ),
    "two numbers": (
        lambda g, x: ended(g, x, g.add("Gather", [table(g), "s"])),
        TensorProto.INT64,
        [2],
        "its input 's' is 2 whole numbers; one chooses a style",
    ),
    "too many": (
        lambda g, x: ended(g, x, g.add("Gather", [g.constant(np.zeros((1025, 4))), "s"])),
        TensorProto.INT64,
        [],
        "chooses one of 1025 styles; 1024 are the most",
    ),
    "nothing": (
        lambda g, x: g.add("Tanh", [g.conv(x, 3, 3)]),
        TensorProto.FLOAT,
        [5],
        "its input 's' chooses nothing",
    ),
    "a vector of a style": (
        lambda g, x: ended(g, x, g.conv("s", 5, 4, 1)),
        TensorProto.FLOAT,
        [1, 5, 1, 1],
        "2 inputs (x, s), expected one picture, and at most the number or the weights of a style beside it",
    ),
    "weights of a convolution": (
        lambda g, x: g.add("Tanh", [g.add("Conv", [x, g.add("Reshape", ["s", g.constant([3, 3, 1, 1], np.int64)])])]),
        TensorProto.FLOAT,
        [9],
        "Conv '/v1': its input 'v0' has to be constant, the same in all styles",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_choose_a_style_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    make, kind, shape, words = REFUSED[name]
    path = beside(make, kind, shape, tmp_path / "network.onnx")
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the words below tell
        recognise([path])
    assert words in str(caught.value) and "\n" not in str(caught.value)
