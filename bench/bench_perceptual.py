"""Errors of features, bound by memory, and Gram matrices, bound by a matrix product that is symmetric. See :mod:`bench.ops`."""

from __future__ import annotations

from torch import Tensor

from fastnst import ops, reference

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


def feature_error(*shape: int, main: bool = False) -> Workload:
    """One level of a perceptual loss."""

    def ours(feat: Tensor, target: Tensor) -> Tensor:
        return ops.perceptual_loss([feat], [target])

    return Workload(
        "perceptual",
        "perceptual_loss",
        "x".join(map(str, shape)),
        lambda: (features(*shape), features(*shape, seed=1)),
        Rival(EAGER, rivals.published_feature_loss),
        Rival("torch.linalg.vector_norm", rivals.library_feature_loss),
        floors.maps(2, *shape),
        floors.maps(3, *shape),
        lambda feat, target: reference.perceptual_loss([feat], [target]),
        ours=ours,
        main=main,
    )


WORKLOADS = [
    feature_error(8, 64, 128, 128, main=True),
    gram(1, 512, 64, 64, main=True),
    gram(4, 256, 64, 64),
    gram(1, 64, 256, 256),
]


def test_perceptual(record: suite.Record, workload: Workload, mode: str, contender: str) -> None:
    record(workload, mode, contender)
