"""What lies below transparent pixels: nobody sees it, and nothing visible may depend on it.

A network looks at all pixels, and its statistics are those of all. So the colours of the fully transparent ones are replaced by
what is around them, by pull and push (Gortler et al., "The Lumigraph", 1996, section 3.5), and then count as any others.
Pulling halves the picture again and again: each pixel of the smaller one is the mean of four, each counted as much as it is
opaque. Pushing goes back: where a pixel has no colour, it takes that of the next smaller picture, interpolated bilinearly.
Pixels that are visible at all keep their colours. All of it is integer arithmetic, the same on every machine.

A picture of any size is filled in bands of rows, with the same result: first the sums of its cells of ``CELL`` x ``CELL``
pixels are taken, and small pictures made of these alone; then each band is filled, with a row of cells above and below it,
and in parts of some columns likewise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastnst.pictures.picture import Picture

CELL = 32
_LEVELS = CELL.bit_length() - 1
_COLUMNS = 32 * CELL  # that are filled at a time
_NEUTRAL = 127  # of a picture that is hidden altogether

Bytes = NDArray[np.uint8]
Sums = NDArray[Any]  # int32 or int64 [h, w, 4]: red, green and blue times opacity, and opacity
Colors = NDArray[Any]  # int32 [h, w, 3], in 1/256


def filled(picture: Picture) -> Picture:
    """``picture`` with the colours of its neighbours below each fully transparent pixel; the others are as they were."""
    if picture.alpha is None:
        return picture
    rgb, alpha = np.array(picture.rgb), np.asarray(picture.alpha)
    if alpha.all():
        return picture
    whole = rgb.copy()

    def band(first: int, last: int) -> tuple[Bytes, Bytes]:
        return whole[first:last], alpha[first:last]

    height = len(alpha)
    filling = Filling(height, [cell_sums(*band(top, min(top + CELL, height))) for top in range(0, height, CELL)])
    for top in range(0, height, CELL):
        rgb[top : top + CELL] = filling.band(top // CELL, band)
    return Picture(Image.fromarray(rgb), picture.alpha)


def cell_sums(rgb: Bytes, alpha: Bytes) -> Sums:
    """The sums of each cell of a band, [1, cells, 4], of ``CELL`` rows or fewer."""
    starts = range(0, alpha.shape[1], _COLUMNS)
    parts = [_pyramid(rgb[:, left : left + _COLUMNS], alpha[:, left : left + _COLUMNS])[-1] for left in starts]
    return np.concatenate(parts, axis=1).astype(np.int64)


class Filling:
    """How the hidden pixels of a picture of so many rows are filled; ``cells`` are the :func:`cell_sums` of its bands."""

    def __init__(self, height: int, cells: list[Sums]) -> None:
        self._height = height
        self._colors = _colors(np.concatenate(cells))
        self.memory = self._colors.nbytes + 50 * 3 * CELL * (_COLUMNS + 2 * CELL)

    def band(self, index: int, read: Callable[[int, int], tuple[Bytes, Bytes]]) -> Bytes:
        """Band ``index``, filled; ``read`` gives colours and transparency of the rows from its first to before its second."""
        top, bottom = index * CELL, min(index * CELL + CELL, self._height)
        own, opacity = read(top, bottom)
        if opacity.all():
            return own
        first, last = max(0, top - CELL), min(self._height, bottom + CELL)
        rgb, alpha = read(first, last)
        result = np.empty_like(own)
        for left in range(0, own.shape[1], _COLUMNS):  # not more at a time, for the sums take several times the space
            begin, end = max(0, left - CELL), left + _COLUMNS + CELL
            cells = self._colors[first // CELL : -(-last // CELL), begin // CELL : end // CELL]
            part = _filled(rgb[:, begin:end], alpha[:, begin:end], cells)
            result[:, left : left + _COLUMNS] = part[top - first : bottom - first, left - begin : left - begin + _COLUMNS]
        return result


def _filled(rgb: Bytes, alpha: Bytes, cells: Colors) -> Bytes:
    """Whole cells, filled; their outermost rows and columns only where they are those of the picture."""
    for sums in reversed(_pyramid(rgb, alpha)[:-1]):
        cells = _pushed(sums, cells)
    below = _enlarged(cells, rgb.shape[:2])
    return np.where(alpha[..., None] > 0, rgb, ((below + 128) >> 8).astype(np.uint8))


def _pyramid(rgb: Bytes, alpha: Bytes) -> list[Sums]:
    """The sums of squares of 2, 4, ... ``CELL`` pixels: below 2^31, for 255 x 255 x 32 x 32 is 2^26."""
    weights = alpha.astype(np.int32)[..., None]
    sums = np.concatenate([rgb * weights, weights], axis=2)
    levels = []
    for _ in range(_LEVELS):
        sums = _halved(sums)
        levels.append(sums)
    return levels


def _halved(sums: Sums) -> Sums:
    """Sums of four; what is beyond the last row or column is transparent."""
    padded = np.pad(sums, ((0, len(sums) % 2), (0, sums.shape[1] % 2), (0, 0)))
    rows = padded[::2] + padded[1::2]
    return np.asarray(rows[:, ::2] + rows[:, 1::2])


def _colors(sums: Sums) -> Colors:
    """The colour of every cell: its own where something of it is visible, else pushed from the halved picture."""
    if (sums[..., 3] > 0).all():
        return _means(sums)
    if sums.shape[:2] == (1, 1):
        return np.full((1, 1, 3), _NEUTRAL << 8, np.int32)
    return _pushed(sums, _colors(_halved(sums)))


def _means(sums: Sums) -> Colors:
    weights = np.maximum(sums[..., 3:], 1).astype(np.int64)
    return ((sums[..., :3].astype(np.int64) * 256 + weights // 2) // weights).astype(np.int32)


def _pushed(sums: Sums, halved: Colors) -> Colors:
    return np.where(sums[..., 3:] > 0, _means(sums), _enlarged(halved, sums.shape[:2]))


def _enlarged(colors: Colors, size: tuple[int, ...]) -> Colors:
    """Twice the size, or one row or column less: each new pixel is 3/4 the one it lies in and 1/4 the next, both ways."""
    for axis, length in enumerate(size[:2]):
        at = np.arange(length)
        near = at // 2
        far = np.clip(near + np.where(at % 2, 1, -1), 0, colors.shape[axis] - 1)
        colors = (3 * colors.take(near, axis) + colors.take(far, axis) + 2) >> 2
    return colors
