"""Pictures a second of data set jobs and data loaders. See :mod:`bench.dataset.measure`.

pytest bench/bench_dataset.py --benchmark-json=dataset.json              all cases
pytest bench/bench_dataset.py --quick --benchmark-json=dataset.json      two workers for the engine alone, with fewer samples
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .clock import Clock
from .conftest import show
from .dataset import measure as dataset

CLOCK = Clock()

pytestmark = [pytest.mark.timeout(0), pytest.mark.benchmark(timer=CLOCK)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("case", dataset.cases(metafunc.config.option.quick), ids=lambda case: case.name)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dataset")


def test_dataset(request: pytest.FixtureRequest, benchmark: BenchmarkFixture, case: dataset.Case, folder: Path) -> None:
    options = request.config.option
    show(request.config, case.name)
    rounds = options.rounds or (dataset.LESS_ROUNDS if options.quick else dataset.ROUNDS)
    result = dataset.measure(case, rounds, options.patience, folder)
    benchmark.group = case.name
    benchmark.extra_info |= dataset.facts(case, result)
    samples = iter(result.seconds)
    benchmark.pedantic(lambda: CLOCK.advance(next(samples)), rounds=len(result.seconds))
