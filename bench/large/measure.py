"""Time and peak memory of ``fastnst stylize``, in its own process, for large pictures at once and in tiles."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFilter

from fastnst.system.child import python_module

from .. import pictures
from ..interleave import Bystanders, child_seconds, wait_until_quiet
from ..machine import cores, system
from .generators import write_cyclegan
from .synthetic import write_ppm

MODELS = ("adain-16x", "adain-nano")
GENERATOR = "cyclegan"
"""A CycleGAN generator of 9 blocks and 64 filters, which takes no style: see :mod:`bench.large.generators`."""
ENOUGH = "1T"
BUDGETS = {2048: (ENOUGH, "64M"), 8192: (ENOUGH, "200M"), 32768: ("200M",)}
"""Values of ``--max-memory``, by the side of a square picture. The last one, a gigapixel, is only measured on request."""
GENERATED = {4096: (ENOUGH, "300M")}
"""The same of the generator."""
ROUNDS, LESS_ROUNDS = 5, 3


@dataclass(frozen=True)
class Case:
    """A shipped model, the side of a square picture, a limit of memory, and whether a region takes a second style."""

    model: str
    side: int
    budget: str
    region: bool = False

    @property
    def name(self) -> str:
        parts = "bands" if self.model == GENERATOR else "tiles"
        how = "at once" if self.budget == ENOUGH else f"in {parts}, {self.budget}"
        return f"{self.model}, {self.side} px, {how}{', a region' if self.region else ''}"


@dataclass
class Result:
    """Seconds and memory of every sample, and the share of the cores that other processes used meanwhile."""

    seconds: list[float] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    foreign_share: float = 0.0


def cases(quick: bool, asked: str | None = None) -> list[Case]:
    """The cases of the sides in ``asked``, separated by commas, or of the usual ones; the generator's are 4096."""
    models, sides = (MODELS[:1], [2048]) if quick else (MODELS, [2048, 8192])
    if asked:
        sides = [int(side) for side in asked.split(",")]
    if unknown := set(sides) - set(BUDGETS) - set(GENERATED):
        raise ValueError(f"unknown side {min(unknown)}: choose from {', '.join(map(str, sorted({*BUDGETS, *GENERATED})))}")
    whole = [Case(model, side, budget) for model in models for side in sides for budget in BUDGETS.get(side, ())]
    styled = [each for case in whole for each in ([case] if case.budget == ENOUGH else [case, replace(case, region=True)])]
    return styled + [Case(GENERATOR, side, budget) for side in sides for budget in GENERATED.get(side, ())]


def sample(case: Case, folder: Path) -> dict[str, Any]:
    """The report of one run of the command, PPM to PPM."""
    content, style, out = (str(folder / name) for name in ("content.ppm", "style.png", "out.ppm"))
    generates = case.model == GENERATOR
    command = python_module("fastnst", "stylize", content, *([] if generates else [style]), "-o", out, "--overwrite", "--json")
    options = ["--model", str(folder / f"{GENERATOR}.fnst") if generates else case.model, "--max-memory", case.budget]
    if case.region:
        options += ["--region", f"{folder / 'mask.png'}={folder / 'second.png'}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def soft_disc() -> Image.Image:
    """A mask such as people paint: a disc over a third of the picture, with an edge that is soft over some hundredths of it."""
    mask = Image.new("L", (1024, 1024))
    ImageDraw.Draw(mask).ellipse((180, 180, 844, 844), fill=255)
    return mask.filter(ImageFilter.GaussianBlur(8))


def measure(case: Case, rounds: int, patience: float, folder: Path) -> Result:
    """Measure a case ``rounds`` times, after a first sample that only warms up."""
    write_ppm(folder / "content.ppm", case.side, case.side)
    second, style = (Image.fromarray(picture) for picture in pictures.pair(512))
    style.save(folder / "style.png")
    second.save(folder / "second.png")
    soft_disc().save(folder / "mask.png")
    if case.model == GENERATOR:
        write_cyclegan(folder / f"{GENERATOR}.fnst")
    result = Result()
    wait_until_quiet(patience)
    others = Bystanders(child_seconds)
    for number in range(rounds + 1):
        report = sample(case, folder)
        if number:
            result.reports.append(report)
            result.seconds.append(report["seconds"]["total"] - report["seconds"]["style"])
    result.foreign_share = others.share()
    return result


def facts(case: Case, result: Result) -> dict[str, Any]:
    """The facts about a case, for the JSON file."""
    peaks = [report["peak_memory"] for report in result.reports if report["peak_memory"]]
    return {
        "case": case.name,
        "model": case.model,
        "side": case.side,
        "budget": case.budget,
        "region": case.region,
        "threads": cores(),
        "planned_memory": result.reports[0]["planned_memory"],
        "peak_memory": max(peaks, default=None),
        "visits_seconds": result.seconds,
        "foreign_share": result.foreign_share,
        **system(),
    }
