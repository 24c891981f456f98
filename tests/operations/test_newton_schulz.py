"""The Newton-Schulz roots on the CPU: their table of coefficients, and both directions against eigenvectors in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastnst.kernels import newton_schulz
from fastnst.reference.linalg import centre, symmetric_inverse_sqrt, symmetric_sqrt

BOTH = pytest.mark.parametrize("inverse", [False, True], ids=["root", "inverse"])


def minimax_quintic(low: float, high: float) -> tuple[NDArray[np.float64], float]:
    """The odd polynomial of degree 5 that is closest to 1 on [low, high], and its error, by Remez' exchange."""
    inner = np.array([3 * low + high, low + 3 * high]) / 4
    while True:
        points = np.array([low, *inner, high])
        a, b, c, error = np.linalg.solve(np.stack([points, points**3, points**5, [1, -1, 1, -1]], 1), np.ones(4))
        extremes = np.sqrt((-3 * b + np.array([-1, 1]) * np.sqrt(9 * b * b - 20 * a * c)) / (10 * c))
        extremes.sort()
        if np.abs(extremes - inner).max() < 1e-12:
            return np.array([a, b, c]), abs(error)
        inner = extremes


def test_schedule_is_the_greedy_minimax_one() -> None:
    low, high = 1e-4, 1.0
    for step in newton_schulz.SCHEDULE[:-1]:
        wanted, error = minimax_quintic(low, high)
        # Towards the end the interval is narrow and the system for the coefficients loses digits.
        np.testing.assert_allclose(step, wanted, rtol=1e-9 if error > 0.1 else 1e-6)
        low, high = 1 - error, 1 + error
    assert high - 1 < 2e-5
    points = np.linspace(low, high, 1001)
    a, b, c = newton_schulz.SCHEDULE[-1]
    assert np.abs(a * points + b * points**3 + c * points**5 - 1).max() < 1e-14


# Eigenvalues i^-2, as covariances of pictures have them; falling by 10^6; equal ones; fewer positions than channels.
SPECTRA = {
    "square": lambda i: i**-2.0,
    "steep": lambda i: 1e-6 ** ((i - 1) / (i.max() - 1)),
    "pairs": lambda i: (i + i % 2) ** -1.0,
    "equal": torch.ones_like,
}


def covariance(spectrum: str, channels: int, positions: int, batch: int = 1) -> Tensor:
    """Of features that are scaled to deviations up to 20."""
    generator = torch.Generator().manual_seed(channels + positions)
    numbers = torch.randn(batch, channels, channels + positions, generator=generator, dtype=torch.float64)
    basis, _ = torch.linalg.qr(numbers[..., :channels])
    weights = SPECTRA[spectrum](torch.arange(1, channels + 1, dtype=torch.float64)).sqrt()
    centred, _ = centre(20 * (basis * weights) @ numbers[..., channels:])
    return centred @ centred.mT / (positions - 1)


def with_ridge(matrix: Tensor, share: float) -> Tensor:
    """Plus ``share`` of the largest eigenvalue on the diagonal."""
    largest = torch.linalg.eigvalsh(matrix)[:, -1].amax()
    return matrix + share * largest * torch.eye(matrix.shape[-1], dtype=matrix.dtype)


def error(got: Tensor, wanted: Tensor) -> float:
    return float((got - wanted).norm() / wanted.norm())


def check(matrix: Tensor, inverse: bool, bound: float) -> None:
    """Root and gradient, in relation to the whole; both have errors of about the condition times 1e-16."""
    matrix.requires_grad_()
    wanted = (symmetric_inverse_sqrt if inverse else symmetric_sqrt)(matrix)
    grad = torch.randn(matrix.shape, generator=torch.Generator().manual_seed(1), dtype=matrix.dtype)
    (gradient,) = torch.autograd.grad(wanted, matrix, grad)
    root = newton_schulz.root(matrix.detach(), inverse)
    assert error(root, wanted.detach()) < bound
    assert torch.equal(root, root.mT)
    assert error(newton_schulz.root_backward(grad, root, inverse), gradient) < 10 * bound


@BOTH
@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize(("channels", "positions"), [(5, 40), (64, 500), (48, 49)])
def test_roots_and_gradients(spectrum: str, channels: int, positions: int, inverse: bool) -> None:
    check(with_ridge(covariance(spectrum, channels, positions, 2), 1e-6), inverse, 1e-9)


@BOTH
def test_fewer_positions_than_channels(inverse: bool) -> None:
    """Half of the eigenvalues are the ridge, 1e-8 of the largest: the smallest that the schedule is for."""
    check(with_ridge(covariance("square", 64, 33), 1e-8), inverse, 1e-7)


def test_square_root_without_a_ridge() -> None:
    check(covariance("square", 32, 400), False, 1e-11)


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_square_root_without_full_rank(spectrum: str) -> None:
    """Its gradient, between directions that are there and others that lack, is that of the reference, which drops these."""
    matrix = covariance(spectrum, 24, 13).requires_grad_()
    wanted = symmetric_sqrt(matrix)
    grad = torch.randn(matrix.shape, generator=torch.Generator().manual_seed(1), dtype=matrix.dtype)
    (gradient,) = torch.autograd.grad(wanted, matrix, grad)
    root = newton_schulz.root(matrix.detach(), False)
    assert error(root, wanted.detach()) < 1e-7
    # Eigenvalues of 0 come as 1e-16, whose roots are 1e-8: what the iteration sees of them is below 1e-3 of the whole.
    assert error(newton_schulz.root_backward(grad, root, False), gradient) < 1e-3


def test_negligible_eigenvalues_change_a_square_root_by_less_than_a_thousandth() -> None:
    matrix = covariance("square", 64, 500)
    values, vectors = torch.linalg.eigh(matrix)
    kept = torch.where(values < 1e-6 * values[..., -1:], 0, values)
    steep = (vectors * (kept + 1e-8 * values[..., -1:]).unsqueeze(-2)) @ vectors.mT
    assert error(newton_schulz.root(steep, False), symmetric_sqrt(matrix)) < 1e-3


@BOTH
def test_exact_multiples_of_the_identity(inverse: bool) -> None:
    matrix = torch.tensor([0.25, 4e6]).double().view(2, 1, 1) * torch.eye(7, dtype=torch.float64)
    wanted = matrix.diagonal(dim1=1, dim2=2) ** (-0.5 if inverse else 0.5)
    torch.testing.assert_close(newton_schulz.root(matrix, inverse), torch.diag_embed(wanted), rtol=1e-14, atol=0)


def test_zeros_have_a_root_of_zeros_and_no_gradient() -> None:
    zeros = torch.zeros(2, 3, 3, dtype=torch.float64)
    assert not newton_schulz.root(zeros, False).any()
    assert not newton_schulz.root_backward(torch.ones_like(zeros), zeros, False).any()


@BOTH
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_with_its_matrix(value: float, inverse: bool) -> None:
    matrix = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    matrix[1, 0, 2] = matrix[1, 2, 0] = value
    root = newton_schulz.root(matrix, inverse)
    assert root[0].isfinite().all() and root[1].isnan().all()


def test_lyapunov_equation_is_solved() -> None:
    s = symmetric_sqrt(with_ridge(covariance("square", 20, 50, 2), 1e-4))
    right = newton_schulz.symmetric(torch.randn(2, 20, 20, generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    solution = newton_schulz.lyapunov(s, right)
    assert error(s @ solution + solution @ s, right) < 1e-11
