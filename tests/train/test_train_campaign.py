"""A campaign: runs in order from VGG-19 alone, steps by time, models at the end, and going on where it was stopped."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from recipe_runs import write_data

from fastnst import Stylizer
from fastnst.networks.adain import WIDTHS
from fastnst.train import adain, campaign
from fastnst.train.campaign import TABLE, Campaign, curve_of, seconds_of, steps_for, table_from
from fastnst.train.curves import BOTTOM, HEIGHT, LEFT, POINTS, RIGHT, TOP, WIDTH, curve, thinned

SMALL = "batch = 1, size = 32"
TEXT = f"""
[runs.small]
recipe = "adain"
share = 1
parts = {{ distil_steps = 1, finish_steps = 2 }}
settings = {{ widths = "nano", {SMALL}, finish_size = 32, finish_batch = 1, pool = 4 }}

[runs.wide]
recipe = "adain"
share = 1
parts = {{ finish_steps = 1 }}
settings = {{ widths = "16x", {SMALL}, finish_size = 32, finish_batch = 1, pool = 4 }}
files = {{ start = "small" }}

[runs.big-1]
recipe = "decoder"
share = 1
parts = {{ steps = 1 }}
settings = {{ stage = 1, {SMALL} }}

[runs.small-1]
recipe = "collab"
share = 1
parts = {{ encoder_steps = 1, decoder_steps = 1 }}
settings = {{ stage = 1, {SMALL} }}
files = {{ teacher = "big-1" }}

[runs.big-2]
recipe = "decoder"
share = 1
parts = {{ steps = 1 }}
settings = {{ stage = 2, {SMALL} }}

[runs.small-2]
recipe = "collab"
share = 1
parts = {{ encoder_steps = 1, decoder_steps = 1 }}
settings = {{ stage = 2, {SMALL} }}
files = {{ teacher = "big-2" }}

[runs.together]
recipe = "cascade"
share = 1
parts = {{ steps = 1 }}
settings = {{ {SMALL}, pool = 4 }}
files = {{ start = ["small-1", "small-2"] }}

[models]
tiny = ["small"]
apart = ["small-1", "small-2"]
cascade = ["together"]
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def run(folder: Path, data: Path, *options: str) -> None:
    table = folder / "table.toml"
    table.write_text(TEXT)
    places = ["--data", str(data), "--out", str(folder / "out"), "--table", str(table), "--threads", "1"]
    campaign.main([*places, "--budget", "0.001s", "--device", "cpu", *options])


def test_every_run_is_done_in_order_and_models_come_of_them(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WIDTHS, "nano", (3, 3, 4, 4, 4, 4, 4, 4, 5))
    monkeypatch.setitem(WIDTHS, "16x", (19, 19, 20, 20, 20, 20, 20, 20, 21))
    losses, seen = adain.AdainRecipe.losses, []

    def stopped(self: adain.AdainRecipe, phase: object, batch_index: int) -> object:
        seen.append(self.settings.widths)
        if self.settings.widths == "16x" and (tmp_path / "out" / "wide").exists():
            raise KeyboardInterrupt  # in the run itself, after the trial that measures its steps
        return losses(self, phase, batch_index)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(adain.AdainRecipe, "losses", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, data)
    out = tmp_path / "out"
    plan = json.loads((out / "plan.json").read_text())
    assert plan.keys() == {"small", "wide"}
    assert plan["small"]["steps"] == {"distil_steps": 1, "finish_steps": 1}
    stopped_report = (out / "report.md").read_text()
    assert "| small | adain | 2 | 2 |" in stopped_report
    before = (out / "small" / "final.safetensors").stat().st_mtime_ns
    run(tmp_path, data)
    assert (out / "small" / "final.safetensors").stat().st_mtime_ns == before  # done once
    assert json.loads((out / "plan.json").read_text())["wide"] == plan["wide"]
    report = (out / "report.md").read_text()
    names = [line.split(" | ")[0].strip("| ") for line in report.splitlines() if line.startswith("| ")][2:]
    assert names == ["small", "wide", "big-1", "small-1", "big-2", "small-2", "together"]
    for name in names:
        (picture,) = (out / name).glob("step-*.jpg")
        assert f"![{name}: curve]({name}/curve.svg)" in report
        assert f"]({name}/{picture.name})" in report
        svg = ElementTree.fromstring((out / name / "curve.svg").read_text())
        (line,) = svg.iter("{http://www.w3.org/2000/svg}polyline")
        assert line.get("points")
    assert Stylizer(out / "models" / "tiny.fnst", 1).engine.levels == ()
    for name in ("apart", "cascade"):
        assert list(Stylizer(out / "models" / f"{name}.fnst", 1).engine.levels) == [2, 1]


def test_steps_are_what_the_time_pays_for() -> None:
    seconds = {"distil_steps": 0.5, "finish_steps": 2.0}
    steps = steps_for(900, {"distil_steps": 1, "finish_steps": 2}, seconds)
    assert steps == {"distil_steps": 200, "finish_steps": 400}
    assert sum(count * seconds[name] for name, count in steps.items()) == pytest.approx(900)
    assert steps_for(0.1, {"steps": 1}, {"steps": 3.0}) == {"steps": 1}


