"""Pictures a second of workers that run at the same time, each a process on a core of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from fastnst.system.child import python_module

from .. import pictures
from ..interleave import PACKAGE, ROOT, Bystanders, child_seconds, environment, wait_until_quiet
from ..machine import system
from .worker import KINDS, MODEL

SIDE, STYLE = 256, 512
CONTENTS, STYLES = 256, 4
SAMPLE_SECONDS = 3.0
ROUNDS, LESS_ROUNDS = 5, 3
BESIDE = ("engine", "jpeg", "job")
"""Kinds of which two workers are set beside one."""
TITLES = {
    "engine": "engine, pictures decoded",
    "jpeg": "JPEG in and out, in memory",
    "job": "fastnst stylize, folder to folder",
    "calls": "RandomStyle, called",
    "loader": "RandomStyle, DataLoader",
    "published": "AdaIN as published, eager PyTorch",
}


@dataclass(frozen=True)
class Case:
    """What workers do, and how many there are. The loader has two of its own."""

    kind: str
    workers: int

    @property
    def name(self) -> str:
        return f"{TITLES[self.kind]}, {self.workers} worker{'s' * (self.workers > 1)}"

    @property
    def processes(self) -> int:
        return 1 if self.kind == "loader" else self.workers


@dataclass
class Result:
    """Of every sample: seconds for a picture, all workers together, and the most memory of one. Of all of them: the largest
    share of the cores that others used meanwhile.
    """

    seconds: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    foreign_share: float = 0.0


def cases(quick: bool) -> list[Case]:
    """What is measured; quickly, two workers are set beside one for the engine alone."""
    both = [Case(kind, workers) for kind in BESIDE for workers in (1, 2)]
    return [each for each in both if each.workers == 1 or each.kind == "engine" or not quick] + [
        Case("calls", 1),
        Case("calls", 2),
        Case("loader", 2),
        Case("published", 1),
    ]


def write_inputs(folder: Path) -> None:
    """Contents with a short side of 256, each another part of a picture, and styles of 512, as JPEG."""
    content, style = pictures.pair(2 * STYLE)
    for name, pixels, side, count in (("contents", content, SIDE, CONTENTS), ("styles", style, STYLE, STYLES)):
        (folder / name).mkdir()
        for at in range(count):
            top = (at * 37) % (pixels.shape[0] - side + 1)
            left = (at * 61) % (pixels.shape[1] - side + 1)
            image = Image.fromarray(pixels[top : top + side, left : left + side])
            image.save(folder / name / f"{at:03}.jpg", quality=92)


def sample(case: Case, folder: Path, seconds: float) -> tuple[float, int]:
    """Seconds for a picture, all workers together, and the most memory of one."""
    running = []
    for number in range(1, case.processes + 1):
        words = (case.kind, str(folder), str(number), str(case.processes), str(seconds))
        command = python_module(f"{PACKAGE}.dataset.worker", *words)
        running.append(subprocess.Popen(command, cwd=ROOT, env=environment(1), stdout=subprocess.PIPE, text=True))
    reports: list[dict[str, Any]] = []
    for process in running:
        out, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{case.name}: a worker ended with {process.returncode}")
        reports.append(json.loads(out.splitlines()[-1]))
    rate = sum(report["pictures"] / report["seconds"] for report in reports)
    return 1 / rate, max(report["peak_memory"] or 0 for report in reports)


def measure(
    cases: Sequence[Case], rounds: int, patience: float, folder: Path, seconds: float = SAMPLE_SECONDS
) -> dict[Case, Result]:
    """Measure the cases in turn, again and again, so that what slows the machine slows all. ``folder`` is empty at first."""
    write_inputs(folder)
    results = {case: Result() for case in cases}
    for _ in range(rounds):
        for case, result in results.items():
            wait_until_quiet(patience)
            others = Bystanders(child_seconds)
            spent, peak = sample(case, folder, seconds)
            result.seconds.append(spent)
            result.peaks.append(peak)
            result.foreign_share = max(result.foreign_share, others.share())
    return results


def facts(case: Case, result: Result) -> dict[str, Any]:
    """What the JSON file says of one case."""
    assert case.kind in KINDS
    return {
        "case": case.name,
        "kind": case.kind,
        "workers": case.workers,
        "model": MODEL,
        "threads": 1,
        "peak_memory": max(result.peaks, default=0) or None,
        "visits_seconds": result.seconds,
        "foreign_share": result.foreign_share,
        **system(),
    }
