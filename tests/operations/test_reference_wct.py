"""WCT against the published algorithms step by step in NumPy, and its gradients where autograd through ``eigh`` has none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastnst.reference import wct, whiten_and_color
from fastnst.reference.wct import PRESETS

Array = NDArray[np.float64]
EACH_PRESET = pytest.mark.parametrize("preset", PRESETS)

# ((content ridge, style ridge), cutoff, clamp) as the specification of the published codes states them.
PUBLISHED = {
    "paper": (0.0, 0.0, 1e-5, False),
    "pytorchwct": (1.0, 0.0, 1e-5, False),
    "wct2": (1.0, 1.0, 1e-5, True),
    "collab": (0.0, 0.0, 1e-100, False),
}

# Rows of mean 0 that are orthogonal and of one length: their covariance is a multiple of the identity.
ORTHOGONAL = torch.tensor([[1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], dtype=torch.float64)


def features(channels: int, positions: int, seed: int, scale: float = 2.0) -> Tensor:
    """Correlated channels with their own means."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    values = torch.randn(channels, positions, generator=generator, dtype=torch.float64)
    return scale * (mixing @ values + torch.arange(channels, dtype=torch.float64).unsqueeze(1))


def maps(channels: int, height: int, width: int, seed: int, batch: int = 1) -> Tensor:
    return torch.stack([features(channels, height * width, seed + i).view(channels, height, width) for i in range(batch)])


def root_by_numpy(values: Array, ridge: float, cutoff: float, power: float) -> Array:
    """Singular values in descending order, cut off at the first that is too small."""
    covariance = values @ values.T / (values.shape[1] - 1) + ridge * np.eye(len(values))
    _, spectrum, vectors = np.linalg.svd(covariance)
    kept = next((i for i, value in enumerate(spectrum) if value < cutoff), len(spectrum))
    return np.asarray((vectors[:kept].T * spectrum[:kept] ** power) @ vectors[:kept])


def wct_by_numpy(content: Array, style: Array, content_ridge: float, style_ridge: float, cutoff: float, clamp: bool) -> Array:
    style_mean = style.mean(1, keepdims=True)
    whitened = root_by_numpy(content - content.mean(1, keepdims=True), content_ridge, cutoff, -0.5) @ (
        content - content.mean(1, keepdims=True)
    )
    result = root_by_numpy(style - style_mean, style_ridge, cutoff, 0.5) @ whitened + style_mean
    return np.asarray(result.clip(content.min(), content.max()) if clamp else result)


# --- values -----------------------------------------------------------------------------------------------------------------


