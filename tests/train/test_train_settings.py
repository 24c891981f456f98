"""Settings of all recipes: what each says of itself, which values it takes, and that a run goes on with its own alone."""

from __future__ import annotations

import re
import signal
from dataclasses import fields, replace
from pathlib import Path

import pytest
import tiny_recipe

from fastnst.cli import main
from fastnst.cli.commands.train import RECIPES
from fastnst.train import ablation, adain, cascade, collab, decoder, prune, qat
from fastnst.train.crd.settings import CrdSettings
from fastnst.train.limits import Range, Words, metadata_of
from fastnst.train.settings import RunOptions, Settings

ALL: dict[str, Settings] = {
    "decoder": decoder.DecoderSettings(),
    "collab": collab.CollabSettings(),
    "cascade": cascade.CascadeSettings(),
    "ablation": ablation.AblationSettings(),
    "adain": adain.AdainSettings(),
    "prune": prune.PruneSettings(),
    "qat": qat.QatSettings(),
    "crd": CrdSettings(),
    "crd-tables": CrdSettings(),
}
EACH = [pytest.param(recipe, each.name, id=f"{recipe}-{each.name}") for recipe, own in ALL.items() for each in fields(own)]
NUMBERS = [each for each in EACH if type(getattr(ALL[each.values[0]], each.values[1])) in (int, float)]  # type: ignore[index]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What ``fastnst train`` says on its one line of wrong usage."""
    with pytest.raises(SystemExit) as stopped:
        main(["train", *arguments])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_every_recipe_is_looked_at() -> None:
    assert ALL.keys() == set(RECIPES) - {"campaign"}  # which runs others with theirs


@pytest.mark.parametrize(("recipe", "name"), EACH)
def test_every_setting_has_a_help_text(recipe: str, name: str) -> None:
    assert metadata_of(ALL[recipe], name)["help"].strip()


@pytest.mark.parametrize(("recipe", "name"), NUMBERS)
def test_every_number_has_limits_and_is_refused_beyond_them(recipe: str, name: str) -> None:
    settings = ALL[recipe]
    limit, kind = metadata_of(settings, name)["limit"], type(getattr(settings, name))
    assert limit is not None
    for value in ("-1", *(("nan", "inf", "-inf") if kind is float else ())):
        with pytest.raises(ValueError, match=re.escape(f"{name}: expected {limit}, got {kind(value)}")):
            replace(settings, **{name: kind(value)})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("adain --batch 0", "batch: expected at least 1, got 0"),
        ("adain --finish-steps -1", "finish_steps: expected at least 0, got -1"),
        ("adain --size 60", "size and finish_size: expected multiples of 8"),
        ("adain --zoom-low 2", "zoom_low: expected at most zoom_high, 1.15, got 2"),
        ("adain --average 1", "average: expected 0 to below 1, got 1.0"),
        ("adain --learning-rate 0", "learning_rate: expected above 0, got 0.0"),
        ("adain --widths 17x", "widths: expected "),
        ("decoder --stage 6", "stage: expected 1 to 5, got 6"),
        ("crd --dimension 100 --pictures x", "dimension: expected 64, 192 or 768, got 100"),
        ("crd --select best --pictures x", "select: expected held-out, test or last, got 'best'"),
        ("adain --every 0", "every: expected at least 1, got 0"),
        ("adain --threads -1", "threads: expected 0 to 1024, got -1"),
        ("adain --device tpu", "device: expected cpu or cuda, got 'tpu'"),
        ("adain --batch many", "argument --batch: invalid int value: 'many'"),
        ("adain --config absent.toml", "absent.toml: No such file"),
        ("adain --widths start", "--start is required: "),
        ("qat", "--start is required: a trained pair; --calibrate is required: a folder of pictures"),
        ("qat --start x.safetensors", "--calibrate is required: a folder of pictures"),
        ("prune", "--start is required: a trained pair"),
        ("prune --target live", "--start is required: a trained pair"),
        ("collab", "--teacher is required: the losses need the big decoder of stage 4"),
        ("ablation --stage 2", "--teacher is required: the big decoder of stage 2"),
        ("crd", "--pictures is required: the folder in DATA"),
        ("crd-tables", "--pictures is required: the folder in DATA"),
    ],
)
def test_wrong_usage_is_one_line_at_once(
    arguments: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, *rest = arguments.split()
    assert words in refused(capsys, recipe, "--data", str(tmp_path), "--out", str(tmp_path / "out"), *rest)
    assert not (tmp_path / "out").exists()


def test_ranges_say_what_they_hold() -> None:
    assert [str(each) for each in (Range(1), Range(0, above=True), Range(0, 1, below=True), Range(0, 2, above=True))] == [
        "at least 1",
        "above 0",
        "0 to below 1",
        "above 0 and at most 2",
    ]
    assert 1 in Range(0, 1) and 1 not in Range(0, 1, below=True)
    assert 0 not in Range(0, above=True) and float("inf") not in Range()
    assert str(Words(("", "a", "b", "c"))) == "a, b or c"


def arguments(out: Path, *more: str) -> list[str]:
    return ["--data", str(out), "--out", str(out), "--every", "3", *more]


def test_a_run_goes_on_with_its_own_settings_alone(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert tiny_recipe.killed(arguments(out, "--dies-at", "8")) == signal.SIGKILL
    begun = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    line = f"{out}: this run was begun with --learning-rate 0.001, not 0.5; --batch 4, not 2; another folder begins a new one"
    with pytest.raises(ValueError, match=re.escape(line)):
        tiny_recipe.main(arguments(out, "--learning-rate", "0.5", "--batch", "2"))
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == begun
    tiny_recipe.main(arguments(out))


def test_a_run_may_go_on_for_longer(tmp_path: Path) -> None:
    out = tmp_path / "run"
    tiny_recipe.main(arguments(out))
    tiny_recipe.main(arguments(out, "--second", "9"))
    assert "\n14,loss," in (out / "log.csv").read_text()


def test_places_are_checked_like_settings(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every: expected at least 1, got 0"):
        RunOptions(tmp_path, tmp_path, every=0)
