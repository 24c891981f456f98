"""Options of the benchmarks, and the facts beside times in their JSON."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .stylize.campaign import Settings, facts
from .stylize.peers import LIMITS

if TYPE_CHECKING:  # these need torch, which stylization does not
    from .ops.session import Session
    from .ops.suite import Record

SETTINGS = pytest.StashKey[Settings]()
SESSION = pytest.StashKey["Session"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("benchmarks of fastnst")
    quick = "stylization at 512 px with 2 threads; operations with goals alone; training in bfloat16; video of adain-nano"
    group.addoption("--quick", action="store_true", help=quick)
    group.addoption("--rounds", type=int, help="samples of each contender that count (default 7; operations 5 or 3)")
    group.addoption(
        "--patience",
        type=float,
        default=8.0,
        metavar="SECONDS",
        help="how long to wait for idle cores before a sample; 0 measures regardless (default 8)",
    )
    group.addoption("--device", choices=("cpu", "cuda"), help="operations, training: default cuda where there is one")
    group.addoption("--limit", type=float, metavar="SECONDS", help="operations: begin none after so long (default: no limit)")
    group.addoption("--sizes", help="sides in pixels: stylization, multiples of 8 (default 256,512,1024); large pictures")
    group.addoption("--threads", help="stylization: numbers of threads (default 1,2)")
    group.addoption("--isa", choices=tuple(LIMITS), help="stylization: what all runtimes are limited to (default: nothing)")
    group.addoption("--cold", action="store_true", help="stylization: load the network anew for every picture")
    group.addoption("--styles", help="given: both pictures go in; cached: the style was encoded before (default given,cached)")
    group.addoption("--runtimes", help="stylization: some of the runtimes of bench/stylize/peers.py (default all)")
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
    os.environ.update(LIMITS.get(config.option.isa, {}))  # for the workers, which inherit it


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "contender" in metafunc.fixturenames:
        from .ops.suite import parametrize

        parametrize(metafunc, session_of(metafunc.config))


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    if config.stash[SETTINGS].results:
        output_json["campaign"] = facts(config.stash[SETTINGS])
    if SESSION in config.stash:
        output_json["operations"] = config.stash[SESSION].summary()


def session_of(config: pytest.Config) -> Session:
    """The run of the operations' benchmarks."""
    if SESSION not in config.stash:
        from .ops.session import Session

        try:
            config.stash[SESSION] = Session.from_options(config.option)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None
    return config.stash[SESSION]


def show(config: pytest.Config, line: str) -> None:
    """Show progress despite pytest's capture, because a case takes minutes."""
    capture, reporter = (config.pluginmanager.get_plugin(name) for name in ("capturemanager", "terminalreporter"))
    with capture.global_and_fixture_disabled():  # type: ignore[union-attr]
        reporter.ensure_newline()  # type: ignore[union-attr]
        reporter.write_line(line)  # type: ignore[union-attr]


@pytest.fixture(scope="session")
def settings(request: pytest.FixtureRequest) -> Settings:
    """The settings of stylization from the options."""
    return request.config.stash[SETTINGS]


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Measures one workload of an operation."""
    from .ops.suite import Record

    return Record(request, session_of(request.config), lambda line: show(request.config, line))
