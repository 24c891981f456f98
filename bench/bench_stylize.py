"""Time and memory of the engine beside PyTorch, ONNX Runtime and OpenVINO on the same network.

    pytest bench/bench_stylize.py --benchmark-json=stylize.json              everything
    pytest bench/bench_stylize.py --quick --benchmark-json=stylize.json      the case that matters most, in minutes
    python -m bench.stylize.report stylize.json                                      Markdown, JSON and plot in bench/results

A *case* is a size, a number of threads and a way of giving the style. Each runtime has its own process, and all are measured in
turn, A B C ... A B C ... A sample is one run that does not count, then the median of as many runs as fill 0.2 s
(:mod:`bench.interleave`, :mod:`bench.worker`). pytest-benchmark times one test after the other, so conditions of the machine
could differ between runtimes. Therefore all runtimes of a case are measured when its first test begins, and pytest-benchmark
reads their times from :data:`WORKER_CLOCK`, given by its documented option ``timer``; each round advances it by the time of
one sample. The rounds of a test are the samples, and the statistics are those of pytest-benchmark.

The other runtimes get float32 pictures and return one; conversion from and to bytes is not part of their time. fastnst gets and
returns uint8 pictures. A runtime whose picture differs from PyTorch's fails.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .clock import Clock
from .conftest import SETTINGS, show
from .interleave import Case, Result
from .stylize import campaign, peers
from .stylize.campaign import Settings

WORKER_CLOCK = Clock()

pytestmark = [pytest.mark.timeout(0), pytest.mark.benchmark(timer=WORKER_CLOCK)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    settings = metafunc.config.stash[SETTINGS]
    pairs = [(str(case), runtime) for case in settings.cases() for runtime in settings.runtimes_for(case.style)]
    metafunc.parametrize(("case", "runtime"), pairs, ids=map("-".join, pairs))


@pytest.fixture
def results(request: pytest.FixtureRequest, settings: Settings, case: str, runtime: str) -> dict[str, Result]:
    """The results of all runtimes. Skips the test if its runtime is not installed, and fails it if it did not run."""
    if gaps := campaign.missing(runtime):
        pytest.skip(f"not installed: {', '.join(gaps)}")
    measured = settings.run(Case.parse(case), lambda line: show(request.config, line))
    if error := measured[runtime].error:
        pytest.fail(f"{runtime}: {error}", pytrace=False)
    return measured


def test_stylize(results: dict[str, Result], benchmark: BenchmarkFixture, settings: Settings, case: str, runtime: str) -> None:
    measured = Case.parse(case)
    result = results[runtime]
    benchmark.group = measured.title
    benchmark.extra_info |= campaign.result_facts(result, measured, settings) | campaign.comparison(result, results)
    samples = iter(result.seconds)
    benchmark.pedantic(lambda: WORKER_CLOCK.advance(next(samples)), rounds=len(result.seconds))
    if result.psnr is not None:
        assert result.psnr >= peers.RUNTIMES[runtime].floor, f"{runtime} computes something else than PyTorch"
