"""AdaIN, its loss and colour matching against plain loops in NumPy, and where their statistics degenerate."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastnst.reference import (
    adaptive_instance_normalization,
    calc_mean_std,
    coral,
    mean_variance_norm,
    renormalize,
    statistics_loss,
    style_statistics_loss,
)

HALVES = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def mean_std_by_loops(feat: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Mean and deviation of one channel after the other, each position by itself."""
    mean, std = torch.zeros(*feat.shape[:2], 1, 1).double(), torch.zeros(*feat.shape[:2], 1, 1).double()
    for n in range(feat.shape[0]):
        for c in range(feat.shape[1]):
            values = feat[n, c].flatten().tolist()
            mean[n, c] = middle = math.fsum(values) / len(values)
            squares = math.fsum((value - middle) ** 2 for value in values)
            std[n, c] = math.sqrt(squares / max(1, len(values) - 1) + eps)
    return mean, std


# --- statistics -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 17])
def test_calc_mean_std_equals_loops(batch: int) -> None:
    feat = random(batch, 3, 5, 7) * 3 + 2
    for mine, wanted in zip(calc_mean_std(feat), mean_std_by_loops(feat), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-13, atol=0)


def test_calc_mean_std_has_the_unbiased_variance_with_eps_inside_the_root() -> None:
    mean, std = calc_mean_std(torch.tensor([0.0, 2.0]).double().view(1, 1, 1, 2), eps=0.25)
    assert mean.item() == 1
    assert std.item() == 1.5  # biased: sqrt(1.25); eps outside: sqrt(2) + 0.25


def test_calc_mean_std_keeps_its_digits_far_from_zero() -> None:
    """Mean / deviation 1000 in float32, where E[x^2] - E[x]^2 is wrong by a quarter."""
    feat = (random(4, 8, 16, 16) + 1000).float()
    mean, std = calc_mean_std(feat)
    exact_mean, exact_std = calc_mean_std(feat.double())
    torch.testing.assert_close(mean.double(), exact_mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(std.double(), exact_std, rtol=1e-5, atol=0)


def test_variance_beyond_float16_does_not_overflow() -> None:
    feat = torch.tensor([-512.0, 512.0], dtype=torch.float16).repeat(1, 1, 8, 4)
    _, std = calc_mean_std(feat)
    assert std.item() == pytest.approx(512 * math.sqrt(64 / 63), rel=1e-3)
    assert mean_variance_norm(feat).abs().min() > 0.99


@HALVES
def test_halves_are_computed_in_float32_and_returned_as_they_came(dtype: torch.dtype) -> None:
    content, style = random(2, 3, 4, 5, dtype=dtype), random(2, 3, 6, 2, seed=1, dtype=dtype)
    wanted = adaptive_instance_normalization(content.float(), style.float())
    assert torch.equal(adaptive_instance_normalization(content, style), wanted.to(dtype))
    assert torch.equal(mean_variance_norm(content), mean_variance_norm(content.float()).to(dtype))
    for mine, single in zip(calc_mean_std(content), calc_mean_std(content.float()), strict=True):
        assert torch.equal(mine, single.to(dtype))
    loss = style_statistics_loss(content, style)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, style_statistics_loss(content.float(), style.float()))


def test_types_are_promoted_as_pytorch_does() -> None:
    single, brain = random(1, 2, 3, 3, dtype=torch.float32), random(1, 2, 3, 3, dtype=torch.bfloat16)
    assert adaptive_instance_normalization(brain, single).dtype == torch.float32
    assert renormalize(brain, *calc_mean_std(single)).dtype == torch.float32
    assert renormalize(brain, *calc_mean_std(brain)).dtype == torch.bfloat16
    assert coral(brain[0], single[0]).dtype == torch.float32


# --- normalisation ----------------------------------------------------------------------------------------------------------


