"""Controls the worker processes of a case so that every runtime is measured under the same conditions.

All runtimes are loaded first, one after the other; then they are measured in turn, A B C ... A B C ..., so that a slow minute
of the machine affects all of them. Before each sample this waits until nothing else uses the cores, and it repeats samples
during which another process did. Two things cannot be detected, because other guests of a host are not visible: changes of the
clock rate, and use of a shared cache or memory bus. They show in the spread between samples.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastnst.system.child import python_module

from .machine import cores
from .stylize import jobs, peers

PACKAGE = __package__
ROOT = Path(__file__).resolve().parents[PACKAGE.count(".") + 1]
"""The folder from which this package can be imported, whether it is ``bench`` or, installed, ``fastnst.bench``."""
STAT = Path("/proc/stat")
REPEATS = 4
ANSWER_SECONDS = 1800.0
"""The time after which a silent worker counts as failed. Compiling and quantising take minutes on a small machine."""

Log = Callable[[str], None]


class WorkerError(RuntimeError):
    """A worker died, hung or could not be started; the message ends with its last output."""


@dataclass(frozen=True)
class Case:
    """The properties that all runtimes of one comparison share."""

    size: int
    threads: int
    style: str

    def __str__(self) -> str:
        return f"{self.size}px-{self.threads}t-{self.style}"

    @property
    def title(self) -> str:
        return f"{self.size} px, {self.threads} thread{'s' * (self.threads > 1)}, style {self.style}"

    @classmethod
    def parse(cls, text: str) -> Case:
        size, threads, style = text.split("-")
        return cls(int(size.removesuffix("px")), int(threads.removesuffix("t")), style)


@dataclass
class Result:
    """The result of one runtime in one case."""

    runtime: str
    seconds: list[float] = field(default_factory=list)  # one median per sample
    repeated: int = 0  # samples that were repeated because another process was running
    disturbed: int = 0  # samples that count although another process was running
    build_seconds: float = 0.0
    memory: dict[str, int | None] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    psnr: float | None = None  # None: the reference did not run
    error: str = ""


# --- worker processes -------------------------------------------------------------------------------------------------------


def environment(threads: int) -> dict[str, str]:
    """The environment of a worker: a limit of threads for every library, and no telemetry."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return os.environ | limits | {"CI": "true"}  # which turns off openvino-telemetry


def command(*arguments: object) -> list[str]:
    return python_module(f"{PACKAGE}.worker", *map(str, arguments))


