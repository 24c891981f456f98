"""Turns the JSON of the generators' benchmark into ``translate-<machine>.md`` and ``.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import pages
from ..stylize.report import milliseconds, number, table

HEAD = ("size, threads, runtime", "ms (min-max)", "times as long as fastnst", "peak memory, MB", "PSNR, dB")

METHOD = """\
The generator is CRD's student of CycleGAN (MobileNet blocks, width 16) with random weights; its teacher has width 64. Every
runtime is a process of its own, measured in turn; a sample is a run that is not counted and then the median of as many as fill
0.2 s; the table shows the median of {samples} samples. Rivals take and give float32, whose conversion from and to bytes is not
charged to them; fastnst takes and gives bytes. PSNR is that of the picture beside PyTorch's of the same network. OpenVINO keeps
instance norms in floating point; what is not int8 runs in bf16 where the processor has it. Rows are marked as disturbed where a
sample was kept although something else ran.
"""


def write(source: Path, folder: Path) -> Path:
    """Write the report of pytest-benchmark's JSON to ``folder``, and return the path of the Markdown file.

    Raises:
        ValueError: ``source`` holds no translation.
    """
    return pages.write(source, folder, "translate", "runtime", markdown)


def markdown(summary: dict[str, Any]) -> str:
    """The whole page, in Markdown."""
    rows = summary["rows"]
    versions = {name: version for row in rows for name, version in row["versions"].items()}
    lines = [
        *pages.head("Image-to-image generators", summary),
        f"* Versions: {', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}\n",
        table(HEAD, [cells(row) for row in rows]),
        METHOD.format(samples=len(rows[0]["visits_seconds"])),
    ]
    return "\n".join(lines)


def cells(row: dict[str, Any]) -> list[str]:
    disturbed = " (disturbed)" if row["visits_disturbed"] else ""
    median, least, most = (milliseconds(row[f"{key}_seconds"]) for key in ("median", "min", "max"))
    memory = row["peak_memory_runs"]
    return [
        f"{row['size']} px, {row['threads']}, {row['label']}{disturbed}",
        f"{median} ({least}-{most})",
        number(row["times_as_long_as_fastnst"], ".2f"),
        number(memory / 1e6 if memory else None, ",.0f"),
        number(row["psnr_db"], ".1f"),
    ]
