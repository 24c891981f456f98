"""Pictures that are read and written in rows, so that no more than a few of them are in memory at once.

Raw PPM and PAM are read here, PNG and TIFF by :mod:`fastnst.pictures`; with the `big` extra libvips reads large JPEG in rows,
and TIFF of a single strip. Everything else is decoded whole. PPM, PAM, TIFF and PNG are written in rows.
"""

from fastnst.pictures.streams.base import (
    CHUNK_BYTES,
    ArrayRows,
    ArrayWriter,
    FilledRows,
    Rows,
    RowWriter,
    WholeWriter,
    filling_of,
)
from fastnst.pictures.streams.files import open_rows, open_writer, writing_memory, written_in_rows

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
