"""The engine in a browser beside ONNX Runtime's WebAssembly. See :mod:`bench.web.measure`.

pytest bench/bench_web.py --benchmark-json=web.json              256 and 512 px
pytest bench/bench_web.py --quick --benchmark-json=web.json      512 px, with fewer samples
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from .clock import Clock
from .conftest import show
from .interleave import wait_until_quiet
from .web import measure as web

CLOCK = Clock()
RESULTS: dict[web.Case, web.Result] = {}

pytestmark = [pytest.mark.timeout(0), pytest.mark.benchmark(timer=CLOCK)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases = web.cases(metafunc.config.option.quick)
    if "runtime" in metafunc.fixturenames:
        pairs = [pytest.param(case, name, id=f"{case.name}-{name}") for case in cases for name in case.contenders]
        metafunc.parametrize("case,runtime", pairs)


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest) -> Iterator[web.Site]:
    if why := web.lacking():
        pytest.skip(why)
    with web.site(sorted({case.size for case in web.cases(request.config.option.quick)})) as site:
        yield site


def rounds_of(request: pytest.FixtureRequest) -> int:
    options = request.config.option
    return int(options.rounds or (web.LESS_ROUNDS if options.quick else web.ROUNDS))


def test_web(request: pytest.FixtureRequest, benchmark: BenchmarkFixture, site: web.Site, case: web.Case, runtime: str) -> None:
    show(request.config, f"{case.name} {runtime}")
    if case not in RESULTS:
        RESULTS[case] = web.measure(site, case, rounds_of(request), request.config.option.patience)
    benchmark.group = case.name
    benchmark.extra_info |= web.facts(site, case, runtime, RESULTS[case])
    shown(benchmark, RESULTS[case].seconds[runtime])


def test_first_picture(request: pytest.FixtureRequest, benchmark: BenchmarkFixture, site: web.Site) -> None:
    """From a cold load."""
    show(request.config, "the page's first picture")
    wait_until_quiet(request.config.option.patience)
    visits = [web.first_picture(site) for _ in range(rounds_of(request))]
    seconds, sent = [visit[0] for visit in visits], max(visit[1] for visit in visits)
    benchmark.group = case = f"the page's first picture; {sent / 1000:.0f} kB sent"
    row = {"case": case, "contender": web.FAST, "threads": None, "sent_bytes": sent}
    benchmark.extra_info |= web.common(site, seconds) | row | {"beside_best_rival": None, "foreign_share": 0.0}
    shown(benchmark, seconds)


def shown(benchmark: BenchmarkFixture, seconds: list[float]) -> None:
    """Let pytest-benchmark see what was measured elsewhere."""
    samples = iter(seconds)
    benchmark.pedantic(lambda: CLOCK.advance(next(samples)), rounds=len(seconds))
