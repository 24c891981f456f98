"""Turns the JSON of the videos' benchmark into ``video-<machine>.md`` and ``.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import pages

HEAD = ("model and frames", "frames a second (slowest-fastest)", "ms a frame")

METHOD = """\
4:2:0 y4m from memory, stylized, and as y4m to a pipe that forgets: no codec on either side. {threads} threads, each on a frame
of its own. The table shows the median of {samples} clips, after one that is not counted. Rows are marked as disturbed where
other processes used more than {disturbed:.0%} of the cores meanwhile.
"""


def write(source: Path, folder: Path) -> Path:
    """Write the report of pytest-benchmark's JSON to ``folder``, and return the path of the Markdown file.

    Raises:
        ValueError: ``source`` holds no video.
    """
    return pages.write(source, folder, "video", "frames", markdown)


def markdown(summary: dict[str, Any]) -> str:
    """The whole page, in Markdown."""
    return pages.page("Videos, end to end without a codec", HEAD, cells, METHOD, summary)


def cells(row: dict[str, Any]) -> list[str]:
    median, slowest, fastest = (f"{1 / row[f'{key}_seconds']:.1f}" for key in ("median", "max", "min"))
    return [pages.case(row), f"{median} ({slowest}-{fastest})", f"{1000 * row['median_seconds']:.2f}"]
