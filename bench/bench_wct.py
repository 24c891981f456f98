"""Whitening and colouring in float64 with PytorchWCT's numbers. See :mod:`bench.ops`."""

from __future__ import annotations

import functools

from fastnst import ops, reference

from .ops import floors, rivals, suite
from .ops.names import BOTH, EAGER, FORWARD
from .ops.workload import Cost, Rival, Workload, correlated

pytestmark = suite.MARKS

PRESET = "pytorchwct"


def wct(batch: int, channels: int, side: int, *, main: bool = False, devices: tuple[str, ...] = ("cpu", "cuda")) -> Workload:
    """With fewer positions than channels eigenvalues coincide and rivals have no finite gradient: forward only."""
    shape = batch, channels, side, side
    forward = floors.wct(batch, channels, side * side)
    return Workload(
        "wct",
        "wct",
        "x".join(map(str, shape)),
        lambda: (correlated(batch, channels, side), correlated(batch, channels, side, seed=1)),
        Rival(f"{EAGER}, SVD in float64", rivals.published_wct, waits=True),
        Rival("torch.linalg.eigh in float64, batched", rivals.library_wct, waits=True),
        forward,
        Cost(floors.maps(5, *shape).bytes, 2 * forward.flops, 2 * forward.double_flops),
        functools.partial(reference.wct, preset=PRESET),
        ours=functools.partial(ops.wct, preset=PRESET),
        trained=(0, 1),
        main=main,
        devices=devices,
        modes=(FORWARD, BOTH) if side * side > channels else (FORWARD,),
    )


WORKLOADS = [
    wct(1, 512, 64, main=True),
    wct(16, 512, 64, main=True, devices=("cuda",)),
    wct(1, 128, 64),
    wct(1, 256, 32),
    wct(1, 512, 16),
]


def test_wct(record: suite.Record, workload: Workload, mode: str, contender: str) -> None:
    record(workload, mode, contender)
