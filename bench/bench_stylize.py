"""How fast, and in how much memory: the engine beside PyTorch, ONNX Runtime and OpenVINO on the same network.

    pytest bench/bench_stylize.py --benchmark-json=stylize.json              everything
    pytest bench/bench_stylize.py --quick --benchmark-json=stylize.json      the case that matters most, in minutes
    python -m bench.stylize.report stylize.json                                      Markdown, JSON and plot in bench/results

A *case* is a size, a number of threads and a way of giving the style. Its runtimes run in processes of their own and are
measured in turn, A B C ... A B C ...; a sample is a run that is thrown away and then the median of as many runs as fill 0.2 s
(:mod:`bench.interleave`, :mod:`bench.worker`). pytest-benchmark times one test after the other, which would give each runtime
a different minute of the machine. So all runtimes of a case are measured when its first test begins, and pytest-benchmark
reads the times off the workers' clock instead of its own: its documented ``timer`` option is :data:`WORKER_CLOCK`, which a
round advances by exactly what the worker measured in one sample. Nothing is timed twice and nothing sleeps to look as if it
took long; the rounds of a test are the samples, and the statistics are pytest-benchmark's.

What goes in: for the rivals float32 pictures, ready made, and out comes a float32 picture; their conversion from and to bytes
is not charged to them. For fastnst uint8 pictures in, a uint8 picture out. A runtime fails whose picture is not PyTorch's.
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
    """All runtimes of the case; skips where this test's is not installed, and fails where it did not run."""
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
