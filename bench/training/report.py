"""Turns the JSON of the training steps' benchmark into ``training-<machine>.md`` and ``.json``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import pages
from ..ops.names import FASTNST, PUBLISHED
from ..ops.report import DISTURBED
from ..stylize.report import milliseconds, table
from .measure import LABELS, STEPS

HEAD = (
    "step",
    "fastnst, ms (min-max)",
    f"{LABELS[PUBLISHED]}, ms (min-max)",
    "times as fast",
    "fastnst, MB",
    f"{LABELS[PUBLISHED]}, MB",
)

METHOD = """\
Both run the recipe's code on the same networks, random ones, in one process and are measured in turn; a sample is a step that
is not counted and then the median of {steps}; the table shows the median of {samples} samples, the fastest and the slowest. A
step is the loss, its gradient, clipping and Adam, with VGG-19's targets where the recipe computes them at every step
(`collab`); reading pictures is not in it. `collab` is its first phase, with the collaboration loss; `adain` its second one;
`crd` the step of CycleGAN's student, whose teacher stands still. Only the operations differ; the convolutions, most of a step
of the first two, are the same. Maps are in channels-last layout, as the recipes have them; the published statistics copy them
once for that.
Rows are marked as disturbed where other processes used more than {disturbed:.0%} of the cores meanwhile. MB: by how much the
resident set grows during a step at most, in a process of its own whose allocator gives freed memory back at once.
"""


def write(source: Path, folder: Path) -> Path:
    """Write the report of pytest-benchmark's JSON to ``folder``, and return the path of the Markdown file.

    Raises:
        ValueError: ``source`` holds no training step.
    """
    return pages.write(source, folder, "training", "operations", markdown)


def markdown(summary: dict[str, Any]) -> str:
    """The whole page, in Markdown."""
    first, title = summary["rows"][0], "Training steps with fastnst.ops and with the published operations"
    lines = [
        *pages.head(title, summary, f"; device {first['device']}; threads: {first['threads']}"),
        f"* Versions: {', '.join(f'{name} {version}' for name, version in first['versions'].items())}\n",
        table(HEAD, cells(summary["rows"])),
        METHOD.format(steps=STEPS, samples=len(first["visits_seconds"]), disturbed=DISTURBED),
    ]
    return "\n".join(lines)


def cells(rows: list[dict[str, Any]]) -> Iterator[list[str]]:
    by_name = {(row["case"], row["operations"]): row for row in rows}
    for case in dict.fromkeys(row["case"] for row in rows):
        pair = [by_name.get((case, name)) for name in (FASTNST, PUBLISHED)]
        own, other = pair
        if own is None or other is None:  # one of them failed, which pytest has reported
            continue
        disturbed = " (disturbed)" if own["foreign_share"] > DISTURBED else ""
        times = [[milliseconds(row[f"{key}_seconds"]) for key in ("median", "min", "max")] for row in (own, other)]
        yield [
            f"{case}, {own['batch']} x {own['size']} px{disturbed}",
            *(f"{median} ({least}-{most})" for median, least, most in times),
            f"{other['median_seconds'] / own['median_seconds']:.2f}",
            *memory_cells(own["step_bytes"], other["step_bytes"]),
        ]


def memory_cells(own: int | None, other: int | None) -> tuple[str, str]:
    """The cells of a row: megabytes of a step, and those of the published operations in multiples of it."""
    if own is None or other is None:
        return "not measured", "not measured"
    return f"{own / 1e6:,.0f}", f"{other / 1e6:,.0f} ({other / own:.2f} times)"
