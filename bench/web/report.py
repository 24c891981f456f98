"""Turns the JSON of the browser's benchmark into ``web-<machine>.md`` and ``.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import pages

HEAD = ("picture", "contender", "ms (fastest-slowest)", "the best rival's time, times")

METHOD = """\
Chromium {browser} without a window, one tab for each number of threads; {rival}, with the graphs that `fastnst export` writes,
in float32 and (`--qdq`) int8. The model is `adain-16x`, style given. All are called in turn; a sample is a call that is not
counted and then the median of those of half a second; the table shows the median of {samples} samples, after a round that is
not counted. fastnst runs `{instruction_set}`, the best path of this browser on this processor, and in a row of its own
`simd128`, which every browser with vectors has. It takes and gives bytes and crosses to its worker and back; the rivals' inputs
are floats that are there already, and their results stay floats. All work without the palette step, which the rivals' graphs
lack. The page's first picture is the one of its button for trying, from a profile that has never seen the page and a server of
plain files on this computer: what was sent is not compressed. Rows are marked as disturbed where other processes used more than
{disturbed:.0%} of the cores meanwhile.
"""


def write(source: Path, folder: Path) -> Path:
    """Write the report of pytest-benchmark's JSON to ``folder``, and return the path of the Markdown file.

    Raises:
        ValueError: ``source`` holds nothing of the browser.
    """
    return pages.write(source, folder, "web", "contender", markdown)


def markdown(summary: dict[str, Any]) -> str:
    """The whole page, in Markdown."""
    row = summary["rows"][0]
    method = METHOD.replace("{browser}", row["browser"]).replace("{rival}", row["rival"])
    method = method.replace("{instruction_set}", row["instruction_set"])
    return pages.page("In a browser, beside ONNX Runtime", HEAD, cells, method, summary)


def cells(row: dict[str, Any]) -> list[str]:
    median, fastest, slowest = (f"{1000 * row[f'{key}_seconds']:.0f}" for key in ("median", "min", "max"))
    beside = f"{row['beside_best_rival']:.2f}" if row["beside_best_rival"] else ""
    return [pages.case(row), row["contender"], f"{median} ({fastest}-{slowest})", beside]
