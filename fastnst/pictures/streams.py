"""Pictures that are read and written in rows, so that no more than a few of them are in memory at once.

Each format says how (:mod:`fastnst.pictures.format`); with the extra ``big`` libvips reads large JPEG, and TIFF of a single
strip. Everything else is decoded and encoded whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from fastnst.pictures.picture import ImageError, KindError, Picture, require_file
from fastnst.pictures.registry import format_of, read_head
from fastnst.pictures.rows import (
    CHUNK_BYTES,
    ArrayRows,
    ArrayWriter,
    FileRows,
    FileWriter,
    FilledRows,
    Rows,
    RowWriter,
    filling_of,
)
from fastnst.pictures.samples import PictureFile
from fastnst.pictures.vips import open_vips
from fastnst.pictures.writing import Saving, save_picture

__all__ = [
    "CHUNK_BYTES",
    "ArrayRows",
    "ArrayWriter",
    "FilledRows",
    "RowWriter",
    "Rows",
    "WholeWriter",
    "filling_of",
    "open_rows",
    "open_writer",
    "writing_memory",
    "written_in_rows",
]

_MOST_HELD = 256 << 20  # bytes that a reader of our own may hold: of strips side by side, or of what is interlaced


def open_rows(path: Path) -> Rows | None:
    """The picture in ``path`` to be read in rows; ``None`` if it has to be decoded whole.

    Raises:
        ImageError: there is no picture, or one in a format that is read here and is broken.
    """
    require_file(path)
    found = format_of(read_head(path))
    if found is None:
        return None
    for opener in (found.open_rows, found.open and partial(_open_own, found.open)):
        if opener is None:
            continue
        file = path.open("rb")
        try:
            rows = opener(path, file)
        except BaseException:
            file.close()
            raise
        if rows is not None:
            return rows
        file.close()
    return open_vips(path, found.vips_loader) if found.vips_loader else None


def _open_own(open_picture: Callable[[BinaryIO], PictureFile | None], path: Path, file: BinaryIO) -> FileRows | None:
    """A picture that is upright, and whose rows do not have to be held all at once."""
    try:
        found = open_picture(file)
    except KindError as error:
        raise ImageError(f"{path}: {error}") from None
    except ValueError as error:
        raise ImageError(f"{path}: broken picture: {error}") from None
    if found is None or found.memory > _MOST_HELD or found.orientation != 1:
        return None
    return FileRows(path, file, found)


def written_in_rows(saving: Saving) -> bool:
    """Whether the format can be written in rows."""
    return saving.writer.rows is not None


def writing_memory(saving: Saving, size: tuple[int, int], alpha: bool) -> int:
    """Bytes that it takes to write a picture of ``size`` (height, width) in rows, or where its format cannot be written so, to
    keep it until the end."""
    rows = saving.writer.rows
    return rows().memory if rows else WholeWriter.memory_of(*size, alpha)


def open_writer(saving: Saving, file: BinaryIO, size: tuple[int, int], alpha: bool, threads: int) -> FileWriter:
    """Writes a picture of ``size`` (height, width) to ``file`` in rows; the format must allow it: :func:`written_in_rows`."""
    assert saving.writer.rows is not None
    return saving.writer.rows()(file, size, alpha, saving.fitting().of_size(size[1], size[0]), threads)


class WholeWriter(ArrayWriter):
    """Saves all rows at the end, for formats that Pillow encodes; arguments as for :func:`fastnst.images.save_picture`."""

    def __init__(self, path: Path, height: int, width: int, alpha: bool, saving: Saving, into: BinaryIO | None = None) -> None:
        super().__init__(height, width)
        self.memory = self.memory_of(height, width, alpha)
        self._path, self._saving, self._into = path, saving, into

    @staticmethod
    def memory_of(height: int, width: int, alpha: bool) -> int:
        """Bytes that it takes."""
        return (8 if alpha else 7) * height * width

    def finish(self) -> None:
        assert self.pixels is not None
        save_picture(Picture(Image.fromarray(self.pixels), self.alpha), self._path, self._saving, self._into)
