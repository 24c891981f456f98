"""Which file is read and written in rows, and by whom."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from fastnst.pictures.picture import ImageError, KindError, require_file
from fastnst.pictures.reading import open_file
from fastnst.pictures.streams.base import FileRows, Rows, RowWriter, WholeWriter
from fastnst.pictures.streams.png import PngWriter
from fastnst.pictures.streams.pnm import PnmWriter, open_pnm
from fastnst.pictures.streams.tiff import TiffWriter
from fastnst.pictures.streams.vips import open_vips
from fastnst.pictures.writing import Saving

_WRITERS: dict[str, type[RowWriter]] = {"PPM": PnmWriter, "PAM": PnmWriter, "PNG": PngWriter, "TIFF": TiffWriter}
_MOST_HELD = 256 << 20  # bytes that a reader of our own may hold: of strips side by side, or of what is interlaced


def open_rows(path: Path) -> Rows | None:
    """The picture in ``path`` to be read in rows; ``None`` if it has to be decoded whole.

    Raises:
        ImageError: no picture at all, or one of a kind that is read here and is broken.
    """
    require_file(path)
    for opener in (open_pnm, _open_own):
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


def _open_own(path: Path, file: BinaryIO) -> FileRows | None:
    """A PNG or TIFF that is upright, and whose rows do not have to be held all at once."""
    try:
        found = open_file(file)
    except KindError as error:
        raise ImageError(f"{path}: {error}") from None
    except ValueError as error:
        raise ImageError(f"{path}: broken picture: {error}") from None
    if found is None or found.memory > _MOST_HELD or found.orientation != 1:
        return None
    return FileRows(path, file, found)


def written_in_rows(saving: Saving) -> bool:
    """Whether the format can be written in rows."""
    return saving.format in _WRITERS


def writing_memory(saving: Saving, size: tuple[int, int], alpha: bool) -> int:
    """Bytes that it takes to write a picture of ``size`` (height, width) in rows, or where its format cannot be written so, to
    keep it until the end."""
    writer = _WRITERS.get(saving.format)
    return writer.memory if writer else WholeWriter.memory_of(*size, alpha)


def open_writer(saving: Saving, file: BinaryIO, size: tuple[int, int], alpha: bool, threads: int) -> RowWriter:
    """What writes a picture of ``size`` (height, width) to ``file`` in rows; its format: :func:`written_in_rows`."""
    kept = saving.fitting().of_size(size[1], size[0])
    if saving.format == "PNG":
        return PngWriter(file, *size, alpha, threads, kept)
    if saving.format == "TIFF":
        return TiffWriter(file, *size, alpha, kept)
    return PnmWriter(file, *size, alpha, is_pam=saving.format == "PAM")
