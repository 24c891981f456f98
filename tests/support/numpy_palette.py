"""The palette step in NumPy and Python's integers, by the text of ``csrc/engine/palette.h``; knows nothing of the engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Colors = tuple[NDArray[np.float64], NDArray[np.float64]]
EPSILON = 1e-5 * 255 * 255


def colors(picture: Pixels) -> Colors:
    """Mean [3] and covariance [3, 3]: each a quotient of exact integers."""
    return weighted_colors(picture, np.ones(picture.shape[:-1], np.int64))


def weighted_colors(picture: Pixels, weights: NDArray[np.int64]) -> Colors:
    """The same of pixels that count as much as their weights, [H, W]."""
    flat, by = picture.reshape(-1, 3).astype(np.int64), weights.reshape(-1, 1)
    n, sums, products = int(by.sum()), (by * flat).sum(0), (by * flat).T @ flat
    spread = [[n * int(products[i, j]) - int(sums[i]) * int(sums[j]) for j in range(3)] for i in range(3)]
    return sums / n, np.array([[float(each) / (float(n) * float(n)) for each in row] for row in spread])


def _spectral(matrix: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors * values**power @ vectors.T)


def color_map(picture: Pixels, style: Pixels, strength: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Matrix [3, 3] and offset [3] in units of 2^-13, but for the rounding of eigenvalues: at most one unit apart."""
    (mean, covariance), (to, target) = colors(picture), colors(style)
    a, b = covariance + EPSILON * np.eye(3), target + EPSILON * np.eye(3)
    root, inverse = _spectral(a, 0.5), _spectral(a, -0.5)
    matrix = strength * (inverse @ _spectral(root @ b @ root, 0.5) @ inverse) + (1 - strength) * np.eye(3)
    offset = strength * to + (1 - strength) * mean - matrix @ mean
    return np.rint(8192 * matrix).astype(np.int64), np.rint(8192 * offset).astype(np.int64)


def apply(matrix: NDArray[np.int64], offset: NDArray[np.int64], picture: Pixels) -> Pixels:
    """A picture with its colours mapped: whole numbers from here on."""
    moved = (picture.astype(np.int64) @ matrix.T + offset + 4096) >> 13
    return np.clip(moved, 0, 255).astype(np.uint8)
