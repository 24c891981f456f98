"""Common parts of reports: from pytest-benchmark's JSON to a page of Markdown and a smaller JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .machine import machine_of, sentence, slug
from .ops.report import DISTURBED
from .stylize.report import table

Summary = dict[str, Any]
"""``machine``, ``date``, ``commit`` and ``rows``: the extra information of each test, with its times in seconds."""


def write(source: Path, folder: Path, stem: str, key: str, page_of: Callable[[Summary], str]) -> Path:
    """Write ``<stem>-<machine>.md`` and ``.json`` to ``folder``, and return the path of the Markdown file.

    Args:
        key: a key that the extra information of this stem's tests has.
        page_of: makes the page of a summary.

    Raises:
        ValueError: ``source`` has no results of this stem.
    """
    data = json.loads(source.read_text())
    rows = [
        each["extra_info"] | {f"{name}_seconds": each["stats"][name] for name in ("median", "min", "max")}
        for each in data["benchmarks"]
        if key in each.get("extra_info", {})
    ]
    if not rows:
        raise ValueError(f"{source}: nothing of {stem} was measured")
    machine = machine_of(data["machine_info"], rows[0])
    commit = data.get("commit_info", {}).get("id")
    summary = {"machine": machine, "date": data["datetime"][:10], "commit": commit, "rows": rows}
    page = folder / f"{stem}-{slug(machine)}.md"
    folder.mkdir(parents=True, exist_ok=True)
    page.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")
    page.write_text(page_of(summary))
    return page


def head(title: str, summary: Summary, machine_details: str = "") -> list[str]:
    """The first lines of a page."""
    return [
        f"# {title}\n",
        f"* Machine: {sentence(summary['machine'])}{machine_details}",
        f"* Date: {summary['date']}" + (f"; commit {summary['commit'][:12]}" if summary["commit"] else ""),
    ]


def page(
    title: str, columns: Sequence[str], cells: Callable[[dict[str, Any]], list[str]], method: str, summary: Summary
) -> str:
    """A page that is one table; ``method`` may name ``threads``, ``samples`` and ``disturbed``."""
    rows = summary["rows"]
    told = method.format(threads=rows[0]["threads"], samples=len(rows[0]["visits_seconds"]), disturbed=DISTURBED)
    return "\n".join([*head(title, summary), "", table(columns, [cells(row) for row in rows]), told])


def case(row: dict[str, Any]) -> str:
    """The name of the case, marked if it was disturbed."""
    return str(row["case"]) + (" (disturbed)" if row["foreign_share"] > DISTURBED else "")
