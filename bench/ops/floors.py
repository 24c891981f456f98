"""Floors: the least cost of each operation, by counting, and the limits of the machine, by measuring."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .workload import Cost

FLOAT = 4
"""Bytes of a number; all workloads are float32."""

MODELS = {
    "adain": "each map read once and each result map written once (AdaIN: 3 maps forward, 5 backward); arithmetic is free",
    "relation": "per pair of items 3 flops a number, for one of its two orders; per unordered triplet 12 flops for the value "
    "and 10 for its gradient; 2 N^2 D flops for the items' gradient; images read once, the gradient written once",
    "wct": "in float64: half of each covariance, 14/3 k^3 for an eigendecomposition on the smaller side k, half of each root, "
    "their product; in float32: the product with the features; the backward pass is counted as twice the forward one",
    "color": "each picture read once and each result written once (3 pictures forward, 3 backward); arithmetic is free",
    "embedding": "2 flops per multiply-add: one product forward, two backward; both maps read once, a gradient written once",
    "perceptual": "maps read and gradients written once; half of a Gram matrix, for it is symmetric, a whole product backward",
}
"""Descriptions of the cost models by stem, for the report."""

TRIPLET_VALUE, TRIPLET_GRADIENT = 12, 10
"""Flops: two cosines of 4 each, their difference and Huber's loss of it; clamping, and adding to three sums."""


def maps(count: int, *shape: int) -> Cost:
    """The cost of reading or writing ``count`` float32 maps."""
    size = FLOAT
    for axis in shape:
        size *= axis
    return Cost(bytes=count * size)


# ---- costs ------------------------------------------------------------------------------------------------------------------


def pairwise(items: int, numbers: int) -> Cost:
    """The cost of all distances of ``items`` items of ``numbers`` numbers."""
    return Cost(FLOAT * (items * numbers + items * items), flops=3 * numbers * items * (items - 1) / 2)


def pairwise_backward(items: int, numbers: int) -> Cost:
    return Cost(FLOAT * (2 * items * numbers + items * items), flops=2 * items * items * numbers)


def relation(items: int, numbers: int) -> Cost:
    """The cost of distances and angles of a student's and a teacher's items, without bytes, which the caller counts."""
    return Cost(flops=2 * pairwise(items, numbers).flops + TRIPLET_VALUE * items**3 / 2)


def relation_backward(items: int, numbers: int) -> Cost:
    return Cost(flops=TRIPLET_GRADIENT * items**3 / 2 + 2 * items * items * numbers)


def content_relation(batch: int, channels: int, side: int, patch: int) -> tuple[Cost, Cost]:
    """The cost of rows, columns and patches of square images, forward and backward."""
    patches = (side // patch) ** 2
    sets = [(side, channels * side)] * 2 + [(patches, channels * patch * patch)]
    forward, backward = maps(2, batch, channels, side, side), maps(1, batch, channels, side, side)
    for items in sets:
        forward += Cost(flops=batch * relation(*items).flops)
        backward += Cost(flops=batch * relation_backward(*items).flops)
    return forward, backward


def wct(batch: int, channels: int, positions: int) -> Cost:
    """The cost of a batch of pairs with equal numbers of positions."""
    side = min(channels, positions)
    decomposed = positions * channels * side + 14 / 3 * side**3 + channels**2 * side
    double = batch * (2 * decomposed + 2 * channels**3)
    return Cost(FLOAT * 3 * batch * channels * positions, 2 * batch * positions * channels**2, double)


def embedding(batch: int, students: int, teachers: int, positions: int) -> tuple[Cost, Cost]:
    product = 2 * batch * positions * students * teachers
    read = FLOAT * batch * positions * (students + teachers)
    return Cost(read, product), Cost(FLOAT * batch * positions * students, 2 * product)


def gram(batch: int, channels: int, positions: int) -> tuple[Cost, Cost]:
    size = FLOAT * batch * channels * positions
    return Cost(size, batch * channels**2 * positions), Cost(2 * size, 2 * batch * channels**2 * positions)


# ---- the machine ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ceilings:
    """Measured limits.

    Attributes:
        bytes_per_second: of a copy of a large float32 tensor by ``copy_``, bytes read and bytes written.
        flops_per_second: of a large float32 ``torch.mm``, without TF32; 2 per multiply-add.
        double_flops_per_second: the same in float64.
    """

    bytes_per_second: float
    flops_per_second: float
    double_flops_per_second: float

    def seconds(self, cost: Cost) -> float:
        """A lower bound of the time: memory and arithmetic can overlap, arithmetic of two types cannot."""
        arithmetic = cost.flops / self.flops_per_second + cost.double_flops / self.double_flops_per_second
        return max(cost.bytes / self.bytes_per_second, arithmetic)


def ceilings(device: str) -> Ceilings:
    """Measure the limits of ``device``, each as the best of a few tries."""
    large = device == "cuda"
    source = torch.rand((2**29 if large else 2**26,), device=device)
    target = torch.empty_like(source).fill_(0)
    copy = best_seconds(lambda: target.copy_(source), device)
    rates = []
    for dtype, side in ((torch.float32, 8192 if large else 2048), (torch.float64, 4096 if large else 1024)):
        first, second = torch.rand((2, side, side), dtype=dtype, device=device)
        rates.append(2 * side**3 / best_seconds(lambda a=first, b=second: torch.mm(a, b), device))  # type: ignore[misc]
    return Ceilings(2 * source.numel() * FLOAT / copy, *rates)


def best_seconds(run: Callable[[], object], device: str, tries: int = 6) -> float:
    """The shortest of ``tries`` runs, after one that does not count."""
    times = []
    for _ in range(tries + 1):
        started = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times[1:])
