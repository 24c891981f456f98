"""Turns the JSON of the large pictures' benchmark into ``large-<machine>.md`` and ``.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import pages

HEAD = ("model, picture", "ns a pixel (fastest-slowest)", "seconds", "peak memory, MB", "planned, MB")

METHOD = """\
`fastnst stylize` from one raw PPM to another, each run a process of its own with {threads} threads, the style encoded before.
Time is that of reading, all passes and writing; the median of {samples} runs, after one that is not counted. Memory is the
most that the process held, Python and all. Rows are marked as disturbed where other processes used more than {disturbed:.0%} of
the cores meanwhile. *A region*: a disc with a soft edge takes a second style. `cyclegan` is a CycleGAN generator of 9 blocks
and 64 filters with random weights, which takes no style.
"""


def write(source: Path, folder: Path) -> Path:
    """Write the report of pytest-benchmark's JSON to ``folder``, and return the path of the Markdown file.

    Raises:
        ValueError: ``source`` holds no large picture.
    """
    return pages.write(source, folder, "large", "planned_memory", markdown)


def markdown(summary: dict[str, Any]) -> str:
    """The whole page, in Markdown."""
    return pages.page("Large pictures, at once and in tiles", HEAD, cells, METHOD, summary)


def cells(row: dict[str, Any]) -> list[str]:
    pixels = row["side"] ** 2
    median, fastest, slowest = (f"{1e9 * row[f'{key}_seconds'] / pixels:.1f}" for key in ("median", "min", "max"))
    peak = f"{row['peak_memory'] / 1e6:.0f}" if row["peak_memory"] else "-"
    times = [f"{median} ({fastest}-{slowest})", f"{row['median_seconds']:.2f}"]
    return [pages.case(row), *times, peak, f"{row['planned_memory'] / 1e6:.0f}"]
