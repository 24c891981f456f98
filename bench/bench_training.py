"""Training steps of `collab`, `adain` and `crd` beside the same steps with published operations. See
:mod:`bench.training.measure`.

pytest bench/bench_training.py --benchmark-json=training.json              all precisions
pytest bench/bench_training.py --quick --benchmark-json=training.json      as the recipes run, with fewer samples
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .clock import Clock
from .conftest import show
from .ops.session import checked_device
from .training import measure as training
from .training import steps as training_steps

CLOCK = Clock()
RESULTS = pytest.StashKey[dict[training_steps.Case, training.Result]]()

pytestmark = [pytest.mark.timeout(0), pytest.mark.benchmark(timer=CLOCK)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases = [(case, name) for case in training_steps.cases(metafunc.config.option.quick) for name in training.LABELS]
    ids = [f"{case.recipe}-{case.precision}-{name}" for case, name in cases]
    metafunc.parametrize(("case", "operations"), cases, ids=ids)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    training_steps.write_data(folder / "data")
    return folder / "data"


def test_training(
    request: pytest.FixtureRequest, data: Path, benchmark: BenchmarkFixture, case: training_steps.Case, operations: str
) -> None:
    options, results = request.config.option, request.config.stash.setdefault(RESULTS, {})
    device = checked_device(options.device)
    if case not in results:
        show(request.config, case.name)
        rounds = options.rounds or (training.LESS_ROUNDS if options.quick else training.ROUNDS)
        result = results[case] = training.measure(case, data, device, rounds, options.patience)
        if device == "cpu":
            result.memory = training.memory(case, data, result.batch, result.size)
    result = results[case]
    benchmark.group = case.name
    benchmark.extra_info |= training.facts(case, operations, result, device)
    samples = iter(result.seconds[operations])
    benchmark.pedantic(lambda: CLOCK.advance(next(samples)), rounds=len(result.seconds[operations]))
