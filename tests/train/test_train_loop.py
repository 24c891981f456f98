"""The training loop: schedule, checkpoints, going on after an end or a kill with the same bytes, several processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import tiny_recipe
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fastnst.train.checkpoints import load_checkpoint
from fastnst.train.loop import Run, learning_rate, located
from fastnst.train.precision import fastest
from fastnst.train.process_group import ProcessGroup
from fastnst.train.settings import Phase, RunOptions, Settings, filled, parse, read, to_toml

TINY = Path(tiny_recipe.__file__)
PHASES = [Phase("a", 10, 1, 8, falls=False), Phase("b", 20, 1, 8)]


def arguments(out: Path, *more: str) -> list[str]:
    return ["--data", str(out), "--out", str(out), "--every", "3", *more]


def kill(out: Path, at: int) -> None:
    """The tiny recipe in a process of its own, which is killed at this batch."""
    assert tiny_recipe.killed(arguments(out, "--dies-at", str(at))) == signal.SIGKILL


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole")
    tiny_recipe.main(arguments(out))
    return out


def two_processes(out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """The tiny recipe as torchrun starts it."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(TINY)]
    return subprocess.run([*launch, *arguments(out, *more)], capture_output=True, text=True)


def weights(out: Path) -> bytes:
    return (out / "final.safetensors").read_bytes()


def same_weights(a: Path, b: Path) -> bool:
    first, second = (load_file(out / "final.safetensors") for out in (a, b))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_phases_follow_one_another() -> None:
    assert located(PHASES, 0) == (PHASES[0], 0)
    assert located(PHASES, 9) == (PHASES[0], 9)
    assert located(PHASES, 10) == (PHASES[1], 0)
    with pytest.raises(IndexError):
        located(PHASES, 30)


def test_learning_rate_rises_and_falls() -> None:
    settings = Settings(learning_rate=2.0, warm_up=4)
    assert [learning_rate(settings, PHASES[0], step) for step in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert learning_rate(settings, PHASES[1], 10) == pytest.approx(1.0)
    assert learning_rate(settings, PHASES[1], 19) < 0.02


def test_a_run_leaves_everything(tmp_path: Path) -> None:
    tiny_recipe.main(arguments(tmp_path))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "settings.toml",
        "log.csv",
        "events",
        "last.safetensors",
        "previous.safetensors",
        "final.safetensors",
        *(f"step-{i}.jpg" for i in (3, 6, 9, 12)),
    }
    assert list((tmp_path / "events").iterdir())
    rows = [row.split(",") for row in (tmp_path / "log.csv").read_text().splitlines()]
    assert rows[0] == ["step", "name", "value"]
    losses = {int(step): float(value) for step, name, value in rows[1:] if name == "loss"}
    assert sorted(losses) == list(range(1, 13))
    assert {name for _, name, _ in rows[1:]} == {"loss", "first", "second", "rate", "samples_per_second"}
    wanted = tiny_recipe.TinySettings(precision=fastest("cpu"))  # which it was, not "auto"
    assert filled(tiny_recipe.TinySettings(seed=9), read(tmp_path / "settings.toml"), "") == wanted


def test_training_learns_and_the_second_phase_leaves_the_first_layer(tmp_path: Path) -> None:
    settings = tiny_recipe.TinySettings(first=80, second=40, learning_rate=0.02, warm_up=1)
    run = Run(
        tiny_recipe.TinyRecipe(settings, RunOptions(tmp_path, tmp_path), ProcessGroup()),
        settings,
        RunOptions(tmp_path, tmp_path),
        ProcessGroup(),
    )
    losses = [run.advance()["loss"] for _ in range(80)]
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    first = run.recipe.networks[0].weight.clone()  # type: ignore[index]
    for _ in range(40):
        run.advance()
    assert torch.equal(run.recipe.networks[0].weight, first)  # type: ignore[index]


@pytest.mark.parametrize("stop", [1, 3, 4, 5, 6, 11])
def test_a_killed_run_goes_on_with_the_same_bytes(stop: int, whole: Path, tmp_path: Path) -> None:
    kill(tmp_path, stop)
    assert not (tmp_path / "final.safetensors").exists()
    tiny_recipe.main(arguments(tmp_path))
    assert same_weights(whole, tmp_path)
    kept = [[row for row in (out / "log.csv").read_text().splitlines() if "samples" not in row] for out in (whole, tmp_path)]
    assert kept[0] == kept[1]


