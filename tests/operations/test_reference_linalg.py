"""Roots of symmetric matrices: values, and derivatives where eigenvalues coincide, vanish or lie on two sides of a cutoff."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fastnst.reference.linalg import centre, symmetric_inverse_sqrt, symmetric_sqrt

ROOTS = pytest.mark.parametrize("root", [symmetric_sqrt, symmetric_inverse_sqrt])
SPECTRA = {
    "distinct": ([4.0, 2.0, 1.0, 0.5], 0.0),
    "all equal": ([2.0, 2.0, 2.0, 2.0], 0.0),
    "two pairs": ([3.0, 3.0, 1.0, 1.0], 0.0),
    "two dropped": ([3.0, 2.0, 0.1, 0.05], 1.0),
    "equal pair dropped": ([3.0, 2.0, 0.1, 0.1], 1.0),
    "zeros dropped": ([3.0, 3.0, 0.0, 0.0], 1e-5),
}


def with_spectrum(values: list[float], seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    count = len(values)
    basis, _ = torch.linalg.qr(torch.randn(count, count, generator=generator, dtype=torch.float64))
    return (basis * torch.tensor(values, dtype=torch.float64)) @ basis.mT


@pytest.mark.parametrize(("values", "cutoff"), SPECTRA.values(), ids=SPECTRA)
def test_roots_square_to_the_part_above_the_cutoff(values: list[float], cutoff: float) -> None:
    part = with_spectrum([value if value >= cutoff else 0.0 for value in values])
    projector = with_spectrum([float(value >= cutoff) for value in values])
    root, inverse = (function(with_spectrum(values), cutoff) for function in (symmetric_sqrt, symmetric_inverse_sqrt))
    torch.testing.assert_close(root @ root, part, rtol=0, atol=1e-13)
    torch.testing.assert_close(inverse @ part @ inverse, projector, rtol=0, atol=1e-13)


@ROOTS
@pytest.mark.parametrize(("values", "cutoff"), SPECTRA.values(), ids=SPECTRA)
def test_gradient_of_roots(root: Callable[..., Tensor], values: list[float], cutoff: float) -> None:
    matrix = with_spectrum(values).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: root(m, cutoff), (matrix,), atol=1e-6, rtol=1e-6)


@ROOTS
def test_gradient_of_exactly_equal_eigenvalues(root: Callable[..., Tensor]) -> None:
    """Through ``eigh`` itself this is NaN: the derivative of f(M) at the identity is f'(1) times the perturbation."""
    matrix = torch.eye(3, dtype=torch.float64, requires_grad=True)
    weights = torch.arange(9, dtype=torch.float64).view(3, 3)
    (gradient,) = torch.autograd.grad((root(matrix) * weights).sum(), matrix)
    slope = 0.5 if root is symmetric_sqrt else -0.5
    torch.testing.assert_close(gradient, slope * (weights + weights.T) / 2)


@ROOTS
@pytest.mark.parametrize("smallest", [1e-6, 1e-10, 1e-18, 0.0, -1e-18])
def test_noise_and_small_eigenvalues_stay_finite(root: Callable[..., Tensor], smallest: float) -> None:
    matrix = torch.diag(torch.tensor([1.0, 0.5, smallest], dtype=torch.float64)).requires_grad_()
    result = root(matrix, 1e-100)
    result.square().sum().backward()
    assert matrix.grad is not None
    assert result.isfinite().all() and matrix.grad.isfinite().all()
    kept = smallest > 1e-15  # 3 x 2.2e-16 x the largest eigenvalue is what counts as noise
    assert (result[2, 2] != 0) == kept


def test_roots_of_a_batch_are_the_roots_of_its_matrices() -> None:
    batch = torch.stack([with_spectrum([3.0, 2.0, 1.0], seed) for seed in range(3)])
    torch.testing.assert_close(
        symmetric_sqrt(batch), torch.stack([symmetric_sqrt(matrix) for matrix in batch]), rtol=0, atol=1e-14
    )


def test_third_derivatives_are_refused() -> None:
    matrix = with_spectrum([2.0, 1.0]).requires_grad_()
    (first,) = torch.autograd.grad(symmetric_sqrt(matrix).square().sum(), matrix, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), matrix, create_graph=True)
    with pytest.raises(RuntimeError, match="third"):
        second.square().sum().backward()


def test_centre_makes_constant_rows_exactly_zero() -> None:
    values = torch.stack([torch.full((7,), 0.1), torch.arange(7.0), torch.zeros(7)]).double() * 1e3 / 3
    centred, mean = centre(values)
    assert centred[0].eq(0).all() and centred[2].eq(0).all()
    torch.testing.assert_close(centred + mean, values, rtol=1e-15, atol=0)
    assert torch.autograd.gradcheck(lambda v: centre(v)[0], (values[1:2].clone().requires_grad_(),))


def test_centre_has_the_gradient_of_the_plain_difference_in_constant_rows() -> None:
    values = torch.full((1, 4), 0.1, dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    (gradient,) = torch.autograd.grad((centre(values)[0] * weights).sum(), values)
    torch.testing.assert_close(gradient, weights - weights.mean())
