"""A clock for pytest-benchmark that shows time which was measured elsewhere."""

from __future__ import annotations


class Clock:
    """Stands still until it is told how long something took: what contenders that are measured in turn need.

    pytest-benchmark times one test after the other. Given as its ``timer``, this clock lets a round of a test be one sample of
    those taken before, in turn with the samples of the others.
    """

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
