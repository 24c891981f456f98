"""Turns the JSON of the data sets' benchmark into ``dataset-<machine>.md`` and ``.json``."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from .. import pages
from ..ops.report import DISTURBED
from ..stylize.report import table
from .measure import BESIDE, TITLES

HEAD = ("what, how many", "pictures a second", "a second and core", "times as fast as published", "memory of one, MB")
RATIOS = ("ratio", "measured", "asked")

METHOD = """\
adain-nano, one style for each picture, at 224 pixels. Every worker is a process on a core of its own; those of a
row run at the same time. Rows are measured in turn, {samples} rounds of samples of at least 3 s each; rates are medians, and a
ratio is the median of the rounds' ratios. Looks are cached, but for the published
network, which is VGG-19 to relu4_1 and its mirror in eager PyTorch, one picture at a time, its style of 512 pixels encoded each
time, as stylize-datasets runs it; its rate has neither decoding nor encoding of files in it. Rows are marked as disturbed where
other processes used more than {disturbed:.0%} of the cores meanwhile.
"""


def write(source: Path, folder: Path) -> Path:
    """Write the report of pytest-benchmark's JSON into ``folder``; the Markdown file's path.

    Raises:
        ValueError: ``source`` holds no data set.
    """
    return pages.write(source, folder, "dataset", "kind", markdown)


def markdown(summary: dict[str, Any]) -> str:
    """The whole page."""
    rows = summary["rows"]
    told = METHOD.format(samples=len(rows[0]["visits_seconds"]), disturbed=DISTURBED)
    published = next((row["median_seconds"] for row in rows if row["kind"] == "published"), None)
    lines = [*pages.head("Data sets", summary), "", table(HEAD, [cells(row, published) for row in rows]), told]
    return "\n".join([*lines, table(RATIOS, ratios(rows))])


def cells(row: dict[str, Any], published: float | None) -> list[str]:
    rate = 1 / row["median_seconds"]
    each = rate / row["workers"]
    times = f"{each * published:,.1f}" if published else "-"
    memory = f"{row['peak_memory'] / 1e6:.0f}" if row["peak_memory"] else "-"
    return [pages.case(row), f"{rate:,.1f}", f"{each:,.1f}", times, memory]


def ratios(rows: list[dict[str, Any]]) -> list[list[str]]:
    """What two workers are beside one, and a loader beside its calls: medians of the rounds' ratios."""
    visits = {(row["kind"], row["workers"]): row["visits_seconds"] for row in rows}

    def ratio(above: tuple[str, int], below: tuple[str, int]) -> float:
        return statistics.median(a / b for a, b in zip(visits[above], visits[below], strict=True))

    lines = [
        [f"{TITLES[kind]}: two workers beside one, pictures a second", f"{ratio((kind, 1), (kind, 2)):.2f}", ">= 1.9"]
        for kind in BESIDE
        if {(kind, 1), (kind, 2)} <= visits.keys()
    ]
    if {("calls", 2), ("loader", 2)} <= visits.keys():
        cost = ratio(("loader", 2), ("calls", 2))
        lines.append(["DataLoader of two workers: cost beside its calls by two workers", f"{cost:.2f}", "<= 1.1"])
    return lines