def test_adain_gives_the_style_s_statistics() -> None:
    content, style = random(2, 3, 8, 9) * 50 + 7, random(2, 3, 5, 4, seed=1) * 30 - 4
    mean, std = calc_mean_std(adaptive_instance_normalization(content, style))
    style_mean, style_std = calc_mean_std(style)
    torch.testing.assert_close(mean, style_mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(std, style_std, rtol=1e-7, atol=0)  # eps counts twice: 1e-5 of 50 squared


def test_adain_equals_loops() -> None:
    content, style = random(2, 3, 4, 5), random(2, 3, 2, 3, seed=1)
    (mean, std), (style_mean, style_std) = mean_std_by_loops(content), mean_std_by_loops(style)
    wanted = (content - mean) / std * style_std + style_mean
    torch.testing.assert_close(adaptive_instance_normalization(content, style), wanted, rtol=0, atol=1e-13)
    torch.testing.assert_close(renormalize(content, *calc_mean_std(style)), wanted, rtol=0, atol=1e-13)
    torch.testing.assert_close(mean_variance_norm(content), (content - mean) / std, rtol=0, atol=1e-13)


def test_renormalize_lends_one_style_to_many_contents() -> None:
    contents, style = random(3, 2, 4, 4), random(1, 2, 4, 4, seed=1)
    wanted = adaptive_instance_normalization(contents, style.expand(3, -1, -1, -1))
    assert torch.equal(renormalize(contents, *calc_mean_std(style)), wanted)


def test_layout_of_memory_does_not_matter() -> None:
    content, style = random(2, 4, 6, 5), random(2, 4, 3, 7, seed=1)
    wanted = adaptive_instance_normalization(content, style)
    wide = random(2, 4, 6, 10)
    wide[..., ::2] = content
    for layout in (content.to(memory_format=torch.channels_last), wide[..., ::2], content.mT.contiguous().mT):
        torch.testing.assert_close(adaptive_instance_normalization(layout, style), wanted, rtol=0, atol=1e-14)


def test_gradient_that_is_not_contiguous() -> None:
    content, style = (random(1, 2, 3, 4, seed=seed).requires_grad_() for seed in (0, 1))
    output = adaptive_instance_normalization(content, style)
    upstream = random(1, 2, 4, 3).mT
    mine = torch.autograd.grad(output, (content, style), upstream, retain_graph=True)
    for a, b in zip(mine, torch.autograd.grad(output, (content, style), upstream.contiguous()), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "feat",
    [torch.full((1, 2, 3, 3), 7.0), torch.full((1, 2, 1, 1), 7.0), torch.zeros(1, 2, 2, 2)],
    ids=["constant", "single position", "zero"],
)
def test_constant_channels_have_deviation_root_eps(feat: Tensor) -> None:
    style = random(1, 2, 3, 3, dtype=torch.float32)
    feat = feat.clone().requires_grad_()
    mean, std = calc_mean_std(feat)
    assert torch.equal(mean, feat[..., :1, :1])
    torch.testing.assert_close(std, torch.full_like(std, math.sqrt(1e-5)))
    output = adaptive_instance_normalization(feat, style)
    torch.testing.assert_close(output, calc_mean_std(style)[0].expand_as(feat))
    (output.square().sum() + style_statistics_loss(feat, style)).backward()
    assert feat.grad is not None and feat.grad.isfinite().all()


def test_empty_batch_gives_an_empty_result() -> None:
    content, style = torch.ones(0, 3, 4, 4), torch.ones(0, 3, 2, 2)
    assert adaptive_instance_normalization(content, style).shape == (0, 3, 4, 4)
    assert mean_variance_norm(content).shape == (0, 3, 4, 4)
    assert [statistic.shape for statistic in calc_mean_std(content)] == [(0, 3, 1, 1)] * 2


# --- loss -------------------------------------------------------------------------------------------------------------------


def test_style_statistics_loss_equals_loops() -> None:
    feat, target = random(2, 3, 4, 5), random(2, 3, 6, 2, seed=1) * 2 + 1
    wanted = sum(
        float(np.mean((a.numpy() - b.numpy()) ** 2))
        for a, b in zip(mean_std_by_loops(feat), mean_std_by_loops(target), strict=True)
    )
    assert style_statistics_loss(feat, target).item() == pytest.approx(wanted, rel=1e-13)
    assert torch.equal(statistics_loss(feat, *calc_mean_std(target)), style_statistics_loss(feat, target))
    assert style_statistics_loss(feat, feat.flip(-1)).item() == pytest.approx(0, abs=1e-28)


@pytest.mark.parametrize("function", [adaptive_instance_normalization, style_statistics_loss])
@pytest.mark.parametrize("size", [(2, 3), (1, 1)])
def test_gradients(function: Callable[..., Tensor], size: tuple[int, int]) -> None:
    content, style = (random(2, 2, *size, seed=seed).requires_grad_() for seed in (0, 1))
    assert torch.autograd.gradcheck(function, (content, style), atol=1e-6, rtol=1e-6)


def test_gradients_of_statistics_and_normalisation() -> None:
    feat = random(2, 2, 3, 2).requires_grad_()
    assert torch.autograd.gradcheck(calc_mean_std, (feat,), atol=1e-6, rtol=1e-6)
    assert torch.autograd.gradcheck(mean_variance_norm, (feat,), atol=1e-6, rtol=1e-6)


# --- colour matching --------------------------------------------------------------------------------------------------------


def coral_by_numpy(source: Tensor, target: Tensor) -> NDArray[np.float64]:
    """The published algorithm, step by step: singular value decompositions and an inverse."""

    def prepared(image: Tensor) -> tuple[NDArray[np.float64], ...]:
        flat = image.numpy().reshape(image.shape[0], -1)
        mean, std = flat.mean(1, keepdims=True), flat.std(1, ddof=1, keepdims=True)
        normal = (flat - mean) / std
        return normal, mean, std, normal @ normal.T + np.eye(len(flat))

    def root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        u, d, vt = np.linalg.svd(matrix)
        return np.asarray((u * np.sqrt(d)) @ vt)

    normal, _, _, covariance = prepared(source)
    _, mean, std, wanted = prepared(target)
    return np.asarray(root(wanted) @ (np.linalg.inv(root(covariance)) @ normal) * std + mean).reshape(source.shape)


def picture(height: int, width: int, seed: int) -> Tensor:
    mixing = random(3, 3, seed=seed + 10)
    return torch.einsum("ij,jhw->ihw", mixing, random(3, height, width, seed=seed)) * 0.1 + 0.5


@pytest.mark.parametrize("size", [(8, 9), (5, 4)])
def test_coral_equals_the_published_algorithm(size: tuple[int, int]) -> None:
    source, target = picture(8, 9, 0), picture(*size, 1)
    np.testing.assert_allclose(coral(source, target).numpy(), coral_by_numpy(source, target), rtol=0, atol=1e-12)


def test_coral_gives_the_target_s_mean_and_covariance() -> None:
    source, target = picture(60, 60, 0), picture(60, 60, 1)
    matched = coral(source, target).flatten(1)
    torch.testing.assert_close(matched.mean(1), target.flatten(1).mean(1), rtol=0, atol=1e-12)
    # The identity is 1 / 3600 of the covariance.
    torch.testing.assert_close(
        matched.cov(), target.flatten(1).cov(), rtol=0, atol=1e-3 * target.flatten(1).var(1).max().item()
    )


def test_coral_of_equal_images_changes_nothing() -> None:
    image = picture(6, 7, 0)
    torch.testing.assert_close(coral(image, image), image, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "image",
    [torch.full((3, 4, 4), 0.1).double(), torch.full((3, 1, 1), 0.3), torch.ones(3, 4, 4) * random(1, 4, 4).float()],
    ids=["constant", "single position", "grey"],
)
def test_coral_stays_finite_where_colours_degenerate(image: Tensor) -> None:
    other = picture(4, 4, 1).to(image.dtype)
    for source, target in ((image, other), (other, image), (image, image)):
        inputs = [source.clone().requires_grad_(), target.clone().requires_grad_()]
        result = coral(*inputs)
        assert result.isfinite().all()
        assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(result.square().sum(), inputs))
    if image.flatten(1).std(1, correction=0).max() < 1e-6:
        torch.testing.assert_close(coral(image, other), other.mean((1, 2), keepdim=True).expand_as(image))


