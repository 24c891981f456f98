"""Measures the contenders of a workload in turn, so that a slow minute of the machine affects all of them."""

from __future__ import annotations

import logging
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..interleave import Bystanders
from . import cuda
from .names import BACKWARD, COMPILED
from .workload import Call, Function, Rival, Workload, call_of, error_of

LEAST_CALLS = 3
LONG_CALL = 0.5
"""Seconds from which on a single call is a sample, without warming up and without a median."""
TOLERANCE = 1e-2
"""The largest error of a rival; one with a larger error computes something else. Published relation losses are at 1e-4."""

LONG_SAMPLES, LEAST_SAMPLES = 3.0, 3
"""Seconds and samples after which a contender is not measured again."""

Sample = Callable[[], float]


@dataclass
class Result:
    """The result of one contender in one workload and mode.

    Attributes:
        seconds: one time per sample.
        memory: additional bytes that a call takes, its results included.
        error: the largest relative error of its results against float64.
        captured: its calls were timed as one CUDA graph.
        failure: why there is no result.
    """

    contender: str
    label: str
    seconds: list[float] = field(default_factory=list)
    memory: int | None = None
    error: float | None = None
    captured: bool = False
    failure: str = ""


def prepared(function: Function, contender: str) -> Function:
    """``function``, compiled if the contender is a compiled one."""
    if contender != COMPILED:
        return function
    # The limit of recompilations is per function, and every workload counts.
    torch._dynamo.reset()
    # Code that cannot be one graph is still measured.
    torch._logging.set_logs(dynamo=logging.ERROR)  # type: ignore[attr-defined]
    compiled: Function = torch.compile(function, dynamic=False)
    return compiled


def compare(workload: Workload, mode: str, device: str, rounds: int, sample_seconds: float) -> tuple[dict[str, Result], float]:
    """Every contender's times, errors and, on CUDA, memory; and the share of the cores that other processes used meanwhile.

    Failures are noted, and the others go on.
    """
    tensors = [tensor.to(device) for tensor in workload.make()]
    results: dict[str, Result] = {}
    samples: dict[str, Sample] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # compilers warn about published code, which shall stay as it is
        exact = call_of(workload.exact, [tensor.double() for tensor in tensors], workload.trained, mode)()
        for contender, rival in workload.rivals(mode, device).items():
            results[contender] = result = Result(contender, rival.label)
            try:
                samples[contender] = begin(result, rival, workload, mode, tensors, exact, sample_seconds)
            except Exception as error:  # whatever a rival's code or compiler raises
                result.failure = f"{type(error).__name__}: {error}"
        del exact
        others = Bystanders()
        for _ in range(rounds):
            for contender, sample in samples.items():
                seconds = results[contender].seconds
                if len(seconds) < LEAST_SAMPLES or sum(seconds) < LONG_SAMPLES:
                    seconds.append(sample())
        return results, others.share()


def begin(
    result: Result,
    rival: Rival,
    workload: Workload,
    mode: str,
    tensors: Sequence[Tensor],
    exact: Sequence[Tensor],
    sample_seconds: float,
) -> Sample:
    """Compile and warm up one contender, check what it computes, and return a function that takes a sample."""
    function = prepared(rival.function, result.contender)
    call = call_of(function, tensors, workload.trained, mode)
    result.error = error_of(call(), exact)
    if not result.error <= TOLERANCE:
        raise ArithmeticError(f"its result is {result.error:.1e} away from the exact one")
    if tensors[0].is_cuda:
        result.memory = cuda.extra_memory(call)
        calls = [call_of(function, copy, workload.trained, mode) for copy in cuda.copies(tensors)]
        # The graph of a backward pass alone is made on the default stream, which cannot be captured.
        timed, result.captured = cuda.repeated(calls, waits=rival.waits or mode == BACKWARD)
        return lambda: cuda.sample(timed, len(calls), sample_seconds)
    return lambda: sample(call, sample_seconds)


def sample(call: Call, sample_seconds: float) -> float:
    """The median of as many calls as fill ``sample_seconds``, at least three, after one that does not count."""
    first = duration(call)
    if first >= LONG_CALL:
        return first
    times: list[float] = []
    end = time.perf_counter() + sample_seconds
    while len(times) < LEAST_CALLS or time.perf_counter() < end:
        times.append(duration(call))
    return statistics.median(times)


def duration(call: Call) -> float:
    """The seconds of one call, freeing its results included."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
