"""What every reader and writer of rows has in common: from samples to sRGB, and from sRGB and transparency to samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastnst.images import ImageError, Picture, save_picture, to_srgb
from fastnst.pam import MODES

Samples: TypeAlias = NDArray[np.uint8]

CHUNK_BYTES = 1 << 20  # of samples that are converted at a time
MAX_SIDE = 1 << 24  # of the engine


class Rows(ABC):
    """A picture that is read in rows.

    Attributes:
        path: where it comes from, for messages.
        height, width: in pixels.
        alpha: whether it has transparency.
        memory: bytes that reading it takes, whatever is read.
    """

    def __init__(self, path: Path, height: int, width: int, alpha: bool, memory: int = CHUNK_BYTES) -> None:
        if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
            raise ImageError(f"{path}: {width} x {height} is not a size of pictures")
        self.path, self.height, self.width, self.alpha, self.memory = path, height, width, alpha, memory

    @abstractmethod
    def pictures(self, first: int, count: int) -> Iterator[Picture]:
        """Rows [first, first + count) as pictures of a few rows each. Rows are asked for in ascending order, or anew from 0.

        Raises:
            ImageError: the file is cut short or damaged.
        """

    def read(self, first: int, rgb: Samples) -> None:
        """Fill ``rgb``, [n, W, 3], with the rows from ``first`` on."""
        top = 0
        for picture in self.pictures(first, len(rgb)):
            rgb[top : top + picture.rgb.height] = np.asarray(picture.rgb)
            top += picture.rgb.height

    def read_flat(self, first: int, rgb: Samples) -> None:
        """As :meth:`read`, as seen on white paper."""
        top = 0
        for picture in self.pictures(first, len(rgb)):
            rgb[top : top + picture.rgb.height] = np.asarray(picture.flattened())
            top += picture.rgb.height

    @abstractmethod
    def close(self) -> None:
        """Close the file, if there is one."""


class PictureRows(Rows):
    """The rows of a picture that is in memory."""

    def __init__(self, path: Path, picture: Picture) -> None:
        width, height = picture.rgb.size
        pixel = 4 if picture.alpha is None else 5  # Pillow's
        super().__init__(path, height, width, picture.alpha is not None, pixel * height * width + 2 * CHUNK_BYTES)
        self._picture = picture

    def pictures(self, first: int, count: int) -> Iterator[Picture]:
        step = max(1, CHUNK_BYTES // (4 * self.width))
        for top in range(first, first + count, step):
            box = (0, top, self.width, min(top + step, first + count))
            alpha = self._picture.alpha
            yield Picture(self._picture.rgb.crop(box), None if alpha is None else alpha.crop(box))

    def close(self) -> None:
        """There is no file."""


class SampleRows(Rows):
    """A file of samples of 8 bits, one to four for a pixel: grey or RGB, and transparency."""

    def __init__(self, path: Path, height: int, width: int, channels: int, profile: bytes | None = None) -> None:
        super().__init__(path, height, width, channels in (2, 4), CHUNK_BYTES * 4)
        self.channels, self._profile = channels, profile

    @abstractmethod
    def samples(self, first: int, count: int) -> Samples:
        """Rows [first, first + count) as [count, W, channels]; in the order of :meth:`Rows.pictures`."""

    def _chunks(self, first: int, count: int) -> Iterator[Samples]:
        step = max(1, CHUNK_BYTES // (self.channels * self.width))
        for top in range(first, first + count, step):
            yield self.samples(top, min(step, first + count - top))

    def pictures(self, first: int, count: int) -> Iterator[Picture]:
        for samples in self._chunks(first, count):
            image = Image.frombuffer(MODES[self.channels], (self.width, len(samples)), samples)
            if self._profile:
                image.info["icc_profile"] = self._profile
            yield to_srgb(image)

    def read(self, first: int, rgb: Samples) -> None:
        if self._profile:
            super().read(first, rgb)
            return
        top = 0
        for samples in self._chunks(first, len(rgb)):
            rgb[top : top + len(samples)] = samples[..., :3] if self.channels > 2 else samples[..., :1]
            top += len(samples)


class RowWriter(ABC):
    """A picture file that is written in rows; :meth:`finish` completes it.

    Attributes:
        holds_alpha: whether rows have four channels, the last their transparency.
        memory: bytes that writing takes.
    """

    memory = CHUNK_BYTES

    def __init__(self, holds_alpha: bool) -> None:
        self.holds_alpha = holds_alpha

    @abstractmethod
    def write(self, rows: Samples) -> None:
        """The next rows, [n, W, 3 or 4]."""

    @abstractmethod
    def finish(self) -> None:
        """All rows are written."""


class WholeWriter(RowWriter):
    """Keeps all rows and saves them at the end, for formats that Pillow encodes."""

    def __init__(self, path: Path, height: int, width: int, alpha: bool) -> None:
        super().__init__(alpha)
        self.memory = (8 if alpha else 7) * height * width
        self._path, self._done = path, 0
        self._pixels = np.empty((height, width, 4 if alpha else 3), np.uint8)

    def write(self, rows: Samples) -> None:
        self._pixels[self._done : self._done + len(rows)] = rows
        self._done += len(rows)

    def finish(self) -> None:
        image = Image.fromarray(self._pixels)
        save_picture(Picture(image.convert("RGB"), image.getchannel("A") if self.holds_alpha else None), self._path)
