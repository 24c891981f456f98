"""The manifest of a data set job: a line of JSON for each output, in the order of the contents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from fastnst.jobs.journals import Line, line, recorded
from fastnst.jobs.plans import Plan
from fastnst.system.atomic import atomic_output
from fastnst.system.digest import file_digest


def write(path: Path, plan: Plan, folder: Path, alpha: float, known: Mapping[Path, str]) -> None:
    """Write the manifest of everything that is there, complete or not at all.

    Args:
        folder: of the outputs.
        known: SHA-256 of outputs that this run made; others are read.

    Raises:
        ImageError: there is no record of an archive.
        OSError: it cannot be written.
    """
    with atomic_output(path) as file:
        for each in _lines(plan, folder, alpha, known):
            file.write((json.dumps(each) + "\n").encode())


def _lines(plan: Plan, folder: Path, alpha: float, known: Mapping[Path, str]) -> Iterator[Line]:
    for task in plan.every:
        if not task.output.is_file():
            continue
        if task.samples is not None:
            yield from recorded(folder, task.place)[0]
        else:
            digest = known.get(task.output) or file_digest(task.output)
            yield line(task, task.output.relative_to(folder), alpha, digest)
