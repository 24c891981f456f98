"""Measures translation by a generator: the student of CRD in the engine beside its rivals and its teacher.

Runtimes are measured as in :mod:`bench.bench_stylize`: in their own processes and in turn.
"""

from __future__ import annotations

from importlib import util
from pathlib import Path
from statistics import median
from typing import Any

from .. import interleave
from ..interleave import Case, Log, Result
from ..machine import system
from ..ops.session import version_of
from . import translators
from .translators import RUNTIMES

ROUNDS, LESS_ROUNDS = 7, 3


def cases(quick: bool) -> list[Case]:
    return [Case(size, threads, translators.STYLE) for threads in (2, 1)[: 1 if quick else None] for size in (256, 512)]


def measure(case: Case, folder: Path, rounds: int, patience: float, log: Log) -> dict[str, Result]:
    """Measure all installed runtimes; files that are made for them are kept in ``folder``."""
    names = [name for name, each in RUNTIMES.items() if all(util.find_spec(need) for need in each.needs)]
    reference = translators.REFERENCE
    return interleave.run_case(case, names, folder, rounds=rounds, patience=patience, log=log, reference=reference)


def facts(case: Case, result: Result, results: dict[str, Result]) -> dict[str, Any]:
    """The facts about a runtime, for the JSON file."""
    own = median(results[translators.FASTNST].seconds) if not results[translators.FASTNST].error else None
    return {
        "runtime": result.runtime,
        "label": RUNTIMES[result.runtime].label,
        "size": case.size,
        "threads": case.threads,
        "visits_seconds": result.seconds,
        "times_as_long_as_fastnst": median(result.seconds) / own if own else None,
        "peak_memory_runs": result.memory.get("runs"),
        "psnr_db": result.psnr if result.psnr != float("inf") else None,
        "visits_disturbed": result.disturbed,
        "versions": {need: version_of(need) for need in RUNTIMES[result.runtime].needs},
        "details": result.details,
        **system(),
    }
