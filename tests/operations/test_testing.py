"""The tolerances let pass what they promise to, and nothing else."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fastnst.testing import NORM_TOLERANCES, TOLERANCES, assert_close_in_norm, assert_close_to_reference, backends

TYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=lambda dtype: str(dtype)[6:])


def values(size: int = 1000) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@TYPES
def test_one_rounding_to_the_stored_type_passes(dtype: torch.dtype) -> None:
    for size in (1e-7, 1.0, 1e4):  # the first has no normal numbers in float16
        assert_close_to_reference((values() * size).to(dtype), values() * size)


@TYPES
def test_two_roundings_do_not_pass(dtype: torch.dtype) -> None:
    wrong = values().to(dtype) * (1 + 8 * torch.finfo(dtype).eps)
    with pytest.raises(AssertionError, match="times the bound"):
        assert_close_to_reference(wrong, values())


@pytest.mark.parametrize("kind", TOLERANCES)
def test_bound_is_the_formula(kind: str) -> None:
    expected = values()
    allowed = TOLERANCES[kind].factor * torch.finfo(torch.float32).eps * math.sqrt(100) * 3
    assert_close_to_reference(expected + 0.99 * allowed, expected, kind, reduction=100, scale=3)
    with pytest.raises(AssertionError, match=r"1000 of 1000 .* 1\.01 times the bound"):
        assert_close_to_reference(expected + 1.01 * allowed, expected, kind, reduction=100, scale=3)


def test_scale_may_differ_by_element() -> None:
    expected, scale = torch.tensor([1.0, 1.0]).double(), torch.tensor([1e3, 0.0])
    assert_close_to_reference(expected + torch.tensor([1e-4, 0.0]), expected, scale=scale)
    with pytest.raises(AssertionError, match=r"at \(1,\)"):
        assert_close_to_reference(expected + torch.tensor([0.0, 1e-4]), expected, scale=scale)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_none_do_not_pass(bad: float) -> None:
    actual = values().float()
    actual[7] = bad
    with pytest.raises(AssertionError, match=r"1 of 1000 .* at \(7,\)"):
        assert_close_to_reference(actual, values())
    with pytest.raises(AssertionError, match="finite"):
        assert_close_to_reference(actual, actual.double())


def test_shapes_must_agree() -> None:
    for check in (
        lambda: assert_close_to_reference(values(3), values(4)),
        lambda: assert_close_in_norm(values(3), values(4), "wct"),
    ):
        with pytest.raises(AssertionError, match="shape"):
            check()


def test_norm() -> None:
    bound = NORM_TOLERANCES["wct"].factor
    assert_close_in_norm(values() * (1 + 0.99 * bound), values(), "wct")
    with pytest.raises(AssertionError, match="error"):
        assert_close_in_norm(values() * (1 + 1.01 * bound), values(), "wct")


def test_backends_are_those_that_exist() -> None:
    assert [(each.name, each.device) for each in backends("adain") if each.name == "cpu"] == [("cpu", "cpu")]
    assert backends("no_such_stem") == []
