"""The goals of fastnst's operations beside their rivals, and whether a run has reached them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .names import BACKWARD, BOTH, COMPILED, CUSOLVER, FASTNST, FORWARD, LIBRARY, PUBLISHED

Row = dict[str, Any]
Rows = dict[tuple[str, str, str], Row]
"""Rows of the report by workload, mode and contender."""

UNKNOWN = "not measured"


@dataclass(frozen=True)
class Quantity:
    """The quantity of a goal.

    Attributes:
        text: the description for the report.
        form: the format of the bound and of the value that was reached.
        value: computes the value from the rows, workload and mode; None if a contender is missing.
        at_most: the bound is the largest good value; otherwise it is the smallest.
    """

    text: str
    form: str
    value: Callable[[Rows, str, str], float | None]
    at_most: bool = False

    def met(self, value: float, bound: float) -> bool:
        return value <= bound if self.at_most else value >= bound

    def bound_text(self, bound: float | None) -> str:
        return "-" if bound is None else f"{'at most' if self.at_most else 'at least'} {self.form.format(bound)}"


def _ratio(key: str, contender: str) -> Callable[[Rows, str, str], float | None]:
    """The contender's value divided by fastnst's."""

    def value(rows: Rows, workload: str, mode: str) -> float | None:
        own, other = (rows.get((workload, mode, name), {}).get(key) for name in (FASTNST, contender))
        return other / own if own and other else None

    return value


def _of_floor(rows: Rows, workload: str, mode: str) -> float | None:
    row = rows.get((workload, mode, FASTNST))
    return None if row is None else 100 * row["floor"]["seconds"] / row["median_seconds"]


def _memory(rows: Rows, workload: str, mode: str) -> float | None:
    row = rows.get((workload, mode, FASTNST))
    return None if row is None or row["extra_memory"] is None else row["extra_memory"] / 1e6


def _error(rows: Rows, workload: str, mode: str) -> float | None:
    return rows.get((workload, mode, FASTNST), {}).get("error")


TIMES = "{:.3g} times"
SPEED = {
    name: Quantity(f"as fast as {label}", TIMES, _ratio("median_seconds", name))
    for name, label in (
        (PUBLISHED, "the published code, eager"),
        (COMPILED, "torch.compile of it"),
        (LIBRARY, "torch.linalg.eigh in float64"),
        (CUSOLVER, "batched cuSOLVER"),
    )
}
COPY = Quantity("of copy bandwidth", "{:.3g} %", _of_floor)
SHARE = Quantity("less extra memory than the published code, eager", TIMES, _ratio("extra_memory", PUBLISHED))
MEMORY = Quantity("extra memory, where the projected features alone take so much", "{:.3g} MB", _memory, at_most=True)
ERROR = Quantity("relative error to float64", "{:.1e}", _error, at_most=True)


@dataclass(frozen=True)
class Goal:
    """A bound for the CPU and one for GPUs; None if there is none."""

    workload: str
    mode: str
    quantity: Quantity
    cpu: float | None
    cuda: float | None


ADAIN, LARGE_ADAIN = "adaptive_instance_normalization[1x512x64x64]", "adaptive_instance_normalization[8x64x256x256]"
RELATION, RELATIONS = "content_relation_loss[1x3x256x256]", "content_relation_loss[16x3x256x256]"
RKD, WCT, WCTS = "rkd_loss[128x512]", "wct[1x512x64x64]", "wct[16x512x64x64]"
EMBEDDING = "linear_embedding_loss[16x128to512x32x32]"
PROJECTED = 16 * 512 * 32 * 32 * 4 / 1e6

GOALS = (
    Goal(ADAIN, FORWARD, SPEED[PUBLISHED], 20, None),
    Goal(ADAIN, FORWARD, SPEED[COMPILED], None, 1.2),
    Goal(ADAIN, BOTH, SPEED[PUBLISHED], 10, None),
    Goal(LARGE_ADAIN, FORWARD, SPEED[PUBLISHED], 20, None),
    Goal(LARGE_ADAIN, FORWARD, COPY, 70, 85),
    Goal(LARGE_ADAIN, FORWARD, SPEED[COMPILED], None, 1.2),
    Goal(LARGE_ADAIN, BOTH, SPEED[PUBLISHED], 10, None),
    Goal(LARGE_ADAIN, BACKWARD, COPY, None, 80),
    Goal(RELATION, BOTH, SPEED[PUBLISHED], 100, 30),
    Goal(RELATION, BOTH, SHARE, 100, 100),
    Goal(RELATIONS, BOTH, SPEED[PUBLISHED], None, 30),
    Goal(RKD, BOTH, SPEED[PUBLISHED], 30, 10),
    Goal(WCT, FORWARD, SPEED[PUBLISHED], 4, None),
    Goal(WCT, FORWARD, ERROR, 1e-3, 1e-3),
    Goal(WCT, FORWARD, SPEED[LIBRARY], None, 10),
    Goal(WCTS, FORWARD, SPEED[LIBRARY], None, 10),
    Goal(WCTS, FORWARD, SPEED[CUSOLVER], None, 1.5),
    Goal(EMBEDDING, BOTH, SPEED[PUBLISHED], 1.3, None),
    Goal(EMBEDDING, BOTH, MEMORY, PROJECTED, PROJECTED),
)


def outcomes(rows: Iterable[Row], device: str) -> Iterator[tuple[str, ...]]:
    """For each goal the workload and mode, the quantity, and for CPU and GPU the bound and the outcome of a run on ``device``.

    Operations without rows are left out, because the run was of some stems only.
    """
    rows = list(rows)
    operations = {row["operation"] for row in rows}
    table = {(row["workload"], row["mode"], row["contender"]): row for row in rows}
    for goal in GOALS:
        if goal.workload.partition("[")[0] not in operations:
            continue
        quantity = goal.quantity
        cells = []
        for name, bound in (("cpu", goal.cpu), ("cuda", goal.cuda)):
            cells += [quantity.bound_text(bound), outcome(goal, bound, table if name == device else {})]
        yield f"{goal.workload}, {goal.mode}", quantity.text, *cells


def outcome(goal: Goal, bound: float | None, rows: Rows) -> str:
    if bound is None:
        return "-"
    value = goal.quantity.value(rows, goal.workload, goal.mode)
    if value is None:
        return UNKNOWN
    verdict = "met" if goal.quantity.met(value, bound) else "**missed**"
    return f"{goal.quantity.form.format(value)}: {verdict}"
