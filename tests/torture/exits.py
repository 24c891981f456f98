"""Processes that end while the engine is at work."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from torture.framework import Outcome, check
from torture.goldens import FOLDER
from torture.models import sound_files

SECONDS = 20
"""After so long a process hangs, on however busy a machine."""
WORK = """
import os, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from fastnst.stylize import Stylizer
from fastnst.verify import picture

side, threads, wait, part = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])
stylizer = Stylizer(sys.argv[1], threads)
stylizer.max_memory = int(part * stylizer.engine.working_bytes(side, side + 3, threads=threads))
content, begun = picture(side, side + 3, 1), threading.Event()

def once():
    stylizer(content, content if stylizer.engine.takes_style else None)
    begun.set()

def for_ever():
    while True:
        once()

def daemons(count):
    for _ in range(count):
        threading.Thread(target=for_ever, daemon=True).start()
    begun.wait()
    time.sleep(wait)
"""
WAYS = {
    "the end of main": ("daemons(3)", 0),
    "sys.exit": ("daemons(2); sys.exit(7)", 7),
    "os._exit": ("daemons(3); os._exit(5)", 5),
    "an exception": ("daemons(2); raise ValueError('on purpose')", 1),
    "sys.exit inside a pool": (
        "with ThreadPoolExecutor(3) as pool:\n  jobs = [pool.submit(once) for _ in range(9)]\n  begun.wait()\n  sys.exit(3)",
        3,
    ),
    "a pool that is left behind": (
        "pool = ThreadPoolExecutor(3)\njobs = [pool.submit(once) for _ in range(9)]\nbegun.wait()\nsys.exit(4)",
        4,
    ),
    "a thread that is no daemon": ("threading.Thread(target=lambda: [once() for _ in range(20)]).start()\nsys.exit(6)", 6),
    "an exception in a thread": ("daemons(1)\nthreading.Thread(target=lambda: 1 / 0).start()\ntime.sleep(wait)", 0),
    "a fork that ends": (
        "daemons(2)\nif os.fork() == 0:\n  once()\n  sys.exit(0)\nsys.exit(os.waitstatus_to_exitcode(os.wait()[1]))",
        0,
    ),
}
"""What follows the work, and the exit code it asks for."""
CRASHES = ("Fatal Python error", "terminate called", "Segmentation fault", "Aborted", "dumped core", "gilstate", "pybind11")


def ended(model: Path, way: str, *numbers: float) -> tuple[int | None, str]:
    """Exit code, None if it did not end in time, and what was said on stderr."""
    command = [sys.executable, "-c", WORK + way, str(model), *map(str, numbers)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            said = process.communicate(timeout=SECONDS)[1]
        except subprocess.TimeoutExpired as late:
            os.killpg(process.pid, signal.SIGKILL)  # its children as well
            return None, str(late.stderr)
        return process.returncode, said


@check("exit of the interpreter with work in flight, four ways", quick=4, full=40)
def exits_in_flight(count: int) -> Outcome:
    """A process that ends while engines run ends at once, with the code that it asked for and no crash."""
    outcome, chance, slowest = Outcome(), random.Random(6), 0.0
    with TemporaryDirectory() as folder:
        models = [*sound_files(folder), FOLDER / "adain-16x.fnst", FOLDER / "wct-16x.fnst"]
        for number in range(count):
            name, (way, code) = list(WAYS.items())[number % len(WAYS)]
            model, threads, wait = models[number % len(models)], chance.randint(1, 6), chance.uniform(0, 0.05)
            side = chance.choice((5, 60, 400))  # a call takes from microseconds to many milliseconds
            # In tiles the engine calls Python for rows.
            part = 0.7 if side == 400 and model.stem != "generator" and number % 4 else 1
            start = time.perf_counter()
            found, said = ended(model, way, side, threads, wait, part)
            slowest = max(slowest, time.perf_counter() - start)
            quiet = not any(words in said for words in CRASHES)
            where = f"{number}: {name}, {model.stem}, {side} pixels, {threads} threads, {part} of the memory"
            outcome.expect(found == code and quiet, f"{where}: exit code {found} instead of {code}: {said[-600:]!r}")
    outcome.note = f"slowest {slowest:.1f} s"
    return outcome
