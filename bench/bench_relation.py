"""Relation losses and pairwise distances: bound by arithmetic, unless triplets are stored in memory. See :mod:`bench.ops`."""

from __future__ import annotations

from fastnst import reference

from .ops import floors, rivals, suite
from .ops.floors import maps
from .ops.names import EAGER
from .ops.workload import Rival, Workload, images, weights

pytestmark = suite.MARKS


def content_relation(batch: int, side: int, *, main: bool = False, devices: tuple[str, ...] = ("cpu", "cuda")) -> Workload:
    """Rows, columns and patches of RGB images."""
    forward, backward = floors.content_relation(batch, 3, side, rivals.PATCH)
    return Workload(
        "relation",
        "content_relation_loss",
        f"{batch}x3x{side}x{side}",
        lambda: images(batch, side),
        # Indexing by a mask of positive distances: only the device knows its length.
        Rival(EAGER, rivals.published_content_relation, waits=True),
        Rival("torch.cdist, law of cosines", rivals.library_content_relation),
        forward,
        backward,
        rivals.library_content_relation,  # the reference stores all differences, too many in float64
        main=main,
        devices=devices,
    )


def rkd(items: int, numbers: int, *, main: bool = False) -> Workload:
    return Workload(
        "relation",
        "rkd_loss",
        f"{items}x{numbers}",
        lambda: (weights(items, numbers), weights(items, numbers, seed=1)),
        Rival(EAGER, rivals.published_rkd, waits=True),
        Rival("torch.cdist, law of cosines", rivals.library_rkd),
        maps(2, items, numbers) + floors.relation(items, numbers),
        maps(1, items, numbers) + floors.relation_backward(items, numbers),
        reference.rkd_loss,
        main=main,
    )


def pdist(items: int, numbers: int) -> Workload:
    return Workload(
        "relation",
        "pdist",
        f"{items}x{numbers}",
        lambda: (weights(items, numbers),),
        Rival(EAGER, rivals.published_pdist),
        Rival("torch.cdist", rivals.library_pdist),
        floors.pairwise(items, numbers),
        floors.pairwise_backward(items, numbers),
        reference.pdist,
    )


WORKLOADS = [
    content_relation(1, 256, main=True),
    content_relation(16, 256, main=True, devices=("cuda",)),
    content_relation(1, 128),
    content_relation(4, 64),
    rkd(128, 512, main=True),
    rkd(32, 512),
    rkd(64, 256),
    pdist(256, 768),
]


def test_relation(record: suite.Record, workload: Workload, mode: str, contender: str) -> None:
    record(workload, mode, contender)
