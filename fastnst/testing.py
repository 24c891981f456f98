"""How close a backend must come to the reference, and which backends there are to test.

The reference runs in float64 on the inputs that the backend was given, so that only the backend's own roundings remain:
one to the type that the result is stored in, and those of its arithmetic, which is float32 whatever the inputs are. An
assertion therefore allows, with the factor k of ``TOLERANCES``,

    |actual - expected| <= eps(stored) / 2 * |expected| + k * eps(arithmetic) * sqrt(reduction) * scale

where eps is the distance from 1 to the next number and ``reduction`` the number of terms in the longest sum: independent
roundings add up like the steps of a random walk.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor


class Tolerance(NamedTuple):
    """The factor k of a bound, or the bound itself where a norm is compared, and why it is not smaller."""

    factor: float
    reason: str


TOLERANCES = {
    "pointwise": Tolerance(4, "a formula of up to eight operations, each wrong by at most eps / 2 of its result"),
    "sum": Tolerance(1, "each addition is wrong by at most eps / 2, and two typical errors of a random walk are allowed"),
    "gradient": Tolerance(4, "sums that go through a formula: what each of the two may be wrong by multiplies"),
}
"""Factors of elementwise bounds, by what computes the result."""

NORM_TOLERANCES = {
    "wct": Tolerance(1e-3, "roots of matrices lose digits as the condition grows; less than this no picture shows"),
}
"""Bounds of ||actual - expected|| / ||expected|| (Frobenius), for results whose elements have no bounds of their own."""


def assert_close_to_reference(
    actual: Tensor,
    expected: Tensor,
    kind: str = "pointwise",
    *,
    reduction: int = 1,
    scale: float | Tensor | None = None,
    arithmetic: torch.dtype = torch.float32,
) -> None:
    """Assert that every element of ``actual`` is as close to ``expected`` as the module's formula asks.

    Args:
        actual: what a backend gave, of any type and on any device.
        expected: the reference in float64, of the same shape and finite.
        kind: the row of ``TOLERANCES``.
        reduction: terms in the longest sum.
        scale: what the errors of the arithmetic are relative to, a number or a tensor that broadcasts: the magnitude of
            the terms where they cancel. The largest magnitude in ``expected`` if it is not given.
        arithmetic: the type that the backend computes in.
    """
    _check_comparable(actual, expected)
    if expected.numel() == 0:
        return
    stored = torch.finfo(actual.dtype)
    size = expected.abs().max() if scale is None else torch.as_tensor(scale, dtype=torch.float64)
    roundings = TOLERANCES[kind].factor * torch.finfo(arithmetic).eps * math.sqrt(reduction) * size
    # The last term is half the distance between the smallest numbers of the stored type.
    bound = stored.eps / 2 * (expected.abs() + roundings) + roundings + stored.smallest_normal * stored.eps / 2
    error = (actual.detach().cpu().double() - expected).abs()
    excess = (error / bound).nan_to_num(nan=math.inf)
    worst = int(excess.argmax())
    at = tuple(int(i) for i in torch.unravel_index(torch.tensor(worst), expected.shape))
    assert excess.flatten()[worst] <= 1, (
        f"{int((excess > 1).sum())} of {expected.numel()} elements are too far from the reference; the worst, at {at}, is "
        f"{actual[at].item()!r} and should be {expected[at].item()!r}: {excess.flatten()[worst]:.3g} times the bound "
        f"({kind}, reduction {reduction}: {TOLERANCES[kind].reason})"
    )


def assert_close_in_norm(actual: Tensor, expected: Tensor, kind: str) -> None:
    """Assert that ``actual`` is within the bound ``kind`` of ``NORM_TOLERANCES`` of ``expected``, in float64."""
    _check_comparable(actual, expected)
    error = torch.linalg.vector_norm(actual.detach().cpu().double() - expected)
    bound = NORM_TOLERANCES[kind].factor * torch.linalg.vector_norm(expected)
    assert error <= bound, f"error {error:.3g}, allowed {bound:.3g} ({kind}: {NORM_TOLERANCES[kind].reason})"


def _check_comparable(actual: Tensor, expected: Tensor) -> None:
    assert actual.shape == expected.shape, f"shape {list(actual.shape)}, expected {list(expected.shape)}"
    assert expected.dtype == torch.float64, f"the reference must be float64, not {expected.dtype}"
    assert bool(expected.isfinite().all()), "the reference must be finite"


class Backend(NamedTuple):
    """A backend's module for one stem, and the device that its tensors must be on."""

    name: str
    device: str
    module: ModuleType


def backends(stem: str) -> list[Backend]:
    """Every backend that implements ``stem`` and can run here; Triton also in its interpreter (``TRITON_INTERPRET=1``)."""
    devices = {"cpu": "cpu"}
    if torch.cuda.is_available():
        devices |= {"triton": "cuda", "cuda": "cuda"}
    elif os.environ.get("TRITON_INTERPRET") == "1":
        devices["triton"] = "cpu"
    names = {name: f"fastnst.kernels.{name}.{stem}" for name in devices}
    found = {name: module for name, module in names.items() if importlib.util.find_spec(module)}
    return [Backend(name, devices[name], importlib.import_module(module)) for name, module in found.items()]
