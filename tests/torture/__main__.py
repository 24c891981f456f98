"""``make torture``: every check with its full figure, or ``--scale`` times as many; a table of what came of it.

``python -m torture [--scale S] [CHECK ...]`` in the folder ``tests``. Checks that are named replace their rows of an earlier
table. The exit code is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from typing import Any

from fastnst.info import facts
from torture import everything
from torture.framework import Check, NotHereError
from torture.native import ROOT

RESULTS = ROOT / "bench" / "results" / "torture.json"


def done(check: Check, cases: int) -> dict[str, Any]:
    """A row of the table."""
    start = time.perf_counter()
    if cases == 0:
        return {"check": check.name, "asked": check.asked, "reached": 0, "findings": [], "note": "not run", "minutes": 0.0}
    row: dict[str, Any] = {"check": check.name, "promise": (check.run.__doc__ or "").strip(), "asked": check.asked}
    try:
        row |= asdict(check.run(cases))
    except NotHereError as missing:
        row |= {"reached": 0, "findings": [], "note": f"not run: {missing}"}
    except Exception as error:  # the other checks can still be done
        row |= {"reached": 0, "findings": [f"{type(error).__name__}: {error}"[:2000]], "note": "did not end"}
    return row | {"minutes": round((time.perf_counter() - start) / 60, 1)}


def page(rows: list[dict[str, Any]], machine: str) -> str:
    """The table in Markdown."""
    lines = [
        "# Torture: what was tried, and what came of it",
        "",
        f"`make torture` on {machine}. Asked is the figure of the list of checks, reached the number of cases that ran.",
        "",
        "| check | asked | reached | findings | |",
        "| --- | --- | --: | --: | --- |",
    ]
    for row in rows:
        lines.append(f"| {row['check']} | {row['asked']} | {row['reached']:,} | {len(row['findings'])} | {row['note']} |")
    for row in rows:
        lines += [f"\n{row['check']}: `{finding}`" for finding in row["findings"][:5]]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="torture")
    parser.add_argument("checks", nargs="*", metavar="CHECK")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of each full figure to run, 0..1")
    arguments = parser.parse_args()
    if unknown := set(arguments.checks) - {each.name for each in everything()}:
        parser.error(f"no such check: {', '.join(sorted(unknown))}")
    before = json.loads(RESULTS.read_text())["checks"] if arguments.checks and RESULTS.exists() else []
    rows = {row["check"]: row for row in before}
    known = dict(facts())
    machine = f"{known['processor']}, {known['system']}, Python {known['python']}"
    for check in everything():
        if arguments.checks and check.name not in arguments.checks:
            continue
        rows[check.name] = done(check, max(check.quick, int(check.full * arguments.scale)))
        sys.stdout.write(f"{json.dumps(rows[check.name])}\n")
        sys.stdout.flush()
        ordered = [rows[each.name] for each in everything() if each.name in rows]
        RESULTS.write_text(json.dumps({"machine": machine, "checks": ordered}, indent=1) + "\n")
        RESULTS.with_suffix(".md").write_text(page(ordered, machine))
    return int(any(row["findings"] for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
