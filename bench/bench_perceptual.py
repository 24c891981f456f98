"""Gram matrices: bound by a matrix product that is symmetric. See :mod:`bench.ops`."""

from __future__ import annotations

from fastnst import reference

from .ops import floors, rivals, suite
from .ops.names import EAGER
from .ops.workload import Rival, Workload, features

pytestmark = suite.MARKS


def gram(*shape: int, main: bool = False) -> Workload:
    batch, channels, height, width = shape
    forward, backward = floors.gram(batch, channels, height * width)
    return Workload(
        "perceptual",
        "gram_matrix",
        "x".join(map(str, shape)),
        lambda: (features(*shape),),
        Rival(EAGER, rivals.published_gram),
        Rival("torch.baddbmm", rivals.library_gram),
        forward,
        backward,
        reference.gram_matrix,
        main=main,
    )


WORKLOADS = [
    gram(1, 512, 64, 64, main=True),
    gram(4, 256, 64, 64),
    gram(1, 64, 256, 256),
]


def test_perceptual(record: suite.Record, workload: Workload, mode: str, contender: str) -> None:
    record(workload, mode, contender)