@EACH_PRESET
def test_presets_equal_the_published_algorithms(preset: str) -> None:
    content, style = maps(4, 5, 6, 0, batch=2), maps(4, 3, 7, 10, batch=2)
    result = wct(content, style, preset=preset)
    for n in range(2):
        wanted = wct_by_numpy(content[n].flatten(1).numpy(), style[n].flatten(1).numpy(), *PUBLISHED[preset])
        np.testing.assert_allclose(result[n].flatten(1).numpy(), wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("preset", ["paper", "pytorchwct", "wct2"])
def test_fewer_positions_than_channels_equal_the_published_algorithms(preset: str) -> None:
    """Rank 4 of 7: what the cutoff drops lies twelve orders of magnitude below what it keeps."""
    content, style = maps(7, 1, 5, 0), maps(7, 5, 1, 10)
    wanted = wct_by_numpy(content[0].flatten(1).numpy(), style[0].flatten(1).numpy(), *PUBLISHED[preset])
    np.testing.assert_allclose(wct(content, style, preset=preset)[0].flatten(1).numpy(), wanted, rtol=0, atol=1e-8)


def test_whiten_and_color_is_pytorchwct_s() -> None:
    content, style = features(4, 30, 0), features(4, 21, 10)
    wanted = wct_by_numpy(content.numpy(), style.numpy(), *PUBLISHED["pytorchwct"])
    np.testing.assert_allclose(whiten_and_color(content, style).numpy(), wanted, rtol=0, atol=1e-11)


def test_explicit_numbers_replace_the_preset_s() -> None:
    content, style = maps(4, 5, 6, 0), maps(4, 3, 7, 10)
    ridges = wct(content, style, content_ridge=0.25, style_ridge=0.5, cutoff=0.75)
    wanted = wct_by_numpy(content[0].flatten(1).numpy(), style[0].flatten(1).numpy(), 0.25, 0.5, 0.75, False)
    np.testing.assert_allclose(ridges[0].flatten(1).numpy(), wanted, rtol=0, atol=1e-11)
    torch.testing.assert_close(wct(content, style, content_ridge=1.0), wct(content, style, preset="pytorchwct"))
    torch.testing.assert_close(wct(content, style, preset="pytorchwct", content_ridge=0.0), wct(content, style))


@pytest.mark.parametrize("preset", ["paper", "collab"])
def test_wct_gives_the_style_s_mean_and_covariance(preset: str) -> None:
    content, style = maps(5, 6, 7, 0), maps(5, 4, 9, 10)
    result, wanted = wct(content, style, preset=preset)[0].flatten(1), style[0].flatten(1)
    torch.testing.assert_close(result.mean(1), wanted.mean(1), rtol=0, atol=1e-10)
    torch.testing.assert_close(result.cov(), wanted.cov(), rtol=0, atol=1e-9)


def test_directions_below_the_cutoff_are_left_out() -> None:
    """Content varies in one direction of variance 4 and one of 1e-6; style in both alike."""
    content = (ORTHOGONAL[:2] * torch.tensor([[2.0], [1e-3]])).view(1, 2, 2, 2)
    style = ORTHOGONAL[:2].view(1, 2, 2, 2)
    assert wct(content, style)[0, 1].abs().max() < 1e-12
    torch.testing.assert_close(wct(content, style, cutoff=1e-7), style)


def test_alpha_blends_content_and_transform() -> None:
    content, style = maps(3, 4, 5, 0), maps(3, 4, 4, 10)
    full = wct(content, style)
    assert torch.equal(wct(content, style, alpha=0.0), content)
    torch.testing.assert_close(wct(content, style, alpha=0.25), 0.25 * full + 0.75 * content)
    torch.testing.assert_close(wct(content, style, alpha=1.5), 1.5 * full - 0.5 * content)


def test_wct2_stays_within_the_content_s_range() -> None:
    content, style = maps(3, 4, 5, 0, batch=2), maps(3, 4, 4, 10, batch=2) * 10
    result = wct(content, style, preset="wct2")
    for n in range(2):
        assert (result[n].min(), result[n].max()) == (content[n].min(), content[n].max())


@pytest.mark.parametrize("batch", [1, 17])
def test_pictures_of_a_batch_do_not_mix(batch: int) -> None:
    content, style = maps(3, 3, 4, 0, batch), maps(3, 4, 2, 50, batch)
    alone = torch.cat([wct(content[n : n + 1], style[n : n + 1]) for n in range(batch)])
    torch.testing.assert_close(wct(content, style), alone, rtol=0, atol=1e-11)


def test_layout_of_memory_does_not_matter() -> None:
    content, style = maps(3, 4, 5, 0, batch=2), maps(3, 5, 3, 10, batch=2)
    wanted = wct(content, style)
    for layout in (content.to(memory_format=torch.channels_last), content.mT.contiguous().mT):
        torch.testing.assert_close(wct(layout, style.to(memory_format=torch.channels_last)), wanted, rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_arithmetic_is_float64_whatever_the_type(dtype: torch.dtype) -> None:
    content, style = maps(3, 4, 5, 0).to(dtype), maps(3, 5, 3, 10).to(dtype)
    assert torch.equal(wct(content, style), wct(content.double(), style.double()).to(dtype))
    flat = content[0].flatten(1), style[0].flatten(1)
    assert torch.equal(whiten_and_color(*flat), whiten_and_color(flat[0].double(), flat[1].double()).to(dtype))
    assert wct(content, style.double()).dtype == torch.float64


def test_autocast_changes_nothing() -> None:
    content, style = maps(3, 4, 5, 0).float(), maps(3, 5, 3, 10).float()
    with torch.autocast("cpu", torch.bfloat16):
        result = wct(content, style)
    assert result.dtype == torch.float32
    assert torch.equal(result, wct(content, style))


def test_empty_batch_gives_an_empty_result() -> None:
    for preset in PRESETS:
        assert wct(torch.ones(0, 3, 4, 5), torch.ones(0, 3, 2, 2), preset=preset).shape == (0, 3, 4, 5)


# --- degenerate covariances -------------------------------------------------------------------------------------------------


def finite_with_gradients(function: Callable[..., Tensor], content: Tensor, style: Tensor) -> Tensor:
    inputs = [content.clone().requires_grad_(), style.clone().requires_grad_()]
    result = function(*inputs)
    assert result.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(result.square().sum(), inputs))
    return result.detach()


@pytest.mark.parametrize("positions", [1, 2, 64, 256, 511, 512, 513])
def test_any_number_of_positions_for_512_channels(positions: int) -> None:
    generator = torch.Generator().manual_seed(positions)
    content, style = torch.randn(2, 1, 512, positions, 1, generator=generator)
    result = finite_with_gradients(wct, content, style)
    torch.testing.assert_close(result.mean((2, 3)), style.mean((2, 3)), rtol=0, atol=1e-5)
    if positions > 1:
        rank = min(511, positions - 1)
        # Whitened content has variance 1 in each of `rank` directions: full rank hands the style's variance on.
        share = result.var((2, 3)).sum() / style.var((2, 3)).sum()
        assert 0.5 * rank / 512 < share < 1.01


@EACH_PRESET
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_and_single_features_become_the_style_s_mean(preset: str, dtype: torch.dtype) -> None:
    style = maps(3, 4, 4, 0).to(dtype)
    mean = style.mean((2, 3), keepdim=True)
    for content in (torch.full((1, 3, 2, 3), 0.1, dtype=dtype), torch.full((1, 3, 1, 1), 3.0, dtype=dtype)):
        result = finite_with_gradients(lambda c, s: wct(c, s, preset=preset), content, style)
        wanted = mean.clamp(content.min(), content.max()) if preset == "wct2" else mean
        torch.testing.assert_close(result, wanted.expand_as(content))
        back = finite_with_gradients(lambda c, s: wct(c, s, preset=preset), style, content)
        if preset != "wct2":  # whose ridge on the style leaves the whitened content in
            torch.testing.assert_close(back, content[..., :1, :1].expand_as(back))


@EACH_PRESET
def test_missing_directions_stay_finite(preset: str) -> None:
    full = maps(4, 3, 5, 0).float()
    repeated, constant = full.clone(), full.clone()
    repeated[:, 2] = repeated[:, 0]
    constant[:, 1] = 0.3
    for degenerate in (repeated, constant, torch.zeros_like(full), full * 1e-6, full * 1e6, full + 1e4):
        for content, style in ((degenerate, full), (full, degenerate), (degenerate, degenerate)):
            finite_with_gradients(lambda c, s: wct(c, s, preset=preset), content, style)


def test_noise_of_missing_directions_does_not_reach_the_result() -> None:
    """Cutoffs far below float64's rounding give what a sensible one gives."""
    content, style = maps(6, 1, 4, 0), maps(6, 5, 5, 10)
    wanted = wct(content, style)
    for cutoff in (1e-100, 0.0):
        torch.testing.assert_close(wct(content, style, cutoff=cutoff), wanted, rtol=0, atol=1e-8)


# --- gradients --------------------------------------------------------------------------------------------------------------


@EACH_PRESET
def test_gradients(preset: str) -> None:
    content, style = maps(3, 2, 3, 0).requires_grad_(), maps(3, 2, 2, 10).requires_grad_()
    assert torch.autograd.gradcheck(lambda c, s: wct(c, s, 0.7, preset), (content, style), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("preset", ["paper", "pytorchwct", "collab"])
def test_gradients_where_all_eigenvalues_coincide(preset: str) -> None:
    content, style = (ORTHOGONAL.view(1, 3, 2, 2) * scale for scale in (1.0, 2.0))
    inputs = content.clone().requires_grad_(), style.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda c, s: wct(c, s, preset=preset), inputs, atol=1e-6, rtol=1e-6)


def test_gradients_where_directions_are_dropped() -> None:
    """Ranks 1 of 3 and 2 of 3: derivatives across the cutoff, and none within what is dropped."""
    content, style = maps(3, 1, 2, 0).requires_grad_(), maps(3, 1, 3, 10).requires_grad_()
    assert torch.autograd.gradcheck(wct, (content, style), atol=1e-5, rtol=1e-5)


def test_gradients_of_whiten_and_color() -> None:
    content, style = features(3, 5, 0).requires_grad_(), features(3, 4, 10).requires_grad_()
    assert torch.autograd.gradcheck(whiten_and_color, (content, style), atol=1e-6, rtol=1e-6)


def test_gradient_that_is_not_contiguous() -> None:
    content, style = maps(3, 2, 4, 0).requires_grad_(), maps(3, 3, 3, 10).requires_grad_()
    output = wct(content, style)
    upstream = maps(3, 4, 2, 20).mT
    mine = torch.autograd.grad(output, (content, style), upstream, retain_graph=True)
    for a, b in zip(mine, torch.autograd.grad(output, (content, style), upstream.contiguous()), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


# --- errors -----------------------------------------------------------------------------------------------------------------

FEAT = torch.ones(2, 3, 4, 4)
ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: wct(FEAT[0], FEAT), "^content_feat: "),
    (lambda: wct(FEAT, FEAT[..., :0]), "^style_feat: "),
    (lambda: wct(FEAT, FEAT[:1]), "^batch and channels of content and style "),
    (lambda: wct(FEAT, FEAT, preset="wct3"), "^preset: expected one of paper, pytorchwct, wct2, collab, got 'wct3'$"),
    (lambda: wct(FEAT, FEAT, content_ridge=-1.0), "^content_ridge: "),
    (lambda: wct(FEAT, FEAT, style_ridge=float("nan")), "^style_ridge: "),
    (lambda: wct(FEAT, FEAT, cutoff=-1e-9), "^cutoff: expected at least 0, got -1e-09$"),
    (lambda: whiten_and_color(FEAT, FEAT), "^content_feat: "),
    (lambda: whiten_and_color(FEAT[0, 0], FEAT[0]), "^style_feat: "),
    (lambda: whiten_and_color(FEAT[0, 0], FEAT[0, 0, :2]), "^channels of content and style "),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_arguments_that_cannot_be_meant(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(torch.linalg.LinAlgError):
        wct(FEAT * float("nan"), FEAT)