@pytest.mark.parametrize(("text", "seconds"), [("45s", 45), ("90m", 5400), ("6h", 21600), ("1.5h", 5400)])
def test_budgets(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "6", "h", "0h", "-1h", "6 h", "6d", "nanh"])
def test_other_budgets_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time like 6h, 90m or 45s"):
        seconds_of(text)


def test_the_table_of_shipped_models_makes_each_of_them() -> None:
    table = table_from(TABLE)
    assert table.models.keys() == {"adain-16x", "adain-nano", "adain-pruned", "wct-16x"}
    assert not [run for run in table.runs if run.settings.get("wct_decoder") or "start" in run.settings]  # nothing published


ONE = "recipe = 'collab'\nshare = 1\nparts = { encoder_steps = 1 }"
TWO = f"[runs.one]\n{ONE}\n[runs.two]\n{ONE}\n[runs.both]\nrecipe = 'cascade'\nshare = 1\nparts = {{ steps = 1 }}\n"
"""Two runs of the usual stage, and one that could follow them."""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run.a]", "unknown run; expected runs and models"),
        ("[runs.a]\nrecipe = 'adain'", "a: lacks parts, share"),
        (
            "[runs.a]\nrecipe = 'gan'\nshare = 1\nparts = { steps = 1 }",
            "a: recipe: expected decoder or collab or cascade or adain, got 'gan'",
        ),
        ("[runs.a]\nrecipe = 'adain'\nshare = 0\nparts = { style_steps = 1 }", "a: share and parts: expected numbers above 0"),
        ("[runs.a]\nrecipe = 'adain'\nshare = 1\nparts = { steps = 1 }", "a: parts: adain has distil_steps and style_steps"),
        ("[runs.a]\nrecipe = 'decoder'\nshare = 1\nparts = { steps = 1 }\nhue = 1", "a: unknown hue; there are"),
        (
            "[runs.a]\nrecipe = 'decoder'\nshare = 1\nparts = { steps = 1 }\nfiles = { encoder = 'b' }",
            "a: files: no earlier run is called b",
        ),
        ("[runs.a]\nrecipe = 'decoder'\nshare = 1\nparts = { steps = 1 }\nsettings = { hue = 1 }", "a: unknown setting hue"),
        ("[models]\nm = ['a']", "model m: no run is called a"),
        (f"{TWO}files = {{ start = ['one', 'two'] }}", "both: files: expected runs of collab, each of another stage"),
        (f"{TWO}files = {{ start = [] }}", "both: files: expected runs of collab, each of another stage"),
        (f"{TWO}files = {{ beginning = ['one'] }}", "both: files: unknown setting beginning"),
        (f"{TWO}[models]\nm = ['one', 'two']", "model m: expected runs of collab, each of another stage"),
        (f"{TWO}[models]\nm = ['one', 'both']", "model m: expected runs of collab, each of another stage"),
    ],
)
def test_tables_that_cannot_be_meant(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "table.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        table_from(tmp_path / "table.toml")


def test_a_wrong_command_line_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["--budget", "soon"], ["--table", str(tmp_path / "absent.toml")], ["--every", "0"]):
        with pytest.raises(SystemExit) as stopped:
            campaign.main(["--data", ".", "--out", str(tmp_path), *options])
        assert stopped.value.code == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_runs_begin_with_what_earlier_ones_made(tmp_path: Path, data: Path) -> None:
    table = table_from(TABLE)
    begun = Campaign(table, campaign.RunOptions(data, tmp_path), campaign.ProcessGroup(), 60)
    wide = next(run for run in table.runs if run.name == "adain-pruned")
    assert Path(begun.settings_of(wide).start) == tmp_path / "adain-16x" / "final.safetensors"  # type: ignore[attr-defined]


def points_of(svg: str) -> list[tuple[float, float]]:
    (line,) = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}polyline")
    return [(float(x), float(y)) for x, y in (each.split(",") for each in (line.get("points") or "").split())]


def test_a_curve_goes_from_corner_to_corner() -> None:
    svg = curve([(10, 100.0), (20, 10.0), (30, 1.0)], "a < b & c")
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    assert points_of(svg) == [(LEFT, TOP), ((LEFT + right) / 2, (TOP + bottom) / 2), (right, bottom)]  # equal factors
    texts = [each.text for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["a < b & c", "100", "1", "step 10", "step 30"]
    assert len(points_of(curve([(5, 2.0)], "one"))) == 1
    assert len(points_of(curve([(1, float("nan")), (2, 0.0), (3, 1.0), (4, float("inf"))], "what is none"))) == 1


def test_long_curves_are_thinned_by_means() -> None:
    points = [(step, float(step)) for step in range(1, 3 * POINTS + 1)]
    assert thinned(points)[:2] == [(3, 2.0), (6, 5.0)]
    assert len(thinned(points)) == POINTS
    assert thinned(points[:7]) == points[:7]
    assert thinned(points[: POINTS + 1])[-1] == (POINTS + 1, float(POINTS + 1))


def test_the_curve_is_of_the_validation_where_there_is_one() -> None:
    assert curve_of({"loss": [(1, 2.0)], "validation_loss": [(1, 3.0)]}) == "validation_loss"
    assert curve_of({"loss": [(1, 2.0)], "rate": [(1, 1.0)]}) == "loss"
    assert curve_of({"loss": [(1, float("nan"))]}) is None
    assert curve_of({}) is None