def test_gradients_of_coral() -> None:
    source, target = picture(3, 2, 0).requires_grad_(), picture(2, 3, 1).requires_grad_()
    assert torch.autograd.gradcheck(coral, (source, target), atol=1e-6, rtol=1e-6)


def test_gradients_of_coral_where_eigenvalues_coincide() -> None:
    """Uncorrelated channels: both matrices are multiples of the identity."""
    rows = torch.tensor([[1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]).double().view(3, 2, 2)
    source, target = rows.clone().requires_grad_(), (rows * 2 + 1).requires_grad_()
    assert torch.autograd.gradcheck(coral, (source, target), atol=1e-6, rtol=1e-6)


@HALVES
def test_coral_of_halves(dtype: torch.dtype) -> None:
    source, target = picture(5, 5, 0).to(dtype), picture(5, 5, 1).to(dtype)
    assert torch.equal(coral(source, target), coral(source.double(), target.double()).to(dtype))


# --- errors -----------------------------------------------------------------------------------------------------------------

FEAT = torch.ones(2, 3, 4, 4)
STATISTIC = torch.ones(2, 3, 1, 1)
ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: calc_mean_std(torch.ones(3, 4, 4)), "^feat: .* got torch.float32 "),
    (lambda: calc_mean_std(torch.ones(2, 3, 0, 4)), "^feat: "),
    (lambda: calc_mean_std(torch.ones(2, 3, 4, 4, dtype=torch.uint8)), "^feat: .* torch.uint8"),
    (lambda: calc_mean_std(FEAT, eps=-1.0), "^eps: "),
    (lambda: calc_mean_std(FEAT, eps=math.nan), "^eps: "),
    (lambda: mean_variance_norm(FEAT[0]), "^feat: "),
    (lambda: adaptive_instance_normalization(FEAT[0], FEAT), "^content_feat: "),
    (lambda: adaptive_instance_normalization(FEAT, FEAT[0]), "^style_feat: "),
    (lambda: adaptive_instance_normalization(FEAT, FEAT[:1]), "^batch and channels of content and style .* "),
    (lambda: adaptive_instance_normalization(FEAT, FEAT[:, :2]), "^batch and channels of content and style "),
    (lambda: renormalize(FEAT[0], STATISTIC, STATISTIC), "^content_feat: "),
    (lambda: renormalize(FEAT, STATISTIC[:, :2], STATISTIC), "^style_mean: "),
    (lambda: renormalize(FEAT, STATISTIC, FEAT), "^style_std: "),
    (lambda: style_statistics_loss(FEAT[:0], FEAT[:0]), "^feat: "),
    (lambda: style_statistics_loss(FEAT, FEAT[0]), "^target_feat: "),
    (lambda: style_statistics_loss(FEAT, FEAT[:1]), "^batch and channels of feat and target "),
    (lambda: statistics_loss(FEAT[0], STATISTIC, STATISTIC), "^feat: "),
    (lambda: statistics_loss(FEAT, STATISTIC[:1], STATISTIC), "target_mean must be equal"),
    (lambda: statistics_loss(FEAT, STATISTIC, STATISTIC[:1]), "target_std must be equal"),
    (lambda: coral(FEAT, FEAT[0]), "^source: "),
    (lambda: coral(FEAT[0], FEAT), "^target: "),
    (lambda: coral(FEAT[0], FEAT[0, :2]), "^channels of source and target "),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_arguments_that_cannot_be_meant(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
