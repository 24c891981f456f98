"""AdaIN, its statistics and losses of statistics, all bound by memory. See :mod:`bench.ops`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from fastnst import reference

from .ops import rivals, suite
from .ops.floors import maps
from .ops.names import BACKWARD, BOTH, EAGER, FORWARD
from .ops.workload import Rival, Workload, features

pytestmark = suite.MARKS


def two(*shape: int) -> Callable[[], Sequence[Tensor]]:
    return lambda: (features(*shape), features(*shape, seed=1))


def adain(*shape: int, main: bool = False, devices: tuple[str, ...] = ("cpu", "cuda")) -> Workload:
    """The forward pass reads two maps and writes one; the backward pass reads three and writes two."""
    return Workload(
        "adain",
        "adaptive_instance_normalization",
        "x".join(map(str, shape)),
        two(*shape),
        Rival(EAGER, rivals.published_adain),
        Rival("native instance norm, var_mean", rivals.library_adain),
        maps(3, *shape),
        maps(5, *shape),
        reference.adaptive_instance_normalization,
        trained=(0, 1),
        main=main,
        devices=devices,
        modes=(FORWARD, BOTH, BACKWARD) if main else (FORWARD, BOTH),
    )


def mean_variance_norm(*shape: int) -> Workload:
    return Workload(
        "adain",
        "mean_variance_norm",
        "x".join(map(str, shape)),
        lambda: (features(*shape),),
        Rival(EAGER, rivals.published_mean_variance_norm),
        Rival("native instance norm", rivals.library_mean_variance_norm),
        maps(2, *shape),
        maps(3, *shape),
        reference.mean_variance_norm,
    )


def calc_mean_std(*shape: int) -> Workload:
    return Workload(
        "adain",
        "calc_mean_std",
        "x".join(map(str, shape)),
        lambda: (features(*shape),),
        Rival(EAGER, rivals.published_calc_mean_std),
        Rival("torch.var_mean", rivals.library_calc_mean_std),
        maps(1, *shape),
        maps(2, *shape),
        reference.calc_mean_std,
    )


def style_statistics_loss(*shape: int) -> Workload:
    """A workload with a fixed target."""
    return Workload(
        "adain",
        "style_statistics_loss",
        "x".join(map(str, shape)),
        two(*shape),
        Rival(EAGER, rivals.published_style_statistics_loss),
        Rival("torch.var_mean", rivals.library_style_statistics_loss),
        maps(2, *shape),
        maps(2, *shape),
        reference.style_statistics_loss,
    )


WORKLOADS = [
    adain(1, 512, 64, 64, main=True),
    adain(8, 64, 256, 256, main=True),
    adain(1, 256, 128, 128),
    adain(1, 64, 512, 512),
    adain(16, 512, 64, 64, devices=("cuda",)),
    mean_variance_norm(1, 512, 64, 64),
    mean_variance_norm(1, 64, 256, 256),
    calc_mean_std(1, 512, 64, 64),
    calc_mean_std(1, 64, 512, 512),
    style_statistics_loss(1, 512, 64, 64),
    style_statistics_loss(4, 256, 64, 64),
]


def test_adain(record: suite.Record, workload: Workload, mode: str, contender: str) -> None:
    record(workload, mode, contender)
