"""Networks in ONNX files: what PyTorch's exporter writes computes the same here, and what cannot is refused in one line."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from foreign_networks import AFFINE, BATCH, ExamplesTransformer, Resnet, Unet, tuned
from torch import Tensor, nn
from trained_pair import as_tensor, calibration_photographs, content_photograph, psnr

import fastnst
from fastnst.convert import convert, pictures
from fastnst.convert.builder import Numbers
from fastnst.convert.graph import run_float
from fastnst.convert.recognition import recognise
from fastnst.convert.trained_generator import TrainedGenerator
from fastnst.engine import Engine

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install '.[onnx]'")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FLOOR = 33.0
"""dB, as of other layouts."""


class Fixed(nn.Module):
    """Halves and doubles pictures of nine rows, and takes no others."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 4, 3, 2, 1), nn.ConvTranspose2d(4, 3, 3, 2, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] != 9:
            raise RuntimeError("nine rows\nare expected")
        return torch.tanh(self.up(self.down(x)))


class Mixed(nn.Module):
    """What no published layout has: kernels 2 and 5, borders of all kinds, three maps in one, sums behind activations, zeros
    around an upsampled map, another epsilon, and a map that two convolutions see with different borders."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 9, 5, padding=2, padding_mode="replicate")
        self.norm = nn.InstanceNorm2d(9, eps=1e-2, affine=True)
        self.down = nn.Conv2d(9, 12, 3, 2, 1)
        self.own = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.other = nn.Conv2d(12, 12, 3, padding=1, padding_mode="reflect")
        self.batch = nn.BatchNorm2d(12, eps=1e-2)
        self.wide = nn.Conv2d(24, 10, 1)
        self.up = nn.ConvTranspose2d(10, 7, 2, 2)
        self.doubled = nn.Conv2d(10, 6, 3, padding=1)
        self.head = nn.Conv2d(22, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        first = F.leaky_relu(self.norm(self.stem(x)), 0.3)
        low = F.relu(self.down(first))
        total = F.relu(self.batch(self.other(low)) + F.leaky_relu(self.own(low), 0.1))
        joined = F.relu(self.wide(torch.cat([total + low, low], 1)))
        up, doubled = F.relu(self.up(joined)), F.relu(self.doubled(F.interpolate(joined, scale_factor=2)))
        return torch.tanh(self.head(torch.cat([up, doubled, F.relu(first)], 1)))


CASES: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "affine": (partial(Resnet, 6, 2, AFFINE, dropout=True), 1),
    "batch": (partial(Resnet, 8, 3, BATCH), 1),
    "mobile zeros": (partial(Resnet, 8, 2, mobile=True, reflects=False), 1),
    "unet": (partial(Unet, 8, 3), 8),
    "examples": (partial(ExamplesTransformer, 8, 1), 1),
    "mixed": (Mixed, 2),
}
"""Networks, and what they need sides to be multiples of."""


class Case:
    """A network as a file, and what it makes itself."""

    def __init__(self, name: str, folder: Path) -> None:
        make, self.step = CASES[name]
        self.side = 256 if name == "batch" else 128  # of calibration pictures, as of published layouts
        self.values = (0.0, 255.0) if name == "examples" else (-1.0, 1.0)
        self.path = folder / "network.onnx"
        torch.manual_seed(0)
        spread, middle = (60.0, 127.0) if name == "examples" else (0.4, 0.0)
        given = self.given(as_tensor(content_photograph()[64:224, 96:256]))
        self.network = tuned(Headed(make()) if name == "mixed" else make(), given, spread, middle)
        axes = {2: "height", 3: "width"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an exporter that is no longer the default
            torch.onnx.export(
                self.network, (given,), str(self.path), dynamo=False, input_names=["x"], output_names=["y"],
                dynamic_axes={"x": axes, "y": axes},
            )  # fmt: skip

    def given(self, picture: Tensor) -> Tensor:
        low, high = self.values
        return picture.float() / 255 * (high - low) + low

    @torch.no_grad()
    def painted(self, picture: Tensor) -> Tensor:
        """0..255, of a picture uint8 [1, 3, H, W] that is extended by reflection if it must be."""
        height, width = picture.shape[2:]
        whole = F.pad(picture.float(), (0, -width % self.step, 0, -height % self.step), mode="reflect")
        low, high = self.values
        return ((self.network(self.given(whole))[..., :height, :width] - low) / (high - low)).clamp(0, 1) * 255


class Headed(nn.Module):
    """``Mixed`` with its last convolution last among its modules, which is what :func:`tuned` scales."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(request.param, tmp_path_factory.mktemp("onnx"))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calibration_photographs(tmp_path_factory.mktemp("photographs"))


