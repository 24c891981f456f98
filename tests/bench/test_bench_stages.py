"""The stages of a run on a GPU, with commands that need none: their order, their time, and what survives."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"
HELD = "import os, time; print('begun', os.getpid(), flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); " + HELD
PARENT = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); time.sleep(60)"


def alive(log: str) -> bool:
    """Whether what has ``begun`` still runs."""
    begun = re.search(r"begun (\d+)", log)
    assert begun
    try:
        return Path(f"/proc/{begun[1]}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    import stages

    monkeypatch.setattr(stages, "GRACE", 1.5)
    monkeypatch.setattr(stages, "LEAST", 0.1)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest has handlers of its own
    return stages


@pytest.fixture
def run(stages: Any, tmp_path: Path) -> Callable[..., tuple[int, list[dict[str, Any]], str, list[str]]]:
    """Runs stages; the status, the outcomes, the log and what was said."""

    def call(*each: Any, limit: float = 60) -> tuple[int, list[dict[str, Any]], str, list[str]]:
        said: list[str] = []
        made = stages.Run(
            tmp_path / "out", limit, environment=os.environ, cwd=tmp_path, say=said.append, facts={"name": "some"}
        )
        status = made(each)
        summary = json.loads((tmp_path / "out" / "gpu.json").read_text())
        assert summary["name"] == "some"
        return status, summary["stages"], (tmp_path / "out" / "gpu.txt").read_text(), said

    return call


def test_stages_run_in_order_and_failures_stop_none(run: Any, stages: Any) -> None:
    status, outcomes, log, said = run(
        stages.Stage("one", python("print('first')"), 20),
        stages.Stage("two", python("import sys; print('second'); sys.exit('wrong')"), 20),
        stages.Stage("three", ["no-such-program"], 20),
        stages.Stage("four", python("import os; os.kill(os.getpid(), 11)"), 20),
        stages.Stage("five", python("1 / 0"), 20, missing="not installed: pytest"),
        stages.Stage("six", python("import os; print(os.environ['MINE'])"), None, {"MINE": "last"}),
    )
    assert status == 1
    assert [(each["name"], each["status"], each["said"]) for each in outcomes] == [
        ("one", "passed", "first"),
        ("two", "failed", "wrong"),
        ("three", "failed", "[Errno 2] No such file or directory: 'no-such-program'"),
        ("four", "failed", "killed by signal 11; last: "),
        ("five", "left out", "not installed: pytest"),
        ("six", "passed", "last"),
    ]
    assert log.index("first") < log.index("second") < log.index("last") and "1 / 0" not in log
    shown = "\n".join(said)
    assert "        wrong" in shown and "        first" not in shown  # of what went wrong the terminal has the end


def test_what_is_left_out_for_a_reason_is_no_failure(run: Any, stages: Any) -> None:
    assert run(stages.Stage("one", python("pass"), missing="no compute-sanitizer here"))[0] == 0


@pytest.mark.parametrize("code", [HELD, STUBBORN, PARENT], ids=["slow", "stubborn", "child"])
def test_a_slow_stage_takes_nothing_from_the_next(run: Any, stages: Any, code: str) -> None:
    """Stopped with its children, whatever they do about it; what it said is there, and the next has its turn."""
    status, outcomes, log, _ = run(stages.Stage("slow", python(code), 6), stages.Stage("next", python("print('ran')"), 20))
    assert status == 1
    assert [each["status"] for each in outcomes] == ["stopped", "passed"]
    assert outcomes[0]["seconds"] < 15
    assert not alive(log)


def test_no_stage_begins_without_time(run: Any, stages: Any) -> None:
    status, outcomes, _, _ = run(
        stages.Stage("all of it", python(HELD)), stages.Stage("none", python("print('ran')"), 20), limit=5
    )
    assert status == 1
    assert [(each["status"]) for each in outcomes] == ["stopped", "left out"]
    assert outcomes[1]["said"] == "no time left"


def test_a_command_is_told_its_time(run: Any, stages: Any) -> None:
    _, outcomes, _, _ = run(stages.Stage("told", [*python("import sys; print(sys.argv[1])"), "{seconds}"], 20, margin=5))
    assert float(outcomes[0]["said"]) == pytest.approx(20 - 1.5 - 5, abs=1)


def test_a_stage_leaves_time_to_those_after_it(run: Any, stages: Any) -> None:
    first = stages.Stage("first", [*python("import sys; print(sys.argv[1])"), "{seconds}"], margin=5, leaves=20)
    _, outcomes, _, _ = run(first, stages.Stage("last", python("print('ran')")), limit=60)
    assert float(outcomes[0]["said"]) == pytest.approx(60 - 20 - 1.5 - 5, abs=1)
    assert outcomes[1]["said"] == "ran"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_what_was_found_out_survives(number: signal.Signals, tmp_path: Path) -> None:
    """The run itself is ended in the middle of its second stage."""
    code = f"""
