"""A style that is prepared once, in the place of its features."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastnst import nn, ops, reference

PRESETS = ["paper", "pytorchwct", "wct2", "collab"]


def features(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
def test_a_prepared_style_is_the_style(module: object, preset: str) -> None:
    content, style = features(2, 6, 5, 7), features(2, 6, 4, 9, seed=1)
    wanted = module.wct(content, style, 0.75, preset)
    result = module.wct(content, module.wct_style(style, preset), 0.75, preset)
    assert result.dtype == wanted.dtype
    torch.testing.assert_close(result, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
def test_one_prepared_style_serves_a_batch_of_contents(module: object) -> None:
    content, style = features(3, 6, 5, 7), features(1, 6, 4, 9, seed=1)
    result = module.wct(content, module.wct_style(style))
    torch.testing.assert_close(result, module.wct(content, style.expand(3, -1, -1, -1)), rtol=1e-5, atol=1e-5)


def test_a_ridge_and_a_cutoff_of_the_style_are_its_own() -> None:
    content, style = features(1, 6, 5, 7), features(1, 6, 4, 9, seed=1)
    prepared = ops.wct_style(style, style_ridge=0.5, cutoff=0.75)
    torch.testing.assert_close(
        ops.wct(content, prepared, content_ridge=0.25, cutoff=0.75),
        ops.wct(content, style, content_ridge=0.25, style_ridge=0.5, cutoff=0.75),
    )


def test_gradients_reach_content_and_style_through_a_prepared_one() -> None:
    content, style = features(2, 4, 5, 7, dtype=torch.float64), features(2, 4, 4, 9, seed=1, dtype=torch.float64)
    tensors = [content.requires_grad_(), style.requires_grad_()]
    weight = features(2, 4, 5, 7, seed=2, dtype=torch.float64)
    mine = torch.autograd.grad((ops.wct(content, ops.wct_style(style)) * weight).sum(), tensors)
    wanted = torch.autograd.grad((reference.wct(content, style) * weight).sum(), tensors)
    for actual, expected in zip(mine, wanted, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-8)


def test_second_derivatives_of_a_prepared_style() -> None:
    style = features(1, 3, 3, 5, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: tuple(ops.wct_style(x)), (style,))


def test_half_precision_features_have_a_prepared_style_of_float64() -> None:
    content, style = features(1, 6, 5, 7), features(1, 6, 8, 9, seed=1)
    prepared = ops.wct_style(style.bfloat16())
    assert (prepared.root.dtype, prepared.mean.dtype) == (torch.float64, torch.float64)
    result = ops.wct(content.bfloat16(), prepared)
    assert result.dtype == torch.bfloat16
    wanted = reference.wct(content.bfloat16().double(), style.bfloat16().double())
    torch.testing.assert_close(result.double(), wanted, rtol=0.01, atol=0.01)


def test_compiled_whole() -> None:
    content, style = features(1, 4, 5, 7), features(1, 4, 4, 9, seed=1)
    whole = torch.compile(lambda x, y: ops.wct(x, ops.wct_style(y)), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(whole(content, style), ops.wct(content, style), rtol=1e-5, atol=1e-5)


def test_the_module_takes_a_prepared_style() -> None:
    content, style = features(1, 4, 5, 7), features(1, 4, 4, 9, seed=1)
    torch.testing.assert_close(nn.WCT(0.5)(content, ops.wct_style(style)), nn.WCT(0.5)(content, style), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("module", [ops, reference], ids=["ops", "reference"])
def test_what_does_not_fit_is_refused(module: object) -> None:
    content = features(2, 6, 5, 7)
    prepared = module.wct_style(features(3, 6, 4, 9))
    with pytest.raises(ValueError, match="batch of content and style"):
        module.wct(content, prepared)
    with pytest.raises(ValueError, match="channels of content and style"):
        module.wct(content, module.wct_style(features(2, 5, 4, 9)))
    with pytest.raises(ValueError, match="give it to wct_style"):
        module.wct(content, module.wct_style(features(1, 6, 4, 9)), style_ridge=0.5)
