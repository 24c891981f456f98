"""Filling by pull and push of a whole picture in NumPy, by the text of ``csrc/base/hidden.h``; knows nothing of the engine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Integers = NDArray[np.int64]


def filled(rgb: Pixels, alpha: Pixels) -> Pixels:
    """``rgb``, [H, W, 3], with the colours around them where ``alpha``, [H, W], is 0."""
    weights = alpha.astype(np.int64)[..., None]
    whole = (_colors(np.concatenate([rgb * weights, weights], axis=2)) + 128) >> 8
    return np.where(weights > 0, rgb, whole).astype(np.uint8)


def _halved(sums: Integers) -> Integers:
    """Sums of four; what is beyond the last row or column is transparent."""
    padded = np.pad(sums, ((0, len(sums) % 2), (0, sums.shape[1] % 2), (0, 0)))
    rows = padded[::2] + padded[1::2]
    return np.asarray(rows[:, ::2] + rows[:, 1::2])


def _colors(sums: Integers) -> Integers:
    """The colour of every pixel, in 1/256: its own where something of it is visible, else pushed from the halved picture."""
    weights = np.maximum(sums[..., 3:], 1)
    means = (sums[..., :3] * 256 + weights // 2) // weights
    if (sums[..., 3] > 0).all():
        return np.asarray(means)
    if sums.shape[:2] == (1, 1):
        return np.full((1, 1, 3), 127 << 8)
    return np.where(sums[..., 3:] > 0, means, _enlarged(_colors(_halved(sums)), sums.shape[:2]))


def _enlarged(colors: Integers, size: tuple[Any, ...]) -> Integers:
    """Twice the size, or one row or column less: each new pixel is 3/4 the one it lies in and 1/4 the next, both ways."""
    for axis, length in enumerate(size):
        at = np.arange(length)
        near = at // 2
        far = np.clip(near + np.where(at % 2, 1, -1), 0, colors.shape[axis] - 1)
        colors = (3 * colors.take(near, axis) + colors.take(far, axis) + 2) >> 2
    return colors
