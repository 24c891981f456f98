"""Time per pixel and peak memory of large pictures. See :mod:`bench.large.measure`.

pytest bench/bench_large.py --benchmark-json=large.json              all models and sizes
pytest bench/bench_large.py --quick --benchmark-json=large.json      adain-16x at 2048 pixels, with fewer samples
pytest bench/bench_large.py --sizes 32768 --rounds 1 --benchmark-json=large.json      a gigapixel, in some minutes
pytest bench/bench_large.py --sizes 4096 --rounds 1 --benchmark-json=large.json       a generator
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .clock import Clock
from .conftest import show
from .large import measure as large

CLOCK = Clock()

pytestmark = [pytest.mark.timeout(0), pytest.mark.benchmark(timer=CLOCK)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    options = metafunc.config.option
    try:
        cases = large.cases(options.quick, options.sizes)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    metafunc.parametrize("case", cases, ids=lambda case: case.name)


def test_large(request: pytest.FixtureRequest, benchmark: BenchmarkFixture, case: large.Case, tmp_path: Path) -> None:
    options = request.config.option
    show(request.config, case.name)
    rounds = options.rounds or (large.LESS_ROUNDS if options.quick else large.ROUNDS)
    result = large.measure(case, rounds, options.patience, tmp_path)
    benchmark.group = case.name
    benchmark.extra_info |= large.facts(case, result)
    samples = iter(result.seconds)
    benchmark.pedantic(lambda: CLOCK.advance(next(samples)), rounds=len(result.seconds))