def test_the_graph_computes_what_the_network_does(case: Case) -> None:
    found = recognise([case.path], Numbers(*case.values))
    assert isinstance(found.trained, TrainedGenerator)
    picture = as_tensor(content_photograph()[100:164, 60:108])
    with torch.no_grad():
        made = run_float(found.trained.nodes, picture.float() / 127.5 - 1)
    torch.testing.assert_close((made + 1) * 127.5, case.painted(picture), rtol=0, atol=1e-3 * 127.5)


@pytest.mark.parametrize("end", ["sigmoid", "clip 1", "clip 255"])
def test_the_end_says_how_pictures_are_written(end: str, tmp_path: Path) -> None:
    """Black and white without ``--values``: a Sigmoid's are 0 and 1, a Clip's what it clips to."""
    top = 255.0 if end == "clip 255" else 1.0
    weight = numpy_helper.from_array(np.random.default_rng(3).normal(0, 0.8, (3, 3, 1, 1)).astype(np.float32), "weight")
    ends = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in (("low", 0.0), ("high", top))]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, "H", "W"]) for name in "xy")
    last = ("Sigmoid", ["c"]) if end == "sigmoid" else ("Clip", ["c", "low", "high"])
    nodes = [helper.make_node("Conv", ["x", "weight"], ["c"]), helper.make_node(*last, ["y"])]
    graph = helper.make_graph(nodes, "network", [x], [y], [weight, *ends])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "network.onnx")
    found = recognise([tmp_path / "network.onnx"])
    assert isinstance(found.trained, TrainedGenerator)
    picture = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    c = F.conv2d(picture * top, torch.from_numpy(numpy_helper.to_array(weight).copy()))
    wanted = c.sigmoid() if end == "sigmoid" else c.clamp(0, top) / top
    assert wanted.std() > 0.1
    made = (run_float(found.trained.nodes, picture * 2 - 1).clamp(-1, 1) + 1) / 2
    torch.testing.assert_close(made, wanted, rtol=0, atol=1e-5)


def test_eight_bits_stay_close_at_whole_and_odd_sizes(
    case: Case, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "SHORT_SIDE", case.side)
    card = convert(case.path, photographs, tmp_path / "mine.fnst", values=case.values)
    assert card["psnr"] > FLOOR
    engine, photograph = Engine(tmp_path / "mine.fnst"), content_photograph()
    for part in (photograph[:128, 40:136], photograph[20:113, 90:167]):
        picture = np.ascontiguousarray(part)
        wanted = case.painted(as_tensor(picture))[0].permute(1, 2, 0).numpy()
        assert wanted.std() > 15
        assert psnr(engine.translate(picture), wanted) > FLOOR, picture.shape


def test_a_module_is_taken_as_it_is(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced in evaluation, which its dropout shows, and left in training; the package is the function."""
    monkeypatch.setattr(pictures, "SHORT_SIDE", 64)
    network = tuned(
        Resnet(6, 1, AFFINE, dropout=True), as_tensor(content_photograph()[64:128, 96:160]).float() / 127.5 - 1, 0.4, 0.0
    )
    network.train()
    card = fastnst.convert(network, torch.rand(1, 3, 64, 64), str(photographs), str(tmp_path / "mine.fnst"), name="own")
    assert network.training and card["name"] == "own" and card["network"].startswith("module of 8 convolutions, 6 filters")
    picture = np.ascontiguousarray(content_photograph()[40:132, 40:116])
    with torch.no_grad():
        wanted = network.eval()(as_tensor(picture).float() / 127.5 - 1)[0].permute(1, 2, 0).numpy() * 127.5 + 127.5
    assert psnr(Engine(tmp_path / "mine.fnst").translate(picture), wanted) > FLOOR


@pytest.mark.parametrize(
    ("module", "example", "words"),
    [
        (nn.Conv2d(3, 3, 1), torch.rand(1, 3, 8), "Conv2d: an example of shape [1, 3, 8], expected one picture"),
        (nn.Conv2d(4, 3, 1), torch.rand(1, 3, 8, 8), "Conv2d: cannot be traced: "),
        (nn.Conv2d(3, 3, 1), torch.rand(1, 3, 8, 8), "Conv2d: it ends in Conv '/Conv', not in a Tanh"),
        (
            nn.Sequential(nn.Conv2d(3, 3, 1), nn.Softplus()),
            torch.rand(1, 3, 8, 8),
            "Sequential: Softplus '/1/Softplus' is of an",
        ),
        (
            nn.Sequential(nn.Conv2d(3, 3, 1), nn.AvgPool2d(3, 1, 1, divisor_override=4), nn.Tanh()),
            torch.rand(1, 3, 8, 8),
            "Sequential: traced, it makes other pictures than it does itself (",
        ),
        (Fixed(), torch.rand(1, 3, 9, 9), "Fixed: it does not take a picture of 10 x 10, as fastnst has to: nine rows are"),
    ],
)
def test_what_a_module_is_refused_for(module: nn.Module, example: Tensor, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        fastnst.convert(module, example, tmp_path, tmp_path / "out.fnst")
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())
