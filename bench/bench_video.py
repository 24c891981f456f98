"""Frames a second of videos, end to end without a codec. See :mod:`bench.video.measure`.

pytest bench/bench_video.py --benchmark-json=video.json              all models and sizes
pytest bench/bench_video.py --quick --benchmark-json=video.json      adain-nano, with fewer samples
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .clock import Clock
from .conftest import show
from .video import measure as video

CLOCK = Clock()

pytestmark = [pytest.mark.timeout(0), pytest.mark.benchmark(timer=CLOCK)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("case", video.cases(metafunc.config.option.quick), ids=lambda case: case.name)


def test_video(request: pytest.FixtureRequest, benchmark: BenchmarkFixture, case: video.Case) -> None:
    options = request.config.option
    show(request.config, case.name)
    result = video.measure(case, options.rounds or (video.LESS_ROUNDS if options.quick else video.ROUNDS), options.patience)
    benchmark.group = case.name
    benchmark.extra_info |= video.facts(case, result)
    samples = iter(result.seconds)
    benchmark.pedantic(lambda: CLOCK.advance(next(samples)), rounds=len(result.seconds))
