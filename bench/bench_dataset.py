"""Pictures a second of data set jobs and data loaders. See :mod:`bench.dataset.measure`.

pytest bench/bench_dataset.py --benchmark-json=dataset.json              all cases
pytest bench/bench_dataset.py --quick --benchmark-json=dataset.json      two workers for the engine alone, with fewer samples
"""

from __future__ import annotations

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
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[dataset.Case, dataset.Result]:
    options = request.config.option
    cases = dataset.cases(options.quick)
    show(request.config, f"{len(cases)} cases in turn")
    rounds = options.rounds or (dataset.LESS_ROUNDS if options.quick else dataset.ROUNDS)
    return dataset.measure(cases, rounds, options.patience, tmp_path_factory.mktemp("dataset"))


def test_dataset(benchmark: BenchmarkFixture, case: dataset.Case, results: dict[dataset.Case, dataset.Result]) -> None:
    result = results[case]
    benchmark.group = case.name
    benchmark.extra_info |= dataset.facts(case, result)
    samples = iter(result.seconds)
    benchmark.pedantic(lambda: CLOCK.advance(next(samples)), rounds=len(result.seconds))
