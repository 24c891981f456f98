"""The lightness of one picture in the colours of another, as CIE 1976 L*a*b* has them: in integers, the same everywhere.

Numbers 0..1 are integers of 16 bits. With ``f`` of the three relative tristimulus values X/Xn, Y/Yn, Z/Zn, L* is 116 f(Y) - 16,
a* is 500 (f(X) - f(Y)) and b* is 200 (f(Y) - f(Z)): another lightness with the same a* and b* adds one number to all three.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from fastnst.engine import Pixels

_ONE = 1 << 16
# Linear sRGB (IEC 61966-2-1) to X/Xn, Y/Yn, Z/Zn of D65 and back, in 1/65536; every row has the sum 1, so that grey stays grey.
_TO_XYZ = np.array([[28439, 24656, 12441], [13938, 46868, 4730], [1164, 7174, 57198]], np.float64)
_FROM_XYZ = np.array([[201848, -100738, -35574], [-60376, 122947, 2965], [3466, -13371, 75441]], np.float64)
_BAND_PIXELS = 1 << 16  # 64-bit intermediates of one band stay in the cache

Numbers = NDArray[np.int64]


def keep_lab(content: Pixels, styled: Pixels) -> Pixels:
    """The L* of ``styled`` with the a* and b* of ``content``, uint8 [H, W, 3]; what sRGB does not hold is clipped."""
    result = np.empty_like(content)
    rows = max(1, _BAND_PIXELS // content.shape[1])
    for top in range(0, content.shape[0], rows):
        band = slice(top, top + rows)
        own = _roots()[_relative(content[band])]
        lightness = _roots()[_relative(styled[band])[..., 1]]
        moved = own + (lightness - own[..., 1])[..., None]
        result[band] = _encoding()[np.clip(_product(_cubed(moved), _FROM_XYZ), 0, _ONE)]
    return result


def _relative(pixels: Pixels) -> Numbers:
    """X/Xn, Y/Yn and Z/Zn of sRGB."""
    return _product(_decoding()[pixels], _TO_XYZ)


def _product(numbers: Numbers, matrix: NDArray[np.float64]) -> Numbers:
    """Rows of three times a matrix. Floats of 64 bits hold these integers, and all sums of them, exactly."""
    return ((numbers.astype(np.float64) @ matrix.T).astype(np.int64) + (_ONE >> 1)) >> 16


def _cubed(roots: Numbers) -> Numbers:
    """What has these numbers as its ``f``: t = f^3, and below f = 6/29 the line t = (f - 4/29) * 108/841."""
    cubes = (roots * roots * roots + (1 << 31)) >> 32
    lines = ((29 * roots - 4 * _ONE) * 108 + 29 * 841 // 2) // (29 * 841)
    return np.where(29 * roots > 6 * _ONE, cubes, lines)


@cache
def _roots() -> Numbers:
    """``f`` of 0..1: the cube root, and below (6/29)^3 the line t * 841/108 + 4/29."""
    t = np.arange(_ONE + 1, dtype=np.int64)
    # The root of t * 2^32, to the nearest: a guess in floats, and then integers decide, which are the same on every machine.
    root = np.rint(np.cbrt(t * float(1 << 32))).astype(np.int64)
    root -= (2 * root - 1) ** 3 > t << 35
    root += (2 * root + 1) ** 3 <= t << 35
    lines = (2 * (841 * 29 * t + 4 * 108 * _ONE) + 108 * 29) // (2 * 108 * 29)
    return np.where(24389 * t > 216 * _ONE, root, lines)


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
def _decoding() -> Numbers:
    """Linear light of the levels 0..255."""
    return np.array([_linear(level, 255) for level in range(256)], np.int64)


@cache
def _encoding() -> Pixels:
    """The level 0..255 whose linear light is nearest, as an eye sees it: between two levels lies what has half a level more."""
    borders = [_linear(2 * level + 1, 510) for level in range(255)]
    return np.searchsorted(borders, np.arange(_ONE + 1), side="left").astype(np.uint8)
