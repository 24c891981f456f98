"""Runs commands one after the other within a limit of time, so that results survive whatever happens later.

Every stage has its own limit: a slow one is stopped, with all its child processes, and takes no time from the others. The
output of a stage goes directly to a file, and a summary is replaced atomically when a stage begins and when it ends. So if
this is killed, everything printed before is kept. It uses only the standard library, so that it can report missing packages.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

GRACE = 5.0
"""Seconds that an interrupted stage has to print its results."""
LEAST = 3.0
"""The least time in seconds, beside the grace, with which a stage begins."""
SHOWN = 40
"""The number of last lines of a stage that did not pass, shown on the terminal."""

PASSED, FAILED, STOPPED, LEFT_OUT, RUNNING = "passed", "failed", "stopped", "left out", "running"


@dataclass(frozen=True)
class Stage:
    """A command and its limits.

    Attributes:
        name: the name in the summary.
        command: the program and its arguments.
        seconds: the limit from its start to its end; None for all the time that is left.
        environment: environment variables beside those of every stage.
        missing: what it needs and this machine lacks; None if nothing is missing.
        margin: ``{seconds}`` in the command is replaced by the seconds that the stage has, less this.
        leaves: seconds that are reserved for the stages after it.
    """

    name: str
    command: Sequence[str]
    seconds: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    missing: str | None = None
    margin: float = 0.0
    leaves: float = 0.0


@dataclass
class Outcome:
    """How a stage ended.

    Attributes:
        status: ``passed``, ``failed``, ``stopped``, ``left out`` or ``running``.
        seconds: the time that it took.
        said: its last line of output, or why it was left out.
    """

    name: str
    status: str
    seconds: float = 0.0
    said: str = ""


class Run:
    """One run of stages within ``limit`` seconds; ``log`` and ``summary`` are files in ``folder``."""

    def __init__(
        self,
        folder: Path,
        limit: float,
        *,
        environment: Mapping[str, str],
        cwd: Path,
        say: Callable[[str], None],
        facts: Mapping[str, object] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log, self.summary = folder / "gpu.txt", folder / "gpu.json"
        self.limit, self.environment, self.cwd, self.say = limit, dict(environment), cwd, say
        self.facts = dict(facts or {})
        self.started = time.monotonic()
        self.outcomes: list[Outcome] = []
        self.log.write_bytes(b"")

    def __call__(self, stages: Sequence[Stage]) -> int:
        """Run all ``stages``; returns 0 if each passed or had to be left out, else 1."""
        signal.signal(signal.SIGTERM, _interrupt)
        for stage in stages:
            outcome = Outcome(stage.name, RUNNING)
            self.outcomes.append(outcome)
            self._write()
            begun = time.monotonic()
            try:
                self._run(stage, outcome)
            except KeyboardInterrupt:
                outcome.status, outcome.said = STOPPED, "interrupted"
                raise
            finally:
                outcome.seconds = round(time.monotonic() - begun, 1)
                self._write()
                self._show(outcome)
        return int(any(outcome.status in {FAILED, STOPPED} for outcome in self.outcomes))

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.limit - (time.monotonic() - self.started)

    def _run(self, stage: Stage, outcome: Outcome) -> None:
        free = self.left - stage.leaves
        seconds = free if stage.seconds is None else min(stage.seconds, free)
        if stage.missing is not None:
            outcome.status, outcome.said = LEFT_OUT, stage.missing
            return
        if seconds < GRACE + LEAST:
            outcome.status, outcome.said = LEFT_OUT, "no time left"
            return
        command = [part.replace("{seconds}", f"{max(0, seconds - GRACE - stage.margin):.0f}") for part in stage.command]
        with self.log.open("ab") as log:
            log.write(f"\n===== {stage.name}, at most {seconds:.0f} s: {' '.join(command)}\n".encode())
            log.flush()
            start = log.tell()
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.cwd,
                    env={**self.environment, **stage.environment},
                    start_new_session=True,
                )
            except OSError as error:
                outcome.status, outcome.said = FAILED, str(error)
                return
        try:
            status = process.wait(seconds - GRACE)
            outcome.status = PASSED if status == 0 else FAILED
        except subprocess.TimeoutExpired:
            outcome.status = STOPPED
        finally:
            _end(process)
        lines = self._lines(start)
        outcome.said = lines[-1] if lines else ""
        if outcome.status == STOPPED:
            outcome.said = f"after {seconds - GRACE:.0f} s; last: {outcome.said}"
        elif outcome.status == FAILED and status < 0:
            outcome.said = f"killed by signal {-status}; last: {outcome.said}"

    def _lines(self, start: int) -> list[str]:
        with self.log.open("rb") as log:
            log.seek(start)
            return [line.rstrip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]

    def _write(self) -> None:
        """Write the summary, atomically."""
        scratch = self.summary.with_suffix(".part")
        stages = [asdict(outcome) for outcome in self.outcomes]
        scratch.write_text(json.dumps(self.facts | {"limit": self.limit, "stages": stages}, indent=1) + "\n")
        scratch.replace(self.summary)

    def _show(self, outcome: Outcome) -> None:
        taken = time.monotonic() - self.started
        self.say(f"{taken:4.0f} s  {outcome.name}: {outcome.status} in {outcome.seconds:.1f} s: {outcome.said}")
        if outcome.status in {FAILED, STOPPED}:
            text = self.log.read_text(errors="replace").rpartition("\n===== ")[2]
            for line in text.splitlines()[-SHOWN:]:
                self.say(f"        {line}")


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a stage and all its child processes; if it is still running, it gets time to print its results."""
    if process.poll() is None:
        _signal(process, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE - 1)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # all gone
        os.killpg(process.pid, number)