def tail(log: Path, lines: int = 12) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def run_once(log: Path, *arguments: object) -> None:
    """Run a worker that does one thing and ends.

    Raises:
        WorkerError: it failed.
    """
    with log.open("w") as file:
        process = subprocess.run(
            command(*arguments),
            cwd=ROOT,
            env=environment(os.cpu_count() or 1),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    if process.returncode:
        raise WorkerError(tail(log))


class Worker:
    """A runtime that is loaded and waits for commands."""

    def __init__(self, runtime: str, folder: Path, case: Case) -> None:
        self.log = folder / "logs" / f"{runtime}-{case}.txt"
        with self.log.open("w") as file:
            self.process = subprocess.Popen(
                command("serve", folder, runtime, case.size, case.threads, case.style),
                cwd=ROOT,
                env=environment(case.threads),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )
        self.ready = self._answer()

    def ask(self, message: str) -> dict[str, Any]:
        """Send a command and wait for the answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(message + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(tail(self.log)) from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        guard = threading.Timer(ANSWER_SECONDS, self.process.kill)
        guard.start()
        line = self.process.stdout.readline()
        guard.cancel()
        if not line:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)  # for its exit status; it is killed later if it hangs
            self.close()
            raise WorkerError(f"ended with {self.process.returncode}: {tail(self.log)}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def cpu_seconds(self) -> float:
        """Processor time used so far, in all threads."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


# --- a quiet machine --------------------------------------------------------------------------------------------------------


def busy_seconds() -> float:
    """Processor time that all processes have used on the cores that this one may use; 0 where there is no /proc."""
    if not STAT.exists():
        return 0.0
    allowed = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    rows = [line.split() for line in STAT.read_text().splitlines()]
    times = [[int(value) for value in row[1:9]] for row in rows if row[0] in allowed]
    # Without idle time and waiting for disks.
    return sum(sum(core) - core[3] - core[4] for core in times) / os.sysconf("SC_CLK_TCK")


def child_seconds() -> float:
    """Processor time of all commands that have been run and have ended."""
    times = os.times()
    return times.children_user + times.children_system


class Bystanders:
    """Other processes on the cores while ours work.

    Args:
        own: processor time that ours have used, in seconds.
    """

    def __init__(self, own: Callable[[], float] = time.process_time) -> None:
        self._own = own
        self._started = time.monotonic()
        self._before = busy_seconds() - own()

    def share(self) -> float:
        """The share of the cores that they used since, 0 to 1.

        The system counts in steps of 10 ms, so that a short time may count as more than there was.
        """
        used = busy_seconds() - self._own() - self._before
        return min(1.0, max(0.0, used / (time.monotonic() - self._started) / cores()))


def wait_until_quiet(patience: float) -> None:
    """Wait until the cores were idle for 60 ms, but not longer than ``patience`` seconds."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        before = busy_seconds()
        time.sleep(0.06)
        if busy_seconds() - before < 0.021:  # about two clock ticks
            return


def sample(worker: Worker, result: Result, patience: float, message: str = "run") -> float:
    """Take a sample, in seconds, and repeat it while other processes use the cores; ``result`` counts repetitions."""
    for attempt in range(REPEATS):
        wait_until_quiet(patience)
        own = worker.cpu_seconds() + sum(os.times()[:2])
        busy, started = busy_seconds(), time.monotonic()
        seconds = float(worker.ask(message)["seconds"])
        used = busy_seconds() - busy
        foreign = used - (worker.cpu_seconds() + sum(os.times()[:2]) - own)
        if foreign < 0.03 + 0.04 * (time.monotonic() - started):
            return seconds
        if attempt + 1 < REPEATS and patience:
            result.repeated += 1
        else:
            break
    result.disturbed += 1
    return seconds


# --- one case ---------------------------------------------------------------------------------------------------------------


def start(runtime: str, folder: Path, case: Case) -> Worker:
    """Prepare and load one runtime."""
    run_once(folder / "logs" / f"prepare-{runtime}-{case.style}.txt", "prepare", folder, runtime, case.style)
    return Worker(runtime, folder, case)


def run_case(
    case: Case,
    runtimes: Sequence[str],
    folder: Path,
    *,
    rounds: int,
    patience: float,
    log: Log,
    reference: str = peers.REFERENCE,
    message: str = "run",
) -> dict[str, Result]:
    """Measure the runtimes in turn, ``rounds`` samples each after one that does not count; failures become ``Result.error``.

    Pictures are compared with that of the runtime ``reference``; ``message``, which asks for a sample, is ``run`` or ``cold``.
    """
    (folder / "logs").mkdir(exist_ok=True)
    run_once(folder / "logs" / f"inputs-{case.size}.txt", "inputs", folder, case.size, case.style)
    results = {runtime: Result(runtime) for runtime in runtimes}
    workers: dict[str, Worker] = {}
    try:
        for runtime, result in results.items():
            log(f"{case}: loading {runtime}")
            guarded(result, lambda runtime=runtime: workers.update({runtime: start(runtime, folder, case)}))  # type: ignore[misc]
        for round_number in range(rounds + 1):
            for runtime, worker in workers.items():
                result = results[runtime]
                guarded(result, lambda w=worker, r=result: r.seconds.append(sample(w, r, patience, message)))  # type: ignore[misc]
            log(f"{case}: round {round_number} of {rounds}")
        pictures = {runtime: finish(worker, results[runtime], folder) for runtime, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.close()
    wanted = pictures.get(reference)
    for runtime, picture in pictures.items():
        if picture is not None and wanted is not None:
            results[runtime].psnr = jobs.psnr(picture, wanted)
    return results


def guarded(result: Result, step: Callable[[], None]) -> None:
    """Do one step of a runtime that has not failed yet; if it fails now, note that and continue with the others."""
    if result.error:
        return
    try:
        step()
    except (WorkerError, subprocess.TimeoutExpired) as error:
        result.error = str(error) or type(error).__name__


def finish(worker: Worker, result: Result, folder: Path) -> Any:
    """Complete ``result``, and return the worker's picture, or None if it failed."""
    result.seconds = result.seconds[1:]  # the first round only warms up
    result.build_seconds, result.details = worker.ready["build_seconds"], worker.ready["details"]
    target = folder / "picture.npy"

    def collect() -> None:
        result.memory = worker.ask("memory")  # before saving, which takes memory too
        worker.ask(f"save {target}")

    guarded(result, collect)
    return None if result.error else np.load(target)
