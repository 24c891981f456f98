"""What all reference formulas share: the names they offer, the types they compute in, and their one style of error."""

from __future__ import annotations

import re

import pytest
import torch

from fastnst import reference
from fastnst.reference.inputs import check, check_same, full_precision, result_dtype, widen

CONTRACT = {
    "calc_mean_std",
    "adaptive_instance_normalization",
    "mean_variance_norm",
    "color_transfer",
    "coral",
    "whiten_and_color",
    "wct",
    "gram_matrix",
    "pdist",
    "rkd_distance_loss",
    "rkd_angle_loss",
    "rkd_loss",
    "content_relation_loss",
    "linear_embedding_loss",
    "style_statistics_loss",
}


def test_every_operation_of_the_contract_is_offered() -> None:
    assert set(reference.__all__) >= CONTRACT
    assert all(callable(getattr(reference, name)) for name in reference.__all__)


@pytest.mark.parametrize(
    ("given", "working"),
    [
        ((torch.float16,), torch.float32),
        ((torch.bfloat16, torch.float16), torch.float32),
        ((torch.float32, torch.bfloat16), torch.float32),
        ((torch.float16, torch.float64), torch.float64),
    ],
)
def test_widen_finds_one_type_of_float32_or_more(given: tuple[torch.dtype, ...], working: torch.dtype) -> None:
    assert {tensor.dtype for tensor in widen(*(torch.ones(2, dtype=dtype) for dtype in given))} == {working}


def test_result_dtype_is_what_pytorch_promotes_to() -> None:
    half, brain, single = (torch.ones(1, dtype=dtype) for dtype in (torch.float16, torch.bfloat16, torch.float32))
    assert result_dtype(half) == torch.float16
    assert result_dtype(half, brain) == (half + brain).dtype
    assert result_dtype(brain, single) == torch.float32


def test_full_precision_undoes_autocast() -> None:
    values = torch.full((1, 1), 1 + 2**-12)
    with torch.autocast("cpu", torch.bfloat16):
        assert (values @ values).dtype == torch.bfloat16
        with full_precision(values):
            assert torch.equal(values @ values, values * values)


@pytest.mark.parametrize(
    "wrong", [torch.ones(2, 3), torch.ones(2, 3, 4, dtype=torch.int64), torch.ones(2, 0, 4), torch.ones(0, 3, 4)]
)
def test_check_says_what_was_expected_and_given(wrong: torch.Tensor) -> None:
    message = f"feat: expected floating-point values [C, H, W], not empty, got {wrong.dtype} {list(wrong.shape)}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check("feat", wrong, "CHW")


def test_check_lets_only_the_first_axis_be_empty() -> None:
    check("feat", torch.ones(0, 3), "NC", empty_batch=True)
    with pytest.raises(ValueError, match=r"\[3, 0\]$"):
        check("feat", torch.ones(3, 0), "NC", empty_batch=True)


def test_check_same_names_both_sizes() -> None:
    check_same("channels", 3, 3)
    with pytest.raises(ValueError, match=r"^channels must be equal, got 3 and 4$"):
        check_same("channels", 3, 4)
