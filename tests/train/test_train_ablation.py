"""The ablation of Collaborative Distillation: its runs, its measures and its report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from recipe_runs import SMALL, run, write_data
from safetensors.torch import save_file

from fastnst.metrics.pictures import psnr
from fastnst.metrics.style import gram_matrices, style_distances
from fastnst.networks.vgg import VGG19, Decoder, Encoder
from fastnst.networks.wct import Stage, stylize
from fastnst.train import ablation, decoder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_data(tmp_path_factory.mktemp("data"))
    torch.manual_seed(0)
    network = Decoder(VGG19[:3])
    decoder.initialise(network)
    save_file({f"decoder.{name}": x for name, x in network.state_dict().items()}, folder / "big.safetensors")
    return folder


STEPS = {**SMALL, "stage": 2, "encoder_steps": 1, "decoder_steps": 1, "pairs": 1, "test_size": 32}


def test_every_variant_gets_its_row_and_goes_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {**STEPS, "teacher": data / "big.safetensors"}
    run(ablation, data, tmp_path, **given, seeds=2)
    report = json.loads((tmp_path / "ablation.json").read_text())
    rows = report["rows"]
    assert [row["variant"] for row in rows] == [name for name in ablation.VARIANTS for _ in range(2)] + [ablation.REFERENCE]
    assert all(len(row["style"]) == 2 for row in rows)
    assert len({row["psnr"] for row in rows}) == len(rows)
    lines = (tmp_path / "ablation.md").read_text().splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[6:]] == [*ablation.MEANINGS.values(), ablation.REFERENCE]
    assert lines[6].count("±") == 3
    settings = {path.parent.name: path.read_text() for path in tmp_path.glob("*/settings.toml")}
    assert "seed = 2" in settings["both-2"]
    assert "embedding_weight = 0.0" in settings["collaboration-1"]
    monkeypatch.setattr(ablation, "train", lambda *_: pytest.fail("trained again what was done"))
    run(ablation, data, tmp_path, **given, seeds=2)
    assert json.loads((tmp_path / "ablation.json").read_text()) == report


def test_scores_by_their_definitions() -> None:
    torch.manual_seed(0)
    vgg, stage = Encoder((4, 5, 6)), Stage((4, 4, 4))
    contents, styles = ([torch.rand(1, 3, 24, 24) for _ in range(2)] for _ in range(2))
    score = ablation.score(vgg, stage.encoder, stage.decoder, contents, styles)
    with torch.no_grad():
        ratios = [psnr(stage.decoder(stage.encoder(x)).clamp(0, 1), x) for x in contents]
        outputs = [stylize({2: stage}, x, y) for x, y in zip(contents, styles, strict=True)]
        pairs = zip(outputs, styles, strict=True)
        grams = [[gram_matrices(vgg.features(x)) for x in (output.clamp(0, 1), style)] for output, style in pairs]
    distances = [style_distances(*pair) for pair in grams]
    assert score.psnr == pytest.approx(sum(ratios) / 2)
    assert score.style == pytest.approx([sum(level) / 2 for level in zip(*distances, strict=True)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variants": "both,other"}, "variants: expected some of both, embedding, .* got other"),
        ({"stage": 1}, "variants: decoder: the decoder of stage 1 is one layer"),
        ({"seeds": 0}, "seeds: expected at least 1, got 0"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ablation.AblationSettings(**settings)  # type: ignore[arg-type]


def test_missing_inputs_get_one_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(ablation, data, tmp_path, **STEPS)
    assert "--teacher is required: the big decoder of stage " in capsys.readouterr().err
    with pytest.raises(ValueError, match="content: 2 pictures, expected 3"):
        run(ablation, data, tmp_path, **{**STEPS, "pairs": 3}, teacher=data / "big.safetensors")
