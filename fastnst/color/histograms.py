"""Levels of red, green and blue as often as in another picture: exact histograms, and a table for each channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastnst import _engine
from fastnst.engine import Pixels

Counts = NDArray[np.uint64]
_BAND_PIXELS = 1 << 18


@dataclass
class Histogram:
    """How often each level is there, [3, 256], of a picture that is seen in parts."""

    counts: Counts = field(default_factory=lambda: np.zeros((3, 256), np.uint64))

    def add(self, rows: Pixels) -> None:
        """Rows that follow, [n, W, 3]."""
        self.counts += _engine.count_levels(rows)

    def tables(self, wanted: Histogram) -> Pixels:
        """For each channel the level that each becomes, [3, 256], so that the result is distributed as ``wanted``.

        A level goes to the one at the same rank; its own rank is the middle of the pixels that have it, so that a picture
        matched with itself does not change. Both histograms are of pictures with the same number of pixels.
        """
        return _engine.level_tables(self.counts, wanted.counts)


def histogram_of(pixels: Pixels) -> Histogram:
    """That of a whole picture."""
    return Histogram(_engine.count_levels(pixels))


class PutAside:
    """Rows, [n, W, 3], of a picture whose histogram has to be known before the first of them goes on: in a file without a name.

    Raises:
        RuntimeError: the disk is full or fails; names ``folder``.
    """

    def __init__(self, folder: str, width: int) -> None:
        self._folder, self._width = folder, width
        self.histogram = Histogram()

    def __enter__(self) -> PutAside:
        import tempfile

        self._file = tempfile.TemporaryFile(dir=self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, rows: Pixels) -> None:
        """The next rows."""
        self.histogram.add(rows)
        try:
            self._file.write(np.ascontiguousarray(rows).data)
        except OSError as error:
            raise RuntimeError(f"{self._folder}: {error.strerror or error}") from None

    def again(self) -> Iterator[Pixels]:
        """All of them from the first on, a few at a time."""
        self._file.seek(0)
        row = 3 * self._width
        while data := self._file.read(max(1, _BAND_PIXELS // self._width) * row):
            yield np.frombuffer(bytearray(data), np.uint8).reshape(-1, self._width, 3)
