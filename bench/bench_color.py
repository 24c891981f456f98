"""Colour transfer between pictures, bound by memory. See :mod:`bench.ops`."""

from __future__ import annotations

from fastnst import reference

from .ops import rivals, suite
from .ops.floors import maps
from .ops.names import BACKWARD, BOTH, EAGER, FORWARD
from .ops.workload import Rival, Workload, images

pytestmark = suite.MARKS


def color_transfer(batch: int, side: int, *, main: bool = False, devices: tuple[str, ...] = ("cpu", "cuda")) -> Workload:
    """As in training, with a fixed target: forward and backward pass each read two pictures and write one."""
    shape = batch, 3, side, side
    return Workload(
        "color",
        "color_transfer",
        "x".join(map(str, shape)),
        lambda: images(batch, side),
        Rival(EAGER, rivals.published_color_transfer, waits=True),
        Rival("torch.linalg.eigh in float64, batched", rivals.library_color_transfer, waits=True),
        maps(3, *shape),
        maps(3, *shape),
        reference.color_transfer,
        main=main,
        devices=devices,
        modes=(FORWARD, BOTH, BACKWARD) if main else (FORWARD, BOTH),
    )


WORKLOADS = [
    color_transfer(8, 256, main=True),
    color_transfer(1, 256),
    color_transfer(1, 1024),
    color_transfer(16, 512, devices=("cuda",)),
]


def test_color(record: suite.Record, workload: Workload, mode: str, contender: str) -> None:
    record(workload, mode, contender)
