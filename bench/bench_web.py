"""The engine in a browser beside ONNX Runtime's WebAssembly. See :mod:`bench.web.measure`.

pytest bench/bench_web.py --benchmark-json=web.json              256 and 512 px
pytest bench/bench_web.py --quick --benchmark-json=web.json      512 px, with fewer samples
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .clock import Clock
from .conftest import show
from .web import measure as web

CLOCK = Clock()
CONTENDERS = ("fastnst, simd128", "fastnst, scalar", "onnxruntime-web, float32", "onnxruntime-web, int8")
RESULTS: dict[web.Case, web.Result] = {}

pytestmark = [pytest.mark.timeout(0), pytest.mark.benchmark(timer=CLOCK)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases = web.cases(metafunc.config.option.quick)
    metafunc.parametrize("runtime", CONTENDERS)
    metafunc.parametrize("case", cases, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def page(request: pytest.FixtureRequest) -> Iterator[Any]:
    if why := web.lacking():
        pytest.skip(why)
    with web.tab([case.size for case in web.cases(request.config.option.quick)]) as page:
        yield page


def test_web(request: pytest.FixtureRequest, benchmark: BenchmarkFixture, page: Any, case: web.Case, runtime: str) -> None:
    options = request.config.option
    show(request.config, f"{case.name} {runtime}")
    if case not in RESULTS:
        RESULTS[case] = web.measure(
            page, case, options.rounds or (web.LESS_ROUNDS if options.quick else web.ROUNDS), options.patience
        )
    benchmark.group = case.name
    benchmark.extra_info |= web.facts(page, case, runtime, RESULTS[case])
    samples = iter(RESULTS[case].seconds[runtime])
    benchmark.pedantic(lambda: CLOCK.advance(next(samples)), rounds=len(RESULTS[case].seconds[runtime]))