import os, signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a job in the background of a shell does not have
sys.path.insert(0, {str(BENCH)!r})
from stages import Run, Stage
run = Run(Path("out"), 100, environment=os.environ, cwd=Path("."), say=print)
found = [sys.executable, "-c", "print('found')"]
held = [sys.executable, "-c", {HELD!r}]
try:
    run([Stage("one", found, 30), Stage("two", held, 60), Stage("three", found, 30)])
except KeyboardInterrupt:
    sys.exit(130)
"""
    process = subprocess.Popen(python(code), cwd=tmp_path, start_new_session=True)
    log, summary = tmp_path / "out" / "gpu.txt", tmp_path / "out" / "gpu.json"
    until = time.monotonic() + 60
    while not (log.exists() and re.search(r"begun \d+\n", log.read_text())) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(number)
    process.wait(30)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    states = [(each["name"], each["status"]) for each in json.loads(summary.read_text())["stages"]]
    assert states == [("one", "passed"), ("two", "running" if number == signal.SIGKILL else "stopped")]
    assert "found" in log.read_text()
    assert alive(log.read_text()) == (number == signal.SIGKILL)
    if number == signal.SIGKILL:  # nobody was left to end it
        os.killpg(int(log.read_text().rpartition("begun ")[2]), signal.SIGKILL)


@pytest.mark.usefixtures("stages")
def test_stages_of_a_gpu_fit_into_eight_minutes(tmp_path: Path) -> None:
    """In the order in which faults are likely, each with its own time, and a minute at least for the measurements."""
    import gpu

    every = gpu.stages(tmp_path)
    names = [stage.name for stage in every]
    order = [
        "small calls",
        "memcheck",
        "captured graphs",
        "reduce-overhead",
        "relation",
        "adain",
        "float64 products",
        "streams",
    ]
    assert [name for name in names if name in order] == order
    assert names[-2:] == ["above 2^31", "measurements"]
    assert gpu.LIMIT == 480 and every[-1].seconds is None
    assert sum(stage.seconds for stage in every[:-1]) + 40 <= gpu.LIMIT
    files = [part for stage in every for part in stage.command if part.endswith(".py")]
    assert files and all(Path(file).is_file() for file in files)
    assert "{seconds}" in every[-1].command


@pytest.mark.usefixtures("stages")
def test_the_source_tree_is_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu

    monkeypatch.setattr(gpu, "WORK", tmp_path)
    names = ["fastnst", "fastnst.kernels.triton", "fastnst.bench.failures", "fastnst.train"]
    code = f"from importlib.util import find_spec; print(*(find_spec(name).origin for name in {names}))"
    done = subprocess.run(python(code), cwd=gpu.source_tree(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(each.startswith(f"{tmp_path}/site/fastnst/") for each in done.stdout.split())


def test_without_a_gpu_nothing_is_written(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    environment = os.environ | {"PYTHON": sys.executable, "OUT": str(tmp_path / "out")}
    done = subprocess.run([BENCH / "gpu.sh"], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: no CUDA device (torch {torch.__version__})\n"
    assert not (tmp_path / "out").exists()
