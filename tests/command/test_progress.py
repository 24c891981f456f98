"""The progress bar: what is done of how many, parts of one large picture, and the time left."""

from __future__ import annotations

import pytest

from fastnst.cli import progress
from fastnst.cli.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that have passed; only the test moves them."""
    seconds = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: seconds[0])
    return seconds


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.removesuffix("\x1b[K").strip() for line in capsys.readouterr().err.split("\r") if line.strip()]


def test_one_large_picture_shows_its_parts_and_the_time_left(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(1, shown=True, at_once=False) as bar:
        assert not capsys.readouterr().err
        for second, part in ((1, 0.1), (2, 0.2), (2.01, 0.21), (101, 0.5)):
            clock[0] = second
            bar.part(part)
        shown = lines(capsys)
    assert shown == [  # not more often than eyes see
        "[######........................] 0/1  + 20 %  0:00:08 left",
        "[###############...............] 0/1  + 50 %  0:02:05 left",
    ]


def test_a_quiet_one_shows_nothing(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(1, shown=False, at_once=False) as bar:
        clock[0] = 1
        bar.part(0.5)
    assert not capsys.readouterr().err


def test_a_small_picture_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(1, shown=True, at_once=False):
        pass
    assert not capsys.readouterr().err
