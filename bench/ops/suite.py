"""How a test of a ``bench_<stem>.py`` hands over to pytest-benchmark what was measured in turn."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ..clock import Clock
from .names import FASTNST
from .session import Log, OutOfTimeError, Session
from .workload import Workload

CLOCK = Clock()
MARKS = [pytest.mark.timeout(0), pytest.mark.benchmark(timer=CLOCK)]
"""For ``pytestmark`` of the file."""


class Record:
    """Measures a workload when its first test asks, and gives each test its contender's visits."""

    def __init__(self, benchmark: BenchmarkFixture, session: Session, log: Log) -> None:
        self.benchmark = benchmark
        self.session = session
        self.log = log

    def __call__(self, workload: Workload, mode: str, contender: str) -> None:
        try:
            result = self.session.run(workload, mode, self.log)[contender]
        except OutOfTimeError:
            pytest.skip("out of time")
        if result.failure:
            give_up = pytest.fail if contender == FASTNST else pytest.skip  # the report names both
            give_up(f"{result.label}: {result.failure}")
        self.benchmark.group = f"{workload.name} {mode}"
        self.benchmark.extra_info |= self.session.facts(workload, mode, result)
        visits = iter(result.seconds)
        self.benchmark.pedantic(lambda: CLOCK.advance(next(visits)), rounds=len(result.seconds))


def parametrize(metafunc: pytest.Metafunc, session: Session) -> None:
    """One test per workload, mode and contender."""
    cases = [
        (workload, mode, contender)
        for workload in session.chosen(metafunc.module.WORKLOADS)
        for mode in workload.modes
        for contender in workload.rivals(mode, session.device)
    ]
    ids = [f"{workload.name}-{mode}-{contender}" for workload, mode, contender in cases]
    metafunc.parametrize(("workload", "mode", "contender"), cases, ids=ids)
