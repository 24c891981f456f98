"""How long models take, measured in turn so that a slow minute of the machine hits all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping

ROUNDS = 7
VISIT_SECONDS = 0.2
LEAST_CALLS = 3
LONG_CALL = 1.0
"""Seconds. Who takes so long is a visit by one call, which needs no warming."""

Call = Callable[[], object]


def visit(call: Call) -> float:
    """Median seconds of one call, after a call that is not counted: threads that slept and caches of others' data."""
    first = _seconds(call)
    if first >= LONG_CALL:
        return first
    times: list[float] = []
    end = time.perf_counter() + VISIT_SECONDS
    while len(times) < LEAST_CALLS or time.perf_counter() < end:
        times.append(_seconds(call))
    return statistics.median(times)


def _seconds(call: Call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def in_turn(calls: Mapping[str, Call]) -> Iterator[dict[str, float]]:
    """One visit to each call, :data:`ROUNDS` times over, after a round that only warms up: seconds by name."""
    for call in calls.values():
        visit(call)
    for _ in range(ROUNDS):
        yield {name: visit(call) for name, call in calls.items()}
