"""Checks with figures: what is asked, what a run of so many cases reaches, and what it finds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


class NotHereError(Exception):
    """What this check needs is not on this machine; says what."""


@dataclass
class Outcome:
    """What a run of a check came to."""

    reached: int = 0
    """Cases that were run."""
    findings: list[str] = field(default_factory=list)
    """One line for each case that broke the promise."""
    note: str = ""
    """Figures beside, such as the slowest case."""

    def expect(self, holds: bool, finding: str) -> None:
        """Count a case; note ``finding`` unless the promise holds."""
        self.reached += 1
        if not holds:
            self.findings.append(finding)


@dataclass(frozen=True)
class Check:
    """One promise. ``run`` takes how many cases to run."""

    name: str
    asked: str
    """The figure of the list of checks, in words."""
    quick: int
    """0 where even one case takes too long for ``make test``."""
    full: int
    run: Callable[[int], Outcome]


CHECKS: list[Check] = []


def check(asked: str, quick: int, full: int) -> Callable[[Callable[[int], Outcome]], Callable[[int], Outcome]]:
    """Make a function ``(cases) -> Outcome`` a check of its name. The first line of its text is what it promises."""

    def register(run: Callable[[int], Outcome]) -> Callable[[int], Outcome]:
        CHECKS.append(Check(run.__name__, asked, quick, full, run))
        return run

    return register


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
