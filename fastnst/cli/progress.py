"""A progress bar on stderr: what is done, rate, time left."""

from __future__ import annotations

import sys
import time

_WIDTH = 30
_SELDOM = 0.1  # seconds between two drawings


class Progress:
    """Counts what is done. Where the total is not known, there is no bar and no time left.

    Args:
        total: how many there are; None where it is not known.
        shown: draw at all.
        at_once: draw from the beginning, or only when there are parts of something.
    """

    def __init__(self, total: int | None, shown: bool, at_once: bool = True) -> None:
        self.total = total
        self.done = 0
        self._may_show = shown and total != 0
        self._shown = self._may_show and at_once
        self._first = 0
        self._start = time.perf_counter()
        self._drawn = 0.0
        self._part, self._part_first, self._part_start = 1.0, 0.0, self._start

    def __enter__(self) -> Progress:
        self._draw("")
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._draw(self._pace())
            print(file=sys.stderr)

    def advance(self) -> None:
        """One more is done."""
        self.done += 1
        self._draw(self._pace())

    def reach(self, done: int, total: int | None) -> None:
        """So many are done of so many. What was there at the first call took no time."""
        if not self.done:
            self._first = done - 1
        self.done, self.total = done, total
        if time.perf_counter() - self._drawn >= _SELDOM:
            self._draw(self._pace())

    def within(self, done: int, total: int | None) -> None:
        """So many parts of so many are done of the next one."""
        if time.perf_counter() - self._drawn >= _SELDOM:
            self._draw(f"+ {done}/{total or '?'}")

    def part(self, part: float) -> None:
        """So much of the next one is done, from 0 to 1."""
        now = time.perf_counter()
        if not self._part < part:  # a new one
            self._part_start, self._part_first = now, part
        self._part, self._shown = part, self._may_show
        if part > self._part_first and now - self._drawn >= _SELDOM:
            left = (now - self._part_start) * (1 - part) / (part - self._part_first)
            self._draw(f"+ {100 * part:.0f} %  {_clock(left)} left", part)

    def _pace(self) -> str:
        rate = (self.done - self._first) / (time.perf_counter() - self._start)
        if not self.total or not rate:
            return f"{rate:.1f}/s"
        return f"{rate:.1f}/s  {_clock(max(0, self.total - self.done) / rate)} left"

    def _draw(self, pace: str, part: float = 0) -> None:
        if not self._shown:
            return
        self._drawn = time.perf_counter()
        bar = ""
        if self.total:
            filled = min(_WIDTH, int(_WIDTH * (self.done + part)) // self.total)
            bar = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] "
        erase_rest = "\x1b[K"
        print(f"\r{bar}{self.done}/{self.total or '?'}  {pace}{erase_rest}", end="", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    left = round(seconds)
    return f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
