"""Colour transfer against the same formula in NumPy, what it promises of moments, and where pictures degenerate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastnst.reference import color_transfer
from fastnst.reference.color import COLOR_EPS, color_moments

Array = NDArray[np.float64]


def picture(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Colours in 0..1 whose channels depend on one another."""
    values = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (0.5 * values + 0.4 * values[:, :1] + 0.1 * values[:, -1:]).to(dtype)


def power(matrix: Array, exponent: float) -> Array:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**exponent) @ vectors.T


def transferred(source: Array, target: Array, strength: float, eps: float) -> Array:
    """One picture [C, H, W], position by position."""
    channels = len(source)
    colors, wanted = source.reshape(channels, -1).T, target.reshape(channels, -1).T
    a, b = (
        np.cov(each, rowvar=False, bias=True).reshape(channels, channels) + eps * np.eye(channels) for each in (colors, wanted)
    )
    root, inverse = power(a, 0.5), power(a, -0.5)
    matrix = inverse @ power(root @ b @ root, 0.5) @ inverse
    moved = [strength * (matrix @ (x - colors.mean(0)) + wanted.mean(0)) + (1 - strength) * x for x in colors]
    return np.stack(moved, 1).reshape(source.shape)


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("images", [1, 2])
def test_equals_the_formula_in_numpy(images: int, channels: int, strength: float) -> None:
    """A target of one picture is that of every source."""
    source, target = picture(2, channels, 5, 7), picture(images, channels, 9, 4, seed=1) * 0.7
    result = color_transfer(source, target, strength, 0.01)
    for n in range(2):
        wanted = transferred(source[n].numpy(), target[n % images].numpy(), strength, 0.01)
        np.testing.assert_allclose(result[n].numpy(), wanted, rtol=1e-12, atol=1e-12)


def test_the_result_has_the_targets_moments() -> None:
    source, target = picture(2, 3, 20, 30), picture(2, 3, 15, 11, seed=1) * 0.5 + 0.3
    result = color_transfer(source, target, eps=1e-12)
    for mine, wanted in zip(color_moments(result), color_moments(target), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-8, atol=1e-10)


def test_nothing_is_moved_where_nothing_is_asked_for() -> None:
    source, target = picture(2, 3, 5, 7), picture(2, 3, 4, 4, seed=1)
    torch.testing.assert_close(color_transfer(source, target, 0.0), source, rtol=0, atol=1e-15)
    torch.testing.assert_close(color_transfer(source, source), source, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_a_constant_source_becomes_the_targets_mean(strength: float) -> None:
    source, target = torch.full((1, 3, 4, 5), 0.25).double(), picture(1, 3, 6, 6, seed=1)
    wanted = strength * target.mean((2, 3), keepdim=True) + (1 - strength) * source
    torch.testing.assert_close(color_transfer(source, target, strength), wanted, rtol=0, atol=1e-12)


def test_one_position_is_a_constant() -> None:
    source, target = picture(2, 3, 1, 1), picture(2, 3, 1, 1, seed=1)
    torch.testing.assert_close(color_transfer(source, target), target, rtol=0, atol=1e-12)


def test_grey_pictures_stay_grey() -> None:
    """Two of three eigenvalues are eps, in both pictures: the map leaves them alone."""
    source, target = (picture(1, 1, 8, 9, seed=seed).expand(-1, 3, -1, -1) for seed in (0, 1))
    result = color_transfer(source, target * 0.5)
    assert (result - result[:, :1]).abs().max() < 1e-9
    torch.testing.assert_close(result.mean((2, 3)), target.mean((2, 3)) * 0.5)


def test_an_empty_batch_has_an_empty_result() -> None:
    nothing = torch.ones(0, 3, 4, 5)
    for target in (nothing, torch.ones(1, 3, 2, 2)):
        assert color_transfer(nothing, target).shape == (0, 3, 4, 5)


@pytest.mark.parametrize(
    "types", [("float16",) * 2, ("bfloat16",) * 2, ("bfloat16", "float32"), ("float16", "float64")], ids=str
)
def test_types_are_widened_and_promoted(types: tuple[str, str]) -> None:
    dtypes = [getattr(torch, each) for each in types]
    source, target = picture(1, 3, 9, 9, dtype=dtypes[0]), picture(1, 3, 8, 8, seed=1, dtype=dtypes[1])
    result = color_transfer(source, target)
    assert result.dtype == torch.promote_types(*dtypes)
    wanted = color_transfer(source.double(), target.double())
    torch.testing.assert_close(result.double(), wanted, rtol=torch.finfo(result.dtype).eps, atol=1e-5)


def test_autocast_changes_nothing() -> None:
    source, target = picture(1, 3, 9, 9, dtype=torch.float32), picture(1, 3, 8, 8, seed=1, dtype=torch.float32)
    wanted = color_transfer(source, target)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(color_transfer(source, target), wanted)


@pytest.mark.parametrize("strength", [0.3, 1.0])
@pytest.mark.parametrize("images", [1, 2])
def test_gradients(images: int, strength: float) -> None:
    source, target = picture(2, 3, 3, 4).requires_grad_(), picture(images, 3, 4, 2, seed=1).requires_grad_()
    transfer = lambda x, y: color_transfer(x, y, strength, 0.01)  # noqa: E731
    assert torch.autograd.gradcheck(transfer, (source, target))
    assert torch.autograd.gradgradcheck(transfer, (source, target))


def test_gradients_where_eigenvalues_coincide() -> None:
    """A constant source: all of its covariance's eigenvalues are eps. No derivative of vectors is finite there."""
    source = torch.full((1, 3, 2, 3), 0.5).double().requires_grad_()
    target = picture(1, 3, 4, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: color_transfer(x, y, 1.0, 0.01), (source, target))


X = torch.ones(2, 3, 4, 4)
ERRORS: list[tuple[Callable[[], object], str]] = [
    (lambda: color_transfer(X[0], X), "^source: expected floating-point values .* got torch.float32 .3, 4, 4.$"),
    (lambda: color_transfer(X, X[0]), "^target: expected floating-point values"),
    (lambda: color_transfer(X.byte(), X), "^source: expected floating-point values"),
    (lambda: color_transfer(X[..., :0], X), "^source: expected floating-point values"),
    (lambda: color_transfer(X, X[:, :2]), "^channels of source and target must be equal, got 3 and 2$"),
    (lambda: color_transfer(X[:1], X), "^target: expected a batch of 1 or as many as source has, 1, got 2$"),
    (lambda: color_transfer(X, X[:0]), "^target: expected a batch of 1 or as many as source has, 2, got 0$"),
    (lambda: color_transfer(X, X, -0.1), "^strength: expected 0 to 1, got -0.1$"),
    (lambda: color_transfer(X, X, 1.5), "^strength: expected 0 to 1, got 1.5$"),
    (lambda: color_transfer(X, X, float("nan")), "^strength: expected 0 to 1, got nan$"),
    (lambda: color_transfer(X, X, eps=0.0), "^eps: expected more than 0, got 0.0$"),
    (lambda: color_transfer(X, X, eps=float("nan")), "^eps: expected more than 0, got nan$"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_arguments_that_cannot_be_meant(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_eps_is_less_than_a_step_of_8_bits() -> None:
    assert COLOR_EPS < (1 / 255) ** 2
