"""PPM, PGM and PBM (netpbm's P1 to P6): raw ones of 8 bits a sample in rows, the others by Pillow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from fastnst.pictures.format import Format, Writer
from fastnst.pictures.metadata import Metadata
from fastnst.pictures.rows import RawRows, RawWriter

_HEADER_BYTES = 1 << 12
_NUMBER = rb"(?:[ \t\r\n\v\f]+|#[^\n]*\n)+([0-9]{1,9})"
_RAW = rb"P([56])" + 3 * _NUMBER + rb"[ \t\r\n\v\f]"


def _open_rows(path: Path, file: BinaryIO) -> RawRows | None:
    match = re.match(_RAW, file.read(_HEADER_BYTES))
    if not match:
        return None
    kind, width, height, maximum = (int(group) for group in match.groups())
    return RawRows(path, file, (height, width, 1 if kind == 5 else 3), match.end()) if maximum == 255 else None


class PpmWriter(RawWriter):
    """Writes a raw PPM in rows."""

    def __init__(self, file: BinaryIO, size: tuple[int, int], alpha: bool, kept: Metadata, threads: int) -> None:
        super().__init__(file, size, alpha, kept, threads)
        self.holds_alpha = False
        file.write(f"P6\n{size[1]} {size[0]}\n255\n".encode())


FORMAT = Format(
    name="PPM",
    suffixes=(".ppm", ".pgm", ".pbm", ".pnm"),
    recognises=lambda head: head[:1] == b"P" and head[1:2] in b"123456" and (head[2:3].isspace() or head[2:3] == b"#"),
    decoders=("PPM",),
    open_rows=_open_rows,
    writer=Writer(suffixes=(".ppm",), holds_alpha=False, rows=lambda: PpmWriter, always_rows=True),
)
