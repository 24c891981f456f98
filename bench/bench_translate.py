"""Image-to-image generators beside their rivals. See :mod:`bench.translate.measure`.

pytest bench/bench_translate.py --benchmark-json=translate.json              all sizes and numbers of threads
pytest bench/bench_translate.py --quick --benchmark-json=translate.json      two threads, with fewer samples
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .clock import Clock
from .conftest import show
from .interleave import Case, Result
from .translate import measure as translate
from .translate.translators import RUNTIMES

CLOCK = Clock()
RESULTS = pytest.StashKey[dict[Case, dict[str, Result]]]()

pytestmark = [pytest.mark.timeout(0), pytest.mark.benchmark(timer=CLOCK)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases = translate.cases(metafunc.config.option.quick)
    metafunc.parametrize(("case", "runtime"), [(case, name) for case in cases for name in RUNTIMES], ids=str)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("translate")


def test_translate(request: pytest.FixtureRequest, folder: Path, benchmark: BenchmarkFixture, case: Case, runtime: str) -> None:
    options, measured = request.config.option, request.config.stash.setdefault(RESULTS, {})
    if case not in measured:
        rounds = options.rounds or (translate.LESS_ROUNDS if options.quick else translate.ROUNDS)
        measured[case] = translate.measure(case, folder, rounds, options.patience, lambda line: show(request.config, line))
    if runtime not in measured[case]:
        pytest.skip(f"not installed: {', '.join(RUNTIMES[runtime].needs)}")
    result = measured[case][runtime]
    if result.error:
        pytest.fail(f"{runtime}: {result.error}", pytrace=False)
    benchmark.group = case.title
    benchmark.extra_info |= translate.facts(case, result, measured[case])
    samples = iter(result.seconds)
    benchmark.pedantic(lambda: CLOCK.advance(next(samples)), rounds=len(result.seconds))
    if result.psnr is not None:
        assert result.psnr >= RUNTIMES[runtime].floor, f"{runtime} computes something else than PyTorch"
