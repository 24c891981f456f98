"""TIFF and BigTIFF: read by :mod:`fastnst.pictures.tiff_reader`; large ones written by :mod:`fastnst.pictures.tiff_writer`."""

from __future__ import annotations

from typing import BinaryIO

from fastnst.pictures.format import ALL_METADATA, Format, Writer, begins
from fastnst.pictures.metadata import Metadata
from fastnst.pictures.rows import FileWriter
from fastnst.pictures.samples import PictureFile


def _open(file: BinaryIO) -> PictureFile | None:
    from fastnst.pictures.tiff_reader import open_tiff

    return open_tiff(file)


def _complete(file: bytes, kept: Metadata) -> bytes:
    from fastnst.pictures.tiff_writer import complete

    return complete(file, kept)


def _rows() -> type[FileWriter]:
    from fastnst.pictures.tiff_writer import TiffWriter

    return TiffWriter


FORMAT = Format(
    name="TIFF",
    suffixes=(".tif", ".tiff", ".btf", ".svs"),
    recognises=begins(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    decoders=("TIFF",),  # for the JPEG of TIFF 6.0 itself, which its second technical note replaced
    open=_open,
    vips_loader="tiffload_source",
    writer=Writer(
        suffixes=(".tif", ".tiff"),
        holds_alpha=True,
        options={"compression": "tiff_lzw"},
        metadata=ALL_METADATA,
        complete=_complete,
        rows=_rows,
    ),
)
