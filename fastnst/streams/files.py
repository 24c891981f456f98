"""Which file is read and written in rows, and by whom."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from fastnst.images import require_file
from fastnst.streams.base import Rows, RowWriter
from fastnst.streams.png import PngWriter, open_png
from fastnst.streams.pnm import PnmWriter, open_pnm
from fastnst.streams.tiff import TiffWriter, open_tiff
from fastnst.streams.vips import open_vips

WRITE_SUFFIXES = (".ppm", ".pam", ".png", ".tif", ".tiff")
_OPENERS = (open_pnm, open_png, open_tiff)


def open_rows(path: Path) -> Rows | None:
    """The picture in ``path`` to be read in rows; ``None`` if it has to be decoded whole.

    Raises:
        ImageError: no picture at all, or one of a kind that is read here and is broken.
    """
    require_file(path)
    for opener in _OPENERS:
        file = path.open("rb")
        try:
            rows = opener(path, file)
        except BaseException:
            file.close()
            raise
        if rows is not None:
            return rows
        file.close()
    return open_vips(path)


def open_writer(path: Path, file: BinaryIO, size: tuple[int, int], alpha: bool, threads: int) -> RowWriter:
    """What writes a picture of ``size`` (height, width) to ``file`` in the format of ``path``, one of ``WRITE_SUFFIXES``."""
    suffix = path.suffix.lower()
    if suffix == ".png":
        return PngWriter(file, *size, alpha, threads)
    if suffix in (".tif", ".tiff"):
        return TiffWriter(file, *size, alpha)
    return PnmWriter(file, *size, alpha, is_pam=suffix == ".pam")
