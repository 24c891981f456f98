"""One runtime in one process: ``python -m bench.worker prepare|inputs|serve ...``, started by :mod:`bench.interleave`.

``serve`` prints a line when it is ready, and then answers each command on standard input with one line of JSON:

* ``run``: one sample: a run that does not count (it fills the caches), then runs for at least 0.2 s; their median.
* ``cold``: one sample: load the network again and run once; the shortest of three.
* ``memory``: peak resident memory since it was ready, over the life of the process, and before the runtime was loaded.
* ``save PATH``: run once more and save the picture.
* ``quit``.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .stylize import jobs, peers, peers_inputs
from .translate import translators

RUNTIMES = peers.RUNTIMES | translators.RUNTIMES
SAMPLE_SECONDS = 0.2
COLD_RUNS = 3
STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")


def peak_memory() -> int | None:
    """Peak resident set in bytes since the start or the last :func:`reset_peak_memory`; None on other systems than Linux."""
    if not STATUS.exists():
        return None
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def reset_peak_memory() -> bool:
    """Reset the peak; returns False if the kernel does not allow it."""
    try:
        CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


def sample(run: jobs.Run) -> dict[str, Any]:
    """The median of one sample, and how many runs it took."""
    run()
    times: list[float] = []
    started = time.perf_counter()
    while not times or time.perf_counter() - started < SAMPLE_SECONDS:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return {"seconds": statistics.median(times), "runs": len(times)}


def cold_sample(load: Callable[[], jobs.Run]) -> dict[str, Any]:
    """The time from loading the network to the first picture, with everything imported."""
    times: list[float] = []
    for _ in range(COLD_RUNS):
        before = time.perf_counter()
        load()()
        times.append(time.perf_counter() - before)
    return {"seconds": min(times), "runs": COLD_RUNS}


def serve(folder: Path, name: str, size: int, threads: int, style: str) -> None:
    """Load and warm up, then answer commands until ``quit``."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # some runtimes print to standard output

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    job = jobs.Job(folder, size, threads, style)
    before = peak_memory()
    started = time.perf_counter()
    run = RUNTIMES[name].load(job)
    for _ in range(2):
        run()
    build_seconds, life = time.perf_counter() - started, peak_memory()
    reset = reset_peak_memory()
    answer(build_seconds=build_seconds, details=job.details)
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "run":
            answer(**sample(run))
        elif command == "cold":
            answer(**cold_sample(lambda: RUNTIMES[name].load(job)))
        elif command == "memory":
            during = peak_memory()
            whole = max(life, during) if life and during else None
            answer(runs=during if reset else None, life=whole, before=before)
        elif command == "save":
            np.save(argument, RUNTIMES[name].picture(run()))
            answer()
        elif command == "quit":
            break
    os._exit(0)  # some runtimes take seconds to unload, or crash then


def main(arguments: list[str]) -> None:
    task, folder, *rest = arguments
    if task == "inputs":
        size, style = rest
        module = translators if style == translators.STYLE else peers_inputs
        module.prepare_inputs(Path(folder), int(size))
    elif task == "prepare":
        name, style = rest
        RUNTIMES[name].prepare(Path(folder), style)
    else:
        name, size, threads, style = rest
        serve(Path(folder), name, int(size), int(threads), style)


if __name__ == "__main__":
    main(sys.argv[1:])
