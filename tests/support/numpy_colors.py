"""What the colour modes of ``csrc/base`` compute, in NumPy and in integers of any size."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.int64]

_ONE = 1 << 16
_TO_XYZ = np.array([[28439, 24656, 12441], [13938, 46868, 4730], [1164, 7174, 57198]], np.int64)
_FROM_XYZ = np.array([[201848, -100738, -35574], [-60376, 122947, 2965], [3466, -13371, 75441]], np.int64)


def keep_lab(content: Pixels, styled: Pixels) -> Pixels:
    """The L* of ``styled`` with the a* and b* of ``content``, uint8 [H, W, 3]."""
    own = _roots()[_relative(content)]
    lightness = _roots()[_relative(styled)[..., 1]]
    moved = own + (lightness - own[..., 1])[..., None]
    return _encoding()[np.clip(_product(_cubed(moved), _FROM_XYZ), 0, _ONE)]


def level_tables(own: Numbers, wanted: Numbers) -> Pixels:
    """The level that each becomes, of histograms [3, 256] with the same sums."""
    ranks = 2 * np.cumsum(own, axis=1) - own
    found = [np.searchsorted(2 * np.cumsum(other), rank) for other, rank in zip(wanted, ranks, strict=True)]
    return np.minimum(found, 255).astype(np.uint8)


def _relative(pixels: Pixels) -> Numbers:
    """X/Xn, Y/Yn and Z/Zn of sRGB, in 1/65536."""
    return _product(np.array([_linear(level, 255) for level in range(256)])[pixels], _TO_XYZ)


def _product(numbers: Numbers, matrix: Numbers) -> Numbers:
    return (numbers @ matrix.T + (_ONE >> 1)) >> 16


def _cubed(roots: Numbers) -> Numbers:
    cubes = (roots * roots * roots + (1 << 31)) >> 32
    lines = ((29 * roots - 4 * _ONE) * 108 + 29 * 841 // 2) // (29 * 841)
    return np.where(29 * roots > 6 * _ONE, cubes, lines)


@cache
def _roots() -> Numbers:
    t = np.arange(_ONE + 1, dtype=np.int64)
    # The root of t * 2^32, to the nearest: a guess in floats, and then integers decide.
    root = np.rint(np.cbrt(t * float(1 << 32))).astype(np.int64)
    root -= (2 * root - 1) ** 3 > t << 35
    root += (2 * root + 1) ** 3 <= t << 35
    lines = (2 * (841 * 29 * t + 4 * 108 * _ONE) + 108 * 29) // (2 * 108 * 29)
    return np.where(24389 * t > 216 * _ONE, root, lines)


@cache
def _linear(level: int, of: int) -> int:
    """Linear light, 0..65536 to the nearest, of ``level / of`` in sRGB."""
    if 100_000 * level <= 4045 * of:  # 0.04045
        return (2 * 100 * level * _ONE + 1292 * of) // (2 * 1292 * of)
    # ((level / of + 0.055) / 1.055) ^ 2.4 = (p / q) ^ (12 / 5): twice as fine and rounded down, v^5 q^12 <= (2 * 65536)^5 p^12
    p, q = 1000 * level + 55 * of, 1055 * of
    low, high = 0, 2 * _ONE + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**5 * q**12 <= (2 * _ONE) ** 5 * p**12 else (low, middle)
    return (low + 1) // 2


@cache
def _encoding() -> Pixels:
    """The level whose linear light is nearest, as an eye sees it: between two levels lies what has half a level more."""
    borders = [_linear(2 * level + 1, 510) for level in range(255)]
    return np.searchsorted(borders, np.arange(_ONE + 1), side="left").astype(np.uint8)
