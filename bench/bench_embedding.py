"""The linear embedding loss: bound by its matrix products. See :mod:`bench.ops`."""

from __future__ import annotations

from fastnst import reference

from .ops import floors, rivals, suite
from .ops.names import EAGER
from .ops.workload import Rival, Workload, features, weights

pytestmark = suite.MARKS


def embedding(batch: int, students: int, teachers: int, side: int, *, main: bool = False) -> Workload:
    """The teacher's features are fixed; the student's, the matrix and the bias are trained."""
    forward, backward = floors.embedding(batch, students, teachers, side * side)
    return Workload(
        "embedding",
        "linear_embedding_loss",
        f"{batch}x{students}to{teachers}x{side}x{side}",
        lambda: (
            features(batch, students, side, side),
            features(batch, teachers, side, side, seed=1),
            weights(teachers, students),
            weights(teachers),
        ),
        Rival(EAGER, rivals.published_linear_embedding),
        Rival("torch.baddbmm", rivals.library_linear_embedding),
        forward,
        backward,
        reference.linear_embedding_loss,
        trained=(0, 2, 3),
        main=main,
    )


WORKLOADS = [
    embedding(16, 128, 512, 32, main=True),
    embedding(16, 32, 128, 64),
    embedding(1, 128, 512, 64),
]


def test_embedding(record: suite.Record, workload: Workload, mode: str, contender: str) -> None:
    record(workload, mode, contender)
