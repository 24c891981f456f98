"""PNG (ISO 15948): read by :mod:`fastnst.pictures.png_reader`, written by :mod:`fastnst.pictures.png_writer`."""

from __future__ import annotations

from typing import BinaryIO

from fastnst.pictures.format import ALL_METADATA, Format, Writer, begins
from fastnst.pictures.rows import FileWriter
from fastnst.pictures.samples import PictureFile


def _open(file: BinaryIO) -> PictureFile | None:
    from fastnst.pictures.png_reader import open_png

    return open_png(file)


def _rows() -> type[FileWriter]:
    from fastnst.pictures.png_writer import PngWriter

    return PngWriter


FORMAT = Format(
    name="PNG",
    suffixes=(".png", ".apng"),
    recognises=begins(b"\x89PNG"),
    open=_open,
    vips_loader="pngload_source",
    writer=Writer(suffixes=(".png",), holds_alpha=True, metadata=ALL_METADATA, rows=_rows, always_rows=True),
)
