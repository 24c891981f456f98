"""The engine's own eigendecomposition against LAPACK's, on the matrices that covariances can be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fastnst import _engine

Matrix = NDArray[np.float64]


def check(matrix: Matrix) -> None:
    """Values within a few roundings of LAPACK's, orthonormal vectors, and the matrix itself back from both."""
    values, vectors = _engine.eigen(matrix)
    size, n = max(np.abs(matrix).max(), 1e-300), len(matrix)
    bound = 8 * n * np.finfo(float).eps
    np.testing.assert_allclose(np.sort(values) / size, np.linalg.eigvalsh(matrix / size), rtol=0, atol=bound * n)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(n), rtol=0, atol=bound)
    np.testing.assert_allclose((vectors.T * (values / size)) @ vectors, matrix / size, rtol=0, atol=bound)


def rotated(values: Matrix, seed: int = 0) -> Matrix:
    n = len(values)
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))
    matrix: Matrix = (basis * values) @ basis.T
    return (matrix + matrix.T) / 2


@pytest.mark.parametrize("n", [1, 2, 3, 24, 51, 99, 128])
@pytest.mark.parametrize("positions", [1, 5, 300])
def test_covariances_of_any_rank(n: int, positions: int) -> None:
    x = np.random.default_rng(n).normal(size=(n, positions))
    check(x @ x.T)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(24),
        np.ones(51),
        np.repeat([0, 1, 1e-8, 5, 1e4], 20)[:99],
        np.repeat([2.0, 3.0], 64),
        10.0 ** np.linspace(-14, 4, 99),
        10.0 ** -np.arange(30.0),
        np.linspace(-3, 3, 25),
    ],
    ids=["zero", "one", "five repeated", "two repeated", "wide", "wider", "both signs"],
)
def test_repeated_zero_and_graded_values(values: Matrix) -> None:
    check(rotated(values))
    check(np.diag(values))
    check(np.diag(values[::-1]))


@pytest.mark.parametrize("n", [2, 3, 51, 128])
def test_equal_channels(n: int) -> None:
    """Rank one exactly: the rest of the reduction is rounding of rounding, down to where numbers lose their digits."""
    check(np.ones((n, n)))
    check(np.outer(np.arange(n), np.arange(n)).astype(float))


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
def test_any_size_of_numbers(scale: float) -> None:
    check(scale * rotated(np.linspace(0, 1, 20)))


def test_same_bits_again() -> None:
    matrix = rotated(np.linspace(0, 7, 64))
    first, again = _engine.eigen(matrix), _engine.eigen(matrix.copy())
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, again, strict=True))
