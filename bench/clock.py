"""A clock for pytest-benchmark that shows times measured elsewhere."""

from __future__ import annotations


class Clock:
    """A clock that is advanced by measured times, for contenders that are measured in turn.

    pytest-benchmark times one test after the other. With this clock as its ``timer``, a round of a test shows a sample that was
    taken before, in turn with the samples of the others.
    """

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
