"""Pairs and stages as they are published, in several files: put together, and said what is missing."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image
from random_vgg import as_file, random_vgg19
from skimage import data
from torch import Tensor, nn

from fastnst import cli
from fastnst.convert import pictures
from fastnst.convert.equalisation import float_layer
from fastnst.convert.pair import Pair
from fastnst.convert.recognition import recognise
from fastnst.convert.stages import Stages
from fastnst.engine import Engine
from fastnst.networks.vgg import VGG19
from fastnst.networks.wct import Stage


def adain_decoder() -> nn.Sequential:
    """The decoder of pytorch-AdaIN: reflection, convolution and ReLU, doublings between them."""
    widths = [512, 256, 256, 256, 256, 128, 128, 64, 64, 3]
    layers: list[nn.Module] = []
    for number, (a, b) in enumerate(pairwise(widths)):
        layers += [nn.ReflectionPad2d(1), nn.Conv2d(a, b, 3), nn.ReLU()]
        layers += [nn.Upsample(scale_factor=2, mode="nearest")] * (number in (0, 4, 6))
    return nn.Sequential(*layers[:-1])


@pytest.fixture(scope="module")
def adain_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("adain")
    torch.manual_seed(0)
    torch.save(adain_decoder().state_dict(), folder / "decoder.pth")
    torch.save(as_file(random_vgg19(4), "sequential"), folder / "vgg_normalised.pth")
    return folder / "decoder.pth", folder / "vgg_normalised.pth"


@torch.no_grad()
def test_a_decoder_beside_its_vgg_is_a_pair(adain_files: tuple[Path, Path]) -> None:
    decoder, vgg = adain_files
    found = recognise([vgg, decoder])
    pair = found.trained
    assert isinstance(pair, Pair)
    assert found.what == "pytorch-AdaIN's decoder on the normalised VGG-19"
    assert pair.widths == list(VGG19[:9])
    torch.manual_seed(0)
    published, x = adain_decoder(), torch.rand(1, 512, 4, 3, generator=torch.Generator().manual_seed(1))
    wanted, made = published(x), x
    for conv in pair.decoder:
        made = float_layer(made, conv)
    torch.testing.assert_close(made, wanted, rtol=0, atol=1e-4)


def test_a_decoder_without_its_vgg_is_told_what_it_needs(adain_files: tuple[Path, Path]) -> None:
    decoder, vgg = adain_files
    with pytest.raises(ValueError, match=r"fastnst convert decoder\.pth vgg_normalised\.pth"):
        recognise([decoder])
    with pytest.raises(ValueError, match="encoders are given without a decoder"):
        recognise([vgg])
    with pytest.raises(ValueError, match="two decoders of one stage are given"):
        recognise([decoder, vgg, decoder])


WIDTHS = {2: (6, 7, 9), 1: (8,)}


def stages() -> dict[int, Stage]:
    torch.manual_seed(3)
    made = {}
    for number, widths in WIDTHS.items():
        made[number] = Stage(widths, heads=True)
        for conv in made[number].modules():
            if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3):
                nn.init.kaiming_normal_(conv.weight)
    return made


def small_names(stage: Stage, side: str) -> dict[str, Tensor]:
    """As Collaborative Distillation's files have them."""
    part = stage.encoder if side == "SE" else stage.decoder
    named = {name.replace("_", ""): value for name, value in part.state_dict().items()}
    heads = {f"{name.replace('_', '').replace('.', '_aux.')}": value for name, value in stage.heads.state_dict().items()}
    return named | (heads if side == "SE" else {})


@pytest.fixture(scope="module")
def stage_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, files = tmp_path_factory.mktemp("stages"), []
    for number, stage in stages().items():
        for side in ("SE", "SD"):
            files.append(folder / f"{number}{side}.pth")
            torch.save({"model": small_names(stage, side)}, files[-1])
    return files


def test_a_file_for_each_side_of_each_stage(stage_files: list[Path], tmp_path: Path) -> None:
    found = recognise(stage_files)
    assert isinstance(found.trained, Stages)
    assert found.what.startswith("stages 2, 1 of WCT, ")
    shared = {
        f"{side}{k}.{n}": x
        for k, stage in stages().items()
        for side in ("SE", "SD")
        for n, x in small_names(stage, side).items()
    }
    torch.save(shared, tmp_path / "shared.pth")
    alone = recognise([tmp_path / "shared.pth"]).trained
    assert isinstance(alone, Stages)
    x = torch.rand(1, 3, 8, 6, dtype=torch.float64)
    for number, stage in stages().items():
        with torch.no_grad():
            wanted = stage.double().decoder(stage.encoder(x))
        for trained in (found.trained, alone):
            made = x
            for conv in (*trained.pairs[number].encoder, *trained.pairs[number].decoder):
                made = float_layer(made, conv)
            torch.testing.assert_close(made, wanted)


def test_stages_of_which_a_side_is_missing_or_double(stage_files: list[Path]) -> None:
    with pytest.raises(ValueError, match=r"stage 2: tensor decoder\.conv1_1\.bias is missing"):
        recognise(stage_files[:1])
    with pytest.raises(ValueError, match="is in two files"):
        recognise([*stage_files, stage_files[0]])


def test_cards_say_what_was_converted_and_on_what(
    stage_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pictures, "SHORT_SIDE", 64)
    (tmp_path / "photos").mkdir()
    Image.fromarray(data.chelsea()).save(tmp_path / "photos" / "cat.png")
    sources, out = list(map(str, stage_files[2:])), tmp_path / "mine.fnst"
    assert cli.main(["convert", *sources, "-o", str(out), "--calibrate", str(tmp_path / "photos"), "--licence", "CC0"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{', '.join(sources)}: stage 1 of WCT, 455 parameters"
    card = Engine(out).card
    assert card["network"] == "stage 1 of WCT, 455 parameters"
    assert card["converted_from"] == [hashlib.sha256(path.read_bytes()).hexdigest() for path in stage_files[2:]]
    assert (card["source"], card["licence"], card["calibration"]) == ("unknown", "CC0", 2)
    first = card["calibration_sha256"]
    Image.fromarray(data.coffee()).save(tmp_path / "photos" / "cat.png")
    assert cli.main(["convert", *sources, "-o", str(out), "--calibrate", str(tmp_path / "photos"), "--overwrite"]) == 0
    assert Engine(out).card["calibration_sha256"] != first
