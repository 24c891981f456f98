"""Reads pictures in rows by libvips: JPEG, and TIFF of one compressed strip. Needs the extra ``big``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fastnst.pictures.picture import ImageError
from fastnst.pictures.rows import CHUNK_BYTES, SampleRows, Samples
from fastnst.pictures.samples import MODES

MIN_PIXELS = 16_000_000  # Pillow decodes smaller ones whole, without loading a second library
_COLORS = {"b-w": 1, "srgb": 3}
_HELD_ROWS = 640  # that libvips keeps in memory


class VipsRows(SampleRows):
    """A file that libvips reads from the top to the bottom."""

    def __init__(self, path: Path, image: Any) -> None:
        profile = image.get("icc-profile-data") if "icc-profile-data" in image.get_fields() else None
        super().__init__(path, image.height, image.width, image.bands, profile)
        self.memory += _HELD_ROWS * image.width * image.bands + 8 * CHUNK_BYTES
        self._file: BinaryIO | None = None
        self._region: Any = None
        self._source: Any = None  # nothing else keeps it alive
        self._next = 0

    def samples(self, first: int, count: int) -> Samples:
        import pyvips

        try:
            if self._file is None or first < self._next:
                self.close()
                self._file = self.path.open("rb")
                self._source, image = _opened(self._file)
                self._region = pyvips.Region.new(image)
            self._next = first + count
            # One row each: libvips keeps a multiple of what it is asked for at once.
            rows = [np.frombuffer(self._region.fetch(0, first + y, self.width, 1), np.uint8) for y in range(count)]
        except pyvips.Error as error:
            raise ImageError(f"{self.path}: broken picture: {_reason(error)}") from None
        return np.concatenate(rows).reshape(count, self.width, self.channels)

    def close(self) -> None:
        self._region = self._source = None
        if self._file is not None:
            self._file.close()
        self._file = None


def _opened(file: BinaryIO) -> tuple[Any, Any]:
    """A source, which must be kept as long as the picture, and the picture. The file is read by callbacks, because libvips maps
    files that it opens itself, and mapped pages count as memory of the process."""
    import pyvips

    def seek(offset: int, whence: int) -> int:
        try:
            return file.seek(offset, whence)
        except (OSError, ValueError):  # a damaged file asks for an invalid offset; an exception could not be caught
            return -1

    source = pyvips.SourceCustom()
    source.on_read(file.read)
    source.on_seek(seek)
    return source, pyvips.Image.new_from_source(source, "", access="sequential", fail_on="warning")


def _reason(error: Exception) -> str:
    """The last line of libvips' message."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else "unknown"


def open_vips(path: Path, loader: str) -> VipsRows | None:
    """The rows of a large picture of 8 bits, grey or RGB; ``None`` where it has to be decoded whole: other kinds, pictures that
    lie on their side, those that come in several scans, and all of them where libvips is not installed.

    Args:
        loader: libvips' name of the loader that may read it.
    """
    try:
        import pyvips
    except (ImportError, OSError):  # the latter: the Python part is there, libvips is not
        return None
    with path.open("rb") as file:
        try:
            _source, image = _opened(file)
        except pyvips.Error:
            return None
        return _plain_rows(path, image, loader)


def _plain_rows(path: Path, image: Any, loader: str) -> VipsRows | None:
    fields = image.get_fields()

    def value(name: str) -> Any:
        return image.get(name) if name in fields else None

    colors = _COLORS.get(image.interpretation)
    plain = (
        value("vips-loader") == loader
        and image.width * image.height >= MIN_PIXELS
        and image.format == "uchar"
        and (value("orientation") or 1) == 1
        and not value("jpeg-multiscan")
        and not value("interlaced")
        and (value("n-pages") or 1) == 1
    )
    transparency = loader == "pngload_source"  # of other formats it may be multiplied into the colours
    if not plain or colors is None or image.bands not in (colors, colors + transparency) or image.bands not in MODES:
        return None
    return VipsRows(path, image)
