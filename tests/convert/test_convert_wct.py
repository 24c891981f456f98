"""From trained stages of WCT to an engine model: nothing but rounding may change; what cannot work is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from skimage import data
from torch import Tensor
from trained_pair import Trained, as_picture, as_tensor

from fastnst.convert import convert
from fastnst.convert.arithmetic import simulate_cascade
from fastnst.convert.cascade import quantise_cascade
from fastnst.convert.equalisation import float_layer
from fastnst.convert.pair import Pair
from fastnst.convert.pictures import calibration_pairs
from fastnst.convert.recognition import recognise
from fastnst.convert.stages import Stages
from fastnst.engine import Engine
from fastnst.format.modelfile import to_bytes
from fastnst.networks.vgg import POOL_AFTER, layers_of
from fastnst.networks.wct import Stage
from fastnst.reference.wct import wct

WIDTHS = {3: (6, 7, 8, 9, 10), 1: (8,)}
FACTS = {"source": "nobody", "licence": "none", "step": 3}


def content() -> np.ndarray:
    return data.astronaut()[:128, 100:260]


def style() -> np.ndarray:
    return data.coffee()[50:178, 100:260]


@torch.no_grad()
def trained_stage(widths: tuple[int, ...], seed: int) -> Stage:
    """A stage that nobody trained but that carries pictures through: see ``trained_pair.Trained``."""
    generator = torch.Generator().manual_seed(seed)
    stage = Stage(widths).double()
    names = layers_of(stage.number)
    maps = [stage.encoder.conv0(as_tensor(picture()).double() / 255) for picture in (content, style)]
    for name in names:
        maps = [F.relu(x) for x in Trained.tuned(getattr(stage.encoder, name), maps, generator)]
        maps = [F.max_pool2d(x, 2) if name in POOL_AFTER else x for x in maps]
    maps = [wct(*maps), maps[1]]
    for name in reversed(names):
        maps = [F.interpolate(x, scale_factor=2.0) if name in POOL_AFTER else x for x in maps]
        maps = [F.relu(x) for x in Trained.tuned(getattr(stage.decoder, name), maps, generator)]
    stage.decoder.conv1_1.weight *= 0.2  # to mean 0.5 and deviation 0.2 of the whole range
    stage.decoder.conv1_1.bias.sub_(0.5).mul_(0.2).add_(0.5)
    return stage


@pytest.fixture(scope="module")
def stages() -> dict[int, Stage]:
    return {number: trained_stage(widths, number) for number, widths in WIDTHS.items()}


@pytest.fixture(scope="module")
def tensors(stages: dict[int, Stage]) -> dict[str, Tensor]:
    return {f"{k}.{name}": value.clone() for k, stage in stages.items() for name, value in stage.state_dict().items()}


@pytest.fixture(scope="module")
def source(tensors: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "final.safetensors"
    save_file(tensors, path, {"facts": json.dumps(FACTS)})
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small photographs for calibration: none of those that the tests stylize, though other parts of the same."""
    folder = tmp_path_factory.mktemp("pictures")
    photographs = (data.astronaut()[256:], data.chelsea(), data.coffee()[200:, 300:], data.rocket())
    for number, picture in enumerate(photographs):
        Image.fromarray(picture).resize((256, 256)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def converted(source: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("converted") / "small.fnst"
    convert(source, pictures, output)
    return output


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(a.astype(float) - b).mean()))


@torch.no_grad()
def float_picture(stage: Stage, alpha: float) -> np.ndarray:
    features = (stage.encoder(as_tensor(picture()).double() / 255) for picture in (content, style))
    out = stage.decoder(wct(*features, alpha=alpha))
    return as_picture((out.clamp(0, 1) * 255).round().to(torch.uint8))


@torch.no_grad()
@pytest.mark.parametrize("number", WIDTHS)
def test_the_engines_form_of_a_stage_computes_the_same(stages: dict[int, Stage], source: Path, number: int) -> None:
    loaded = recognise([source]).trained
    assert isinstance(loaded, Stages)
    pair: Pair = loaded.pairs[number]
    x = as_tensor(content()).double() / 255
    wanted = stages[number].encoder(x)
    for conv in pair.encoder:
        x = float_layer(x, conv)
    torch.testing.assert_close(x, wanted, rtol=1e-9, atol=1e-9)
    for conv in pair.decoder:
        x = float_layer(x, conv)
    torch.testing.assert_close(x, stages[number].decoder(wanted), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("number", "alpha", "least"), [(3, 1.0, 27), (3, 0.0, 30), (1, 1.0, 30), (1, 0.0, 34)])
def test_each_level_is_close_to_its_float_network(
    stages: dict[int, Stage], converted: Path, number: int, alpha: float, least: float
) -> None:
    """Bounds a little below what was measured; a wrong scale, zero point or matrix gives less than 20 dB."""
    engine = Engine(converted).with_levels([number])
    out = engine.decode(engine.encode(content(), 1), engine.look(style(), 1), alpha, 1)
    assert psnr(out, float_picture(stages[number], alpha)) > least


