"""Runs benchmarks and writes their reports, for ``fastnst bench`` and ``make bench``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from .stems import OPERATIONS, REPORTS

NEEDS = ("torch", "pytest", "pytest_benchmark", "matplotlib")
FAILED, INTERRUPTED = 1, 2
"""Exit statuses of pytest."""

BENCH = Path(__file__).parent


def results_folder() -> Path:
    """The default folder of reports: beside these files in a source tree, or else below the current folder."""
    beside = BENCH / "results"
    return beside if beside.exists() else Path("bench") / "results"


def run(
    stems: Sequence[str],
    *,
    quick: bool = False,
    compare: bool = False,
    device: str | None = None,
    limit: float | None = None,
    folder: Path | None = None,
) -> int:
    """Measure, write the reports and print where they are.

    Args:
        stems: operations, or some of :data:`~fastnst.bench.stems.REPORTS`; none for all operations.
        quick: the main workloads alone, with fewer samples.
        compare: print fastnst's times beside those of the last committed report of this machine.
        device: ``cpu`` or ``cuda``; default: cuda where there is one.
        limit: seconds after which no further operation is begun.
        folder: the folder of the reports.

    Returns:
        0, or the exit status of the pytest run that failed.

    Raises:
        ModuleNotFoundError: a package of the extra ``bench`` is not installed.
        ValueError: there is no such device.
    """
    for name in NEEDS:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    from .ops.session import checked_device

    folder = folder or results_folder()
    options = ["--quick"] if quick else []
    operations = [stem for stem in OPERATIONS if stem in stems or not stems]
    statuses = []
    if operations:
        chosen = checked_device(device)
        limits = [] if limit is None else [f"--limit={limit}"]
        statuses.append(run_operations(operations, [*options, *limits, f"--device={chosen}"], folder, compare))
    for stem in REPORTS:
        if stem in stems:
            device_option = [f"--device={checked_device(device)}"] if stem == "training" else []
            statuses.append(run_stem(stem, [*options, *device_option], folder))
    return next(filter(None, statuses), 0)


def run_operations(stems: Sequence[str], options: Sequence[str], folder: Path, compare: bool) -> int:
    from .ops import report

    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "ops.json"
        status = pytest_status(stems, options, target)
        if status == INTERRUPTED or not measured(target):
            return status or FAILED
        summary = report.read(target)
    before = report.earlier(summary, folder) if compare else None
    print(report.write(summary, folder))
    if before is not None:
        for line in report.comparison(summary, before):
            print("  ".join(line))
    elif compare:
        print("nothing was measured on this machine before")
    return status


def run_stem(stem: str, options: Sequence[str], folder: Path) -> int:
    """Measure one of :data:`~fastnst.bench.stems.REPORTS`, and write its report."""
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / f"{stem}.json"
        status = pytest_status([stem], options, target)
        if status != INTERRUPTED and measured(target):
            report = import_module(f".{stem}.report", __package__)
            print(report.write(target, folder))
    return status


def pytest_status(stems: Sequence[str], options: Sequence[str], target: Path) -> int:
    import pytest

    files = [str(BENCH / f"bench_{stem}.py") for stem in stems]
    quiet = ["-q", "--benchmark-quiet", "--tb=short", "-p", "no:cacheprovider", "-p", "no:logging"]
    # pytest's own warnings, such as that nothing was measured, would end the run if its configuration makes them errors.
    kind = ["-W", "default::pytest.PytestWarning"]
    return int(pytest.main([*files, f"--benchmark-json={target}", *quiet, *kind, *options]))


def measured(target: Path) -> bool:
    """Whether pytest has written results."""
    return target.exists() and target.stat().st_size > 0
