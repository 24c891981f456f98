"""Readers and writers of pictures in rows, which convert samples to sRGB, and sRGB and transparency to samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastnst.pictures.color import foreign, part_to_srgb, to_srgb
from fastnst.pictures.hidden import CELL, Filling, Sums, cell_sums
from fastnst.pictures.metadata import Metadata
from fastnst.pictures.picture import ImageError, KindError, Picture
from fastnst.pictures.samples import MODES, Part, PictureFile

Samples: TypeAlias = NDArray[np.uint8]

CHUNK_BYTES = 1 << 20  # of samples that are converted at a time
MAX_SIDE = 1 << 24  # of the engine


class Rows(ABC):
    """A picture that is read in rows.

    Attributes:
        path: the file, for messages.
        height, width: in pixels.
        alpha: whether it has transparency.
        memory: the bytes of memory that reading takes.
        decoded: whether the whole picture is in memory already.
    """

    decoded = False

    def __init__(self, path: Path, height: int, width: int, alpha: bool, memory: int = CHUNK_BYTES) -> None:
        if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
            raise ImageError(f"{path}: {width} x {height} is not the size of a picture")
        self.path, self.height, self.width, self.alpha, self.memory = path, height, width, alpha, memory

    @abstractmethod
    def pictures(self, first: int, count: int) -> Iterator[Picture]:
        """Rows [first, first + count) as pictures of a few rows each. Rows are read in ascending order, or again from 0.

        Raises:
            ImageError: the file is cut short or damaged.
        """

    def read(self, first: int, rgb: Samples) -> None:
        """Fill ``rgb``, [n, W, 3], with the rows from ``first`` on."""
        top = 0
        for picture in self.pictures(first, len(rgb)):
            rgb[top : top + picture.rgb.height] = np.asarray(picture.rgb)
            top += picture.rgb.height

    def whole(self) -> tuple[Samples, Image.Image | None]:
        """All rows, [H, W, 3], which may not be changed, and their transparency, mode ``L``."""
        rgb, alpha = np.empty((self.height, self.width, 3), np.uint8), Image.new("L", (self.width, self.height), 255)
        top = 0
        for picture in self.pictures(0, self.height):
            rgb[top : top + picture.rgb.height] = np.asarray(picture.rgb)
            if picture.alpha is not None:
                alpha.paste(picture.alpha, (0, top))
            top += picture.rgb.height
        return rgb, alpha if self.alpha else None

    @abstractmethod
    def close(self) -> None:
        """Close the file, if there is one."""


class ArrayRows(Rows):
    """The rows of a picture that is in memory, [H, W, 3], and its transparency, mode ``L`` of the same size.

    Args:
        path: the file that it comes from, if any.
        memory: the bytes of the picture itself, if they count.
    """

    decoded = True

    def __init__(self, rgb: Samples, alpha: Image.Image | None = None, path: Path = Path("picture"), memory: int = 0) -> None:
        super().__init__(path, rgb.shape[0], rgb.shape[1], alpha is not None, memory)
        self._rgb, self._alpha = rgb, alpha

    @classmethod
    def of(cls, path: Path, picture: Picture) -> ArrayRows:
        """The rows of a picture file that has been decoded."""
        width, height = picture.rgb.size
        pixel = 4 if picture.alpha is None else 5  # bytes, with Pillow's copy
        return cls(np.asarray(picture.rgb), picture.alpha, path, pixel * height * width + 2 * CHUNK_BYTES)

    def pictures(self, first: int, count: int) -> Iterator[Picture]:
        step = max(1, CHUNK_BYTES // (4 * self.width))
        for top in range(first, first + count, step):
            end = min(top + step, first + count)
            alpha = None if self._alpha is None else self._alpha.crop((0, top, self.width, end))
            yield Picture(Image.fromarray(self._rgb[top:end]), alpha)

    def read(self, first: int, rgb: Samples) -> None:
        rgb[...] = self._rgb[first : first + len(rgb)]

    def whole(self) -> tuple[Samples, Image.Image | None]:
        return self._rgb, self._alpha

    def close(self) -> None:
        """There is no file."""


class SampleRows(Rows):
    """A file with one to four 8-bit samples per pixel: grey or RGB, with or without transparency."""

    def __init__(self, path: Path, height: int, width: int, channels: int, profile: bytes | None = None) -> None:
        super().__init__(path, height, width, channels in (2, 4), CHUNK_BYTES * 4)
        self.channels, self._profile = channels, foreign(profile)

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


class RawRows(SampleRows):
    """A file whose samples stand one after the other from an offset on.

    Args:
        size: height, width, samples of a pixel.

    Raises:
        ImageError: it is no size of a picture, or the file is too short for it.
    """

    def __init__(self, path: Path, file: BinaryIO, size: tuple[int, int, int], offset: int) -> None:
        super().__init__(path, *size)
        self._file, self._offset = file, offset
        file.seek(0, 2)
        if file.tell() - offset < self.height * self.width * self.channels:
            raise ImageError(f"{path}: broken picture: the file is cut short")

    def samples(self, first: int, count: int) -> Samples:
        rows = np.empty((count, self.width, self.channels), np.uint8)
        self._file.seek(self._offset + first * self.width * self.channels)
        if self._file.readinto(rows.data.cast("B")) != rows.nbytes:  # type: ignore[attr-defined]
            raise ImageError(f"{self.path}: broken picture: the file is cut short")
        return rows

    def close(self) -> None:
        self._file.close()


class FileRows(Rows):
    """An upright picture in a file, read by a reader of our own."""

    def __init__(self, path: Path, file: BinaryIO, picture: PictureFile) -> None:
        super().__init__(path, picture.height, picture.width, picture.alpha, picture.memory + 4 * CHUNK_BYTES)
        self._file, self._picture = file, picture
        self._profile = foreign(picture.info.get("icc_profile"))

    def _parts(self, first: int, count: int) -> Iterator[Part]:
        step = max(1, CHUNK_BYTES // (4 * self.width))
        for top in range(first, first + count, step):
            try:
                yield self._picture.rows(top, min(step, first + count - top))
            except KindError as error:
                raise ImageError(f"{self.path}: {error}") from None
            except ValueError as error:
                raise ImageError(f"{self.path}: broken picture: {error}") from None

    def pictures(self, first: int, count: int) -> Iterator[Picture]:
        for part in self._parts(first, count):
            yield part_to_srgb(part, self._profile)

    def read(self, first: int, rgb: Samples) -> None:
        if self._profile:
            super().read(first, rgb)
            return
        top = 0
        for part in self._parts(first, len(rgb)):
            rgb[top : top + len(part.color)] = part.rgb()
            top += len(part.color)

    def close(self) -> None:
        self._file.close()


class FilledRows(Rows):
    """Rows of a picture with transparency whose hidden pixels are filled, see :mod:`fastnst.pictures.hidden`."""

    def __init__(self, rows: Rows, filling: Filling) -> None:
        bands = 2 * 3 * CELL * rows.width * 4  # of bands as they are read, and joined
        super().__init__(rows.path, rows.height, rows.width, True, rows.memory + filling.memory + bands)
        self._rows, self._filling = rows, filling
        self._bands: dict[int, tuple[Samples, Samples]] = {}  # as they are read
        self._last: tuple[int, Samples] | None = None  # filled

    def pictures(self, first: int, count: int) -> Iterator[Picture]:
        for index in range(first // CELL, -(-(first + count) // CELL)):
            top = index * CELL
            kept = slice(max(first - top, 0), first + count - top)
            if self._last is None or self._last[0] != index:
                self._last = index, self._filling.band(index, self._read)
            _, alpha = self._read(top, min(top + CELL, self.height))
            yield Picture(Image.fromarray(self._last[1][kept]), Image.fromarray(alpha[kept]))

    def _read(self, first: int, last: int) -> tuple[Samples, Samples]:
        """The colours and the transparency of rows [first, last), which are whole bands."""
        wanted = range(first // CELL, -(-last // CELL))
        if wanted[0] < min(self._bands, default=0):
            self._bands.clear()
        for index in wanted:
            if index not in self._bands:
                self._bands[index] = _band(self._rows, index)
        for index in [index for index in self._bands if index < wanted[-1] - 2]:
            del self._bands[index]
        rgb, alpha = zip(*(self._bands[index] for index in wanted), strict=True)
        return np.concatenate(rgb), np.concatenate(alpha)

    def close(self) -> None:
        self._rows.close()


def filling_of(rows: Rows) -> Filling | None:
    """What fills the hidden pixels of a picture, which is read once for this; ``None`` if it has none."""
    if not rows.alpha:
        return None
    cells: list[Sums] = []
    hidden = False
    for index in range(-(-rows.height // CELL)):
        rgb, alpha = _band(rows, index)
        hidden = hidden or not alpha.all()
        cells.append(cell_sums(rgb, alpha))
    return Filling(rows.height, rows.width, cells) if hidden else None


def _band(rows: Rows, index: int) -> tuple[Samples, Samples]:
    parts = list(rows.pictures(index * CELL, min(CELL, rows.height - index * CELL)))
    return np.concatenate([np.asarray(part.rgb) for part in parts]), np.concatenate([np.asarray(part.alpha) for part in parts])


class RowWriter(ABC):
    """A picture that is written in rows; :meth:`finish` completes it.

    Attributes:
        holds_alpha: whether rows have four channels, the last of which is transparency.
        memory: the bytes of memory that writing takes.
        pixels: with ``keeps_rows`` the whole picture at the end, [H, W, 3], which may be changed before :meth:`finish`.
    """

    memory = CHUNK_BYTES
    keeps_rows = False
    pixels: Samples | None = None

    def __init__(self, holds_alpha: bool) -> None:
        self.holds_alpha = holds_alpha

    @abstractmethod
    def write(self, rows: Samples) -> None:
        """Write the next rows, [n, W, 3 or 4]. The caller reuses their memory afterwards."""

    def write_picture(self, rgb: Samples, alpha: Image.Image | None) -> None:
        """Write the next rows, [n, W, 3], with their transparency, or blended with white if the format has none."""
        if alpha is None:
            self.write(rgb)
        else:
            picture = Picture(Image.fromarray(rgb), alpha)
            self.write(np.asarray(picture.image() if self.holds_alpha else picture.flattened()))

    def write_whole(self, rgb: Samples, alpha: Image.Image | None) -> None:
        """Write all rows at once; they may be kept."""
        self.write_picture(rgb, alpha)

    @abstractmethod
    def finish(self) -> None:
        """Finish the file, after all rows have been written."""


class ArrayWriter(RowWriter):
    """Keeps the rows and their transparency in memory."""

    keeps_rows = True

    def __init__(self, height: int, width: int) -> None:
        super().__init__(holds_alpha=False)
        self._size, self._done = (height, width), 0
        self.alpha: Image.Image | None = None

    def write(self, rows: Samples) -> None:
        if self.pixels is None:
            self.pixels = np.empty((*self._size, 3), np.uint8)
        self.pixels[self._done : self._done + len(rows)] = rows
        self._done += len(rows)

    def write_picture(self, rgb: Samples, alpha: Image.Image | None) -> None:
        if alpha is not None:
            self.alpha = self.alpha or Image.new("L", self._size[::-1])
            self.alpha.paste(alpha, (0, self._done))
        self.write(rgb)

    def write_whole(self, rgb: Samples, alpha: Image.Image | None) -> None:
        self.pixels, self.alpha = rgb, alpha

    def finish(self) -> None:
        """Nothing is left to do."""


class FileWriter(RowWriter):
    """Writes the rows to a file as they come.

    Args:
        file: open for writing, at its start.
        size: height and width of the picture.
        alpha: whether the rows have transparency; a format that cannot hold it ignores this.
        kept: metadata that the format can hold, for this size.
        threads: how many may be used.
    """

    def __init__(self, file: BinaryIO, size: tuple[int, int], alpha: bool, kept: Metadata, threads: int) -> None:
        super().__init__(alpha)
        del size, kept, threads  # for those that need them
        self._file = file


class RawWriter(FileWriter):
    """Writes the samples as they are, after a header."""

    def write(self, rows: Samples) -> None:
        self._file.write(np.ascontiguousarray(rows).data)

    def finish(self) -> None:
        """Nothing follows the last row."""