def test_a_damaged_checkpoint_is_noticed_and_the_one_before_it_used(
    whole: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kill(tmp_path, 8)
    last = tmp_path / "last.safetensors"
    data = bytearray(last.read_bytes())
    data[-5] ^= 4
    last.write_bytes(data)
    tiny_recipe.main(arguments(tmp_path))
    (warning,) = (line for line in capfd.readouterr().err.splitlines() if line.startswith("warning: "))
    assert "last.safetensors: the checksum does not match" in warning and "previous.safetensors" in warning
    assert same_weights(whole, tmp_path)


def test_accumulated_batches_are_one_large_batch(tmp_path: Path) -> None:
    tiny_recipe.main(arguments(tmp_path / "large", "--batch", "4", "--second", "1"))
    tiny_recipe.main(arguments(tmp_path / "parts", "--batch", "2", "--accumulate", "2", "--second", "1"))
    first, second = (load_file(tmp_path / name / "final.safetensors") for name in ("large", "parts"))
    for name, value in first.items():
        torch.testing.assert_close(value, second[name])


def test_two_processes_are_one_with_the_batch_of_both(tmp_path: Path) -> None:
    done = two_processes(tmp_path / "two", "--batch", "2", "--second", "2")
    assert done.returncode == 0, done.stderr
    tiny_recipe.main(arguments(tmp_path / "one", "--batch", "4", "--second", "2"))
    one, two = (load_file(tmp_path / name / "final.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(value, two[name])


def test_no_sample_is_seen_twice(tmp_path: Path) -> None:
    settings = tiny_recipe.TinySettings(accumulate=2, second=0)
    seen = []
    for rank in range(3):
        processes = ProcessGroup(rank, 3)
        recipe = tiny_recipe.TinyRecipe(settings, RunOptions(tmp_path, tmp_path), processes)
        for batch_index in range(10):
            recipe.losses(recipe.phases[0], batch_index)
        seen += recipe.seen
    assert sorted(seen) == list(range(3 * 10 * 4))


LONG = ("--first", "300", "--second", "0", "--learning-rate", "0.02", "--warm-up", "1", "--average", "0.5", "--validated")


def validations(out: Path) -> dict[int, float]:
    rows = (row.split(",") for row in (out / "log.csv").read_text().splitlines())
    return {int(step): float(value) for step, name, value in rows if name == "validation_loss"}


def test_a_run_stops_at_the_loss_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_recipe.main(arguments(tmp_path / "whole", *LONG))
    curve = validations(tmp_path / "whole")
    assert max(curve) == 300
    wanted = sorted(curve.values())[len(curve) // 2]
    first = min(step for step, value in curve.items() if value <= wanted)
    asked = arguments(tmp_path / "asked", *LONG, "--until-loss", f"{wanted:.5g}1")
    tiny_recipe.main(asked)
    assert first < 300
    assert f"at step {first}, after " in capsys.readouterr().out
    assert max(validations(tmp_path / "asked")) == first
    facts = load_checkpoint(tmp_path / "asked" / "final.safetensors")[1]
    assert facts["step"] == first
    assert facts["seconds"] >= 0
    assert facts["validation"]["validation_loss"] == pytest.approx(curve[first], rel=1e-4)
    tiny_recipe.main(asked)  # again: it is done
    assert load_checkpoint(tmp_path / "asked" / "final.safetensors")[1] == facts
    tiny_recipe.main(arguments(tmp_path / "asked", *LONG))  # without the wish it goes on to its end
    assert same_weights(tmp_path / "whole", tmp_path / "asked")


def test_a_run_that_validates_nothing_cannot_stop_by_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--until-loss: this run validates nothing"):
        tiny_recipe.main(arguments(tmp_path, "--until-loss", "1"))
    assert not (tmp_path / "log.csv").exists()


def test_a_stop_is_one_of_all_processes(tmp_path: Path) -> None:
    done = two_processes(tmp_path, *LONG, "--until-loss", "1000")
    assert done.returncode == 0, done.stderr
    assert load_checkpoint(tmp_path / "final.safetensors")[1]["step"] == 3


def test_another_recipes_checkpoint_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_recipe.main(arguments(tmp_path))
    monkeypatch.setattr(tiny_recipe.TinyRecipe, "name", "other")
    with pytest.raises(ValueError, match="a checkpoint of recipe tiny, not other"):
        tiny_recipe.main(arguments(tmp_path))


def test_settings_come_from_file_and_command_line(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text("batch = 3\nlearning_rate = 1\nfirst = 4\n")
    settings, options = parse(
        "tiny", "", tiny_recipe.TinySettings(), [*arguments(tmp_path, "--config", str(file)), "--first", "6"]
    )
    assert (settings.batch, settings.learning_rate, settings.first, settings.second) == (3, 1.0, 6, 7)
    assert options == RunOptions(tmp_path, tmp_path, every=3)
    file.write_text(to_toml(settings))
    assert filled(tiny_recipe.TinySettings(), read(file), "") == settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch = 'x'", "batch: expected int, got 'x'"),
        ("bitch = 1", "unknown setting bitch; there are "),
        ("batch = ", "recipe.toml: "),
        ("accumulate = 0", "accumulate: expected at least 1, got 0"),
        ("precision = 'half'", "precision: expected auto, bfloat16 or float32, got 'half'"),
        ("first = true", "first: expected int, got True"),
    ],
)
def test_bad_settings_get_one_line(text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        parse("tiny", "", tiny_recipe.TinySettings(), arguments(tmp_path, "--config", str(file)))
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


class Rivals(tiny_recipe.TinyRecipe):
    """Two networks, each with a loss that also runs through the other; then the second alone."""

    def __init__(self, settings: tiny_recipe.TinySettings, options: RunOptions, processes: ProcessGroup) -> None:
        super().__init__(settings, options, processes)
        torch.manual_seed(1)
        self.networks = nn.ModuleDict({"maker": nn.Linear(4, 4), "judge": nn.Linear(4, 1), "makers": nn.Linear(1, 1)})
        both = Phase("both", 3, 1, 8, falls=False, trains=("maker", "judge"), rates={"maker": 3.0})
        self.phases = [both, Phase("judge", 2, 1, 8, falls=False, rate=0.5, trains=("judge",), begins=lambda: {"begun": 7.0})]

    def losses(self, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        maker, judge, _ = self.networks.children()
        x = torch.full((1, 4), float(batch_index + 1))
        losses = {"maker": judge(maker(x)).square().sum(), "judge": -judge(maker(x).detach()).sum()}
        return {name: losses[name] for name in phase.trains}


def test_networks_go_down_losses_of_their_own(tmp_path: Path) -> None:
    settings = tiny_recipe.TinySettings(warm_up=0, learning_rate=0.25, momentum=0.5, average=0.0, clip=1e9)
    run = Run(
        Rivals(settings, RunOptions(tmp_path, tmp_path), ProcessGroup()),
        settings,
        RunOptions(tmp_path, tmp_path),
        ProcessGroup(),
    )
    alone = deepcopy(run.recipe.networks)
    optimizers = {name: torch.optim.Adam(alone[name].parameters(), 0.25, (0.5, 0.999)) for name in ("maker", "judge")}
    for step in range(5):
        values = run.advance()
        phase = run.recipe.phases[step > 2]
        assert values["rate"] == 0.25 * phase.rate
        assert values.get("begun") == (7.0 if step == 3 else None)
        x = torch.full((1, 4), float(step + 1))
        gradients = {}
        for name in phase.trains:
            made = alone["maker"](x)  # type: ignore[index]
            loss = alone["judge"](made).square().sum() if name == "maker" else -alone["judge"](made.detach()).sum()  # type: ignore[index]
            gradients[name] = torch.autograd.grad(loss, list(alone[name].parameters()))  # type: ignore[index]
        for name, each in gradients.items():
            for p, gradient in zip(alone[name].parameters(), each, strict=True):  # type: ignore[index]
                p.grad = gradient
            optimizers[name].param_groups[0]["lr"] = 0.25 * phase.rate * phase.rates.get(name, 1.0)
            optimizers[name].step()
    for name, value in alone.state_dict().items():
        assert torch.equal(value, run.recipe.networks.state_dict()[name]), name
        assert torch.equal(value, run.average[name]), name