def stages_in(path: Path) -> Stages:
    trained = recognise([path]).trained
    assert isinstance(trained, Stages)
    return trained


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_the_simulation_is_the_engine(source: Path, pictures: Path, alpha: float) -> None:
    """All bytes, but for values that the last bits of two eigendecompositions round to other sides."""
    model = quantise_cascade(stages_in(source), *calibration_pairs(pictures), "percentile")
    engine = Engine(to_bytes(model))
    mine = as_picture(simulate_cascade(model, as_tensor(content()), as_tensor(style()), alpha))
    out = engine.decode(engine.encode(content(), 1), engine.look(style(), 1), alpha, 1)
    assert (mine == out).mean() > 0.999


def test_card_says_what_the_model_is(source: Path, converted: Path) -> None:
    engine = Engine(converted)
    assert engine.levels == (3, 1)
    card = engine.card
    assert card["name"] == "small"
    assert card["kind"] == "wct"
    assert card["levels"] == [3, 1]
    assert card["widths"]["3"] == {"encoder": [6, 7, 8, 9, 10], "decoder": [9, 8, 7, 6, 3]}
    assert card["parameters"] == sum(tensor.numel() for tensor in load_file(source).values())
    assert card["source"] == "nobody"
    assert card["trained_with"] == {"step": 3}
    # Level 1: conv0 9, 9 * 3 * 8 each way.
    assert card["macs_per_pixel_by_part"]["1"] == {"encoder": 225, "decoder": 216}
    assert card["macs_per_pixel"] == sum(sum(part.values()) for part in card["macs_per_pixel_by_part"].values())


def test_dead_channels_may_be_gone_on_one_side(tensors: dict[str, Tensor], source: Path, tmp_path: Path) -> None:
    """Decoder widths need not mirror the encoder's, and a channel without weights changes nothing."""
    wide = {name: value.clone() for name, value in tensors.items()}
    for name in ("3.decoder.conv2_2.weight", "3.decoder.conv2_2.bias"):  # two outputs that are always 0
        wide[name] = torch.cat([wide[name], torch.zeros_like(wide[name][:2])])
    inputs = wide["3.decoder.conv2_1.weight"]
    wide["3.decoder.conv2_1.weight"] = torch.cat([inputs, torch.ones_like(inputs[:, :2])], 1)
    save_file(wide, tmp_path / "wide.safetensors")
    x = torch.rand((1, 10, 4, 4), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    results = []
    for path in (source, tmp_path / "wide.safetensors"):
        y = x
        for conv in stages_in(path).pairs[3].decoder:
            y = float_layer(y, conv)
        results.append(y)
    torch.testing.assert_close(*results)


def test_same_input_gives_the_same_file(source: Path, pictures: Path, converted: Path, tmp_path: Path) -> None:
    convert(source, pictures, tmp_path / converted.name)
    assert (tmp_path / converted.name).read_bytes() == converted.read_bytes()


def spoil(tensors: dict[str, Tensor], how: str) -> dict[str, Tensor]:
    tensors = {name: value.clone() for name, value in tensors.items()}
    name = "3.decoder.conv2_1.weight"
    if how == "missing":
        del tensors[name]
    elif how == "first missing":
        del tensors["1.encoder.conv1_1.weight"]
    elif how == "bias missing":
        del tensors["3.encoder.conv2_1.bias"]
    elif how == "extra":
        tensors["1.encoder.conv1_2.weight"] = torch.zeros(1)
    elif how == "stage":
        tensors["6.encoder.conv0.weight"] = torch.zeros(1)
    elif how == "no stage":
        tensors["encoder.conv0.weight"] = torch.zeros(1)
    elif how == "nan":
        tensors[name][0, 0, 0, 0] = torch.nan
    elif how == "shape":
        tensors[name] = tensors[name][:, 1:].contiguous()
    elif how == "empty":
        tensors["3.encoder.conv2_1.bias"] = torch.zeros(0)
    return tensors


@pytest.mark.parametrize(
    "how", ["missing", "first missing", "bias missing", "extra", "stage", "no stage", "nan", "shape", "empty"]
)
def test_tensors_that_are_no_stages(tensors: dict[str, Tensor], tmp_path: Path, how: str) -> None:
    path = tmp_path / "bad.safetensors"
    save_file(spoil(tensors, how), path)
    with pytest.raises(ValueError, match=r"bad\.safetensors") as caught:
        recognise([path])
    assert "\n" not in str(caught.value)


def test_a_model_without_calibration_is_not_written(source: Path, tmp_path: Path) -> None:
    with pytest.raises((ValueError, OSError)):
        convert(source, tmp_path / "none", tmp_path / "out.fnst")
    assert not list(tmp_path.glob("out*"))
