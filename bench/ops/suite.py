"""Passes results that were measured in turn to pytest-benchmark, for the tests of ``bench_<stem>.py``."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ..clock import Clock
from .names import FASTNST
from .session import Log, OutOfTimeError, Session
from .workload import Workload

CLOCK = Clock()
MARKS = [pytest.mark.timeout(0), pytest.mark.benchmark(timer=CLOCK)]
"""The ``pytestmark`` of these files."""


class Record:
    """Measures a workload when its first test runs, and gives each test the samples of its contender."""

    def __init__(self, request: pytest.FixtureRequest, session: Session, log: Log) -> None:
        self.request = request
        self.session = session
        self.log = log

    def __call__(self, workload: Workload, mode: str, contender: str) -> None:
        try:
            result = self.session.run(workload, mode, self.log)[contender]
        except OutOfTimeError:
            pytest.skip("out of time")
        if result.failure and contender == FASTNST:
            pytest.fail(f"{result.label}: {result.failure}", pytrace=False)
        elif result.failure:  # of a rival; the report shows it
            pytest.skip(f"{result.label}: {result.failure}")
        benchmark: BenchmarkFixture = self.request.getfixturevalue("benchmark")  # only now, because it warns if it is not used
        benchmark.group = f"{workload.name} {mode}"
        benchmark.extra_info |= self.session.facts(workload, mode, result)
        samples = iter(result.seconds)
        benchmark.pedantic(lambda: CLOCK.advance(next(samples)), rounds=len(result.seconds))


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
