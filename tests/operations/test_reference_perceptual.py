"""Gram matrices and perceptual losses against sums in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from fastnst.reference import gram_matrix, perceptual_loss


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def gram_by_loops(feat: Tensor) -> Tensor:
    values = feat.numpy()
    batch, channels = values.shape[:2]
    gram = np.zeros((batch, channels, channels))
    for n, i, j in np.ndindex(gram.shape):
        gram[n, i, j] = np.sum(values[n, i] * values[n, j]) / values[n].size
    return torch.from_numpy(gram)


def levels(seed: int) -> list[Tensor]:
    return [random(2, 3, 4, 6, seed=seed), random(2, 5, 2, 3, seed=seed + 1)]


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (17, 2, 3, 1), (2, 4, 1, 1)])
def test_gram_matrix_equals_loops(shape: tuple[int, ...]) -> None:
    feat = random(*shape) + 1
    torch.testing.assert_close(gram_matrix(feat), gram_by_loops(feat), rtol=1e-13, atol=1e-15)


def test_gram_matrix_of_constant_features() -> None:
    assert gram_matrix(torch.full((1, 2, 3, 4), 6.0)).tolist() == [[[18.0, 18.0], [18.0, 18.0]]]
    assert gram_matrix(torch.ones(0, 3, 4, 4)).shape == (0, 3, 3)


def test_layout_of_memory_does_not_matter() -> None:
    feat = random(2, 3, 4, 5)
    for layout in (feat.to(memory_format=torch.channels_last), feat.mT.contiguous().mT):
        torch.testing.assert_close(gram_matrix(layout), gram_matrix(feat))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_computed_in_float32(dtype: torch.dtype) -> None:
    feat, target = random(2, 3, 4, 5, dtype=dtype), random(2, 3, 4, 5, seed=1, dtype=dtype)
    assert torch.equal(gram_matrix(feat), gram_matrix(feat.float()).to(dtype))
    loss = perceptual_loss([feat], [target], 1.0, 2.0)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, perceptual_loss([feat.float()], [target.float()], 1.0, 2.0))


def test_sums_beyond_float16_do_not_overflow() -> None:
    """The sum over positions is 2^28, the largest float16 is 65504."""
    feat = torch.full((1, 16, 32, 32), 512.0, dtype=torch.float16)
    assert gram_matrix(feat).unique().tolist() == [2.0**14]


def test_autocast_changes_nothing() -> None:
    feat, target = random(2, 3, 4, 5, dtype=torch.float32), random(2, 3, 4, 5, seed=1, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        gram, loss = gram_matrix(feat), perceptual_loss([feat], [target], 1.0, 2.0)
    assert torch.equal(gram, gram_matrix(feat))
    assert torch.equal(loss, perceptual_loss([feat], [target], 1.0, 2.0))


@pytest.mark.parametrize("error", ["l1", "l2"])
def test_perceptual_loss_is_the_weighted_sum_over_levels(error: str) -> None:
    feats, targets = levels(0), levels(10)

    def mean_error(a: Tensor, b: Tensor) -> float:
        return float(np.mean(np.abs(a.numpy() - b.numpy()) ** (1 if error == "l1" else 2)))

    features = [mean_error(a, b) for a, b in zip(feats, targets, strict=True)]
    styles = [mean_error(gram_by_loops(a), gram_by_loops(b)) for a, b in zip(feats, targets, strict=True)]
    mixed = perceptual_loss(feats, targets, feature_weight=(0, 10), style_weight=[1e4, 3], error=error)
    assert mixed.item() == pytest.approx(10 * features[1] + 1e4 * styles[0] + 3 * styles[1], rel=1e-12)
    both = perceptual_loss(feats, targets, 2.0, 5.0, error)
    assert both.item() == pytest.approx(2 * sum(features) + 5 * sum(styles), rel=1e-12)


def test_perceptual_loss_by_default_is_the_error_of_features() -> None:
    feats, targets = levels(0), levels(10)
    wanted = sum((a - b).square().mean().item() for a, b in zip(feats, targets, strict=True))
    assert perceptual_loss(feats, targets).item() == pytest.approx(wanted, rel=1e-13)
    assert perceptual_loss(feats, feats, 1.0, 1.0).item() == 0
    assert perceptual_loss(feats, targets, 0.0, 0.0).item() == 0


def test_styles_of_pictures_of_other_sizes() -> None:
    feat, target = random(1, 3, 4, 5), random(1, 3, 7, 2, seed=1)
    wanted = (gram_matrix(feat) - gram_matrix(target)).square().mean()
    torch.testing.assert_close(perceptual_loss([feat], [target], 0.0, 1.0), wanted)


@pytest.mark.parametrize("error", ["l1", "l2"])
def test_gradients(error: str) -> None:
    feat, target = random(2, 3, 2, 2).requires_grad_(), random(2, 3, 2, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(gram_matrix, (feat,), atol=1e-6, rtol=1e-6)
    loss = lambda a, b: perceptual_loss([a], [b], 1.0, 2.0, error)  # noqa: E731
    assert torch.autograd.gradcheck(loss, (feat, target), atol=1e-6, rtol=1e-6)


FEAT = torch.ones(2, 3, 4, 4)
ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: gram_matrix(FEAT[0]), "^feat: "),
    (lambda: gram_matrix(FEAT[..., :0]), "^feat: "),
    (lambda: perceptual_loss([], []), "^feats: expected at least one level$"),
    (lambda: perceptual_loss([FEAT], [FEAT, FEAT]), "^numbers of levels of feats and target_feats "),
    (lambda: perceptual_loss([FEAT], [FEAT], (1.0, 2.0)), "values in feature_weight must be equal, got 1 and 2$"),
    (lambda: perceptual_loss([FEAT], [FEAT], 1.0, ()), "values in style_weight must be equal, got 1 and 0$"),
    (lambda: perceptual_loss([FEAT], [FEAT], error="l3"), "^error: expected l1 or l2, got 'l3'$"),
    (lambda: perceptual_loss([FEAT[:0]], [FEAT[:0]]), "^feats: "),
    (lambda: perceptual_loss([FEAT], [FEAT[0]]), "^target_feats: "),
    (lambda: perceptual_loss([FEAT], [FEAT[..., :3]]), "^sizes of a level of feats and target_feats "),
    (lambda: perceptual_loss([FEAT], [FEAT[:, :2]], 0.0, 1.0), "^sizes of a level of feats and target_feats "),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_arguments_that_cannot_be_meant(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
