"""Measures times and memory on a CUDA device, by events around many calls on inputs that do not fit into its cache."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .workload import Call

LEAST_CALLS = 10
"""The least number of calls between two events, so that the host's work for a call is hidden by those before it."""
LEAST_SAMPLES = 3
CACHES = 3
"""The size of all copies of the inputs, in multiples of the level 2 cache."""


def copies(tensors: Sequence[Tensor]) -> list[Sequence[Tensor]]:
    """The inputs and copies of them, so that each call finds its own in memory and not in the cache."""
    size = sum(tensor.nbytes for tensor in tensors)
    cache = torch.cuda.get_device_properties(tensors[0].device).L2_cache_size
    count = math.ceil(CACHES * cache / size)
    return [tensors, *([tensor.clone() for tensor in tensors] for _ in range(count - 1))]


def repeated(calls: Sequence[Call], *, waits: bool) -> tuple[Callable[[], None], bool]:
    """A function that runs all ``calls``, and whether it is a CUDA graph, which runs without the host.

    Calls in which the host waits for the device cannot be captured, nor can calls of some libraries.
    """

    def one_by_one() -> None:
        for call in calls:
            call()

    if waits:
        return one_by_one, False
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            one_by_one()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            one_by_one()
    except RuntimeError:
        torch.cuda.synchronize()
        return one_by_one, False
    return graph.replay, True


def sample(run: Callable[[], None], calls: int, seconds: float) -> float:
    """Median seconds of one call; ``run`` makes ``calls`` of them."""
    times = 1 if calls >= LEAST_CALLS else math.ceil(LEAST_CALLS / calls)
    run()
    first = between_events(run, 1)
    if first >= seconds:
        return first / calls
    samples = max(LEAST_SAMPLES, math.ceil(seconds / (times * first)))
    return statistics.median(between_events(run, times) for _ in range(samples)) / (times * calls)


def between_events(run: Callable[[], None], times: int) -> float:
    """Seconds on the device for all runs."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(times):
        run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def extra_memory(call: Call) -> int:
    """The peak of bytes that PyTorch's allocator provides during ``call``, beyond those in use before."""
    call()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    results = call()
    torch.cuda.synchronize()
    del results
    return torch.cuda.max_memory_allocated() - before
