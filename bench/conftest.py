"""Options of the benchmark, and what its JSON says beside the times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .campaign import Settings, facts

SETTINGS = pytest.StashKey[Settings]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("stylize", "what bench_stylize.py measures")
    group.addoption("--quick", action="store_true", help="512 px, 2 threads, 3 rounds: a few minutes on two cores")
    group.addoption("--sizes", help="sides in pixels, multiples of 8 (default 256,512,1024)")
    group.addoption("--threads", help="numbers of threads (default 1,2)")
    group.addoption("--styles", help="given: both pictures go in; cached: the style was encoded before (default given,cached)")
    group.addoption("--runtimes", help="some of the runtimes of bench/peers.py (default all)")
    group.addoption("--rounds", type=int, help="visits to each runtime that count (default 7)")
    group.addoption(
        "--patience",
        type=float,
        default=8.0,
        metavar="SECONDS",
        help="how long to wait for idle cores before a visit; 0 measures regardless (default 8)",
    )
    group.addoption(
        "--network",
        type=Path,
        metavar="FILE",
        help="trained .safetensors pair, or .fnst model (default: the shipped model; random weights where there is none)",
    )
    group.addoption("--artefacts", type=Path, metavar="FOLDER", help="where converted models are kept (default: temporary)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "timeout: limit of pytest-timeout, if that is installed")
    try:
        config.stash[SETTINGS] = Settings.from_options(config.option)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    output_json["campaign"] = facts(config.stash[SETTINGS])


@pytest.fixture(scope="session")
def settings(request: pytest.FixtureRequest) -> Settings:
    """What the options say."""
    return request.config.stash[SETTINGS]
