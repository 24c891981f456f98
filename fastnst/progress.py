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
    """

    def __init__(self, total: int | None, shown: bool) -> None:
        self.total = total
        self.done = 0
        self._shown = shown and total != 0
        self._first = 0
        self._start = time.perf_counter()
        self._drawn = 0.0

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

    def _pace(self) -> str:
        rate = (self.done - self._first) / (time.perf_counter() - self._start)
        if not self.total or not rate:
            return f"{rate:.1f}/s"
        left = round(max(0, self.total - self.done) / rate)
        return f"{rate:.1f}/s  {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"

    def _draw(self, pace: str) -> None:
        if not self._shown:
            return
        self._drawn = time.perf_counter()
        bar = ""
        if self.total:
            filled = min(_WIDTH, _WIDTH * self.done // self.total)
            bar = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] "
        erase_rest = "\x1b[K"
        print(f"\r{bar}{self.done}/{self.total or '?'}  {pace}{erase_rest}", end="", file=sys.stderr, flush=True)
