"""Colours of transparent pixels: they are invisible, and nothing visible may depend on them.

The engine replaces the colours of fully transparent pixels by colours around them; see ``csrc/base/hidden.h``. A picture of any
size can be processed in bands of ``CELL`` rows, with the same result as the whole picture at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastnst import _engine
from fastnst.pictures.picture import Picture

CELL = _engine.HIDDEN_CELL

Bytes = NDArray[np.uint8]
Sums = NDArray[np.uint64]  # [cells, 4]: red, green and blue times opacity, and opacity


def filled(picture: Picture) -> Picture:
    """``picture`` with the colours of fully transparent pixels replaced by colours around them; other pixels stay the same."""
    if picture.alpha is None:
        return picture
    alpha = np.asarray(picture.alpha)
    if alpha.all():
        return picture
    rgb = np.array(picture.rgb)
    _engine.fill_hidden(rgb, alpha)
    return Picture(Image.fromarray(rgb), picture.alpha)


def cell_sums(rgb: Bytes, alpha: Bytes) -> Sums:
    """The sums of the cells of a band, of ``CELL`` rows or fewer; ``rgb`` is [n, W, 3] and ``alpha`` [n, W]."""
    return _engine.cell_sums(rgb, alpha)


class Filling:
    """Fills the hidden pixels of a picture of this size; ``cells`` are the :func:`cell_sums` of its bands.

    Attributes:
        memory: the bytes of memory of this object.
    """

    def __init__(self, height: int, width: int, cells: list[Sums]) -> None:
        self._filling = _engine.Filling(height, width, np.stack(cells))
        self.memory = self._filling.memory

    def band(self, index: int, read: Callable[[int, int], tuple[Bytes, Bytes]]) -> Bytes:
        """Band ``index``, filled. ``read(first, last)`` returns colours and transparency of the rows [first, last)."""
        own, alpha = read(*self._filling.rows(index))
        if alpha.all():
            return own
        return self._filling.band(index, *read(*self._filling.rows_around(index)))
