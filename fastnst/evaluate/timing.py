"""How long models take, measured in turn so that a slow minute of the machine hits all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping

ROUNDS = 7
SAMPLE_SECONDS = 0.2
LEAST_CALLS = 3
LONG_CALL = 1.0
"""Seconds. A call that takes this long is a sample by itself and needs no warming up."""

Call = Callable[[], object]


def sample(call: Call) -> float:
    """Median seconds of one call, after a call that is not counted: threads that slept and caches of others' data."""
    first = _seconds(call)
    if first >= LONG_CALL:
        return first
    times: list[float] = []
    end = time.perf_counter() + SAMPLE_SECONDS
    while len(times) < LEAST_CALLS or time.perf_counter() < end:
        times.append(_seconds(call))
    return statistics.median(times)


def _seconds(call: Call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def in_turn(calls: Mapping[str, Call]) -> Iterator[dict[str, float]]:
    """One sample of each call, :data:`ROUNDS` times over, after a round that only warms up: seconds by name."""
    for call in calls.values():
        sample(call)
    for _ in range(ROUNDS):
        yield {name: sample(call) for name, call in calls.items()}
