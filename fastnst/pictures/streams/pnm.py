"""Raw PPM, PGM (P6, P5) and PAM (P7) pictures with 8 bits a sample, in rows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fastnst.pictures import pam
from fastnst.pictures.picture import ImageError
from fastnst.pictures.streams.base import RowWriter, SampleRows, Samples

_HEADER_BYTES = 1 << 12
_NUMBER = rb"(?:[ \t\r\n\v\f]+|#[^\n]*\n)+([0-9]{1,9})"
_PNM = re.compile(rb"P([56])" + 3 * _NUMBER + rb"[ \t\r\n\v\f]")


class PnmRows(SampleRows):
    """A raw PPM, PGM or PAM file.

    Raises:
        ImageError: a PAM of another kind, a size that the file is too short for.
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


def open_pnm(path: Path, file: BinaryIO) -> PnmRows | None:
    """The rows of a raw PPM, PGM or PAM with 8 bits; ``None`` if it is no such file.

    Raises:
        ImageError: a PAM of another kind than grey or RGB with or without alpha and a maximum of 255; a file cut short.
    """
    head = file.read(_HEADER_BYTES)
    if match := _PNM.match(head):
        kind, width, height, maximum = (int(group) for group in match.groups())
        if maximum != 255:
            return None
        return PnmRows(path, file, (height, width, 1 if kind == 5 else 3), match.end())
    if not head.startswith(pam.MAGIC):
        return None
    file.seek(0)
    try:
        found = pam.read_header(file)
    except ValueError as error:
        raise ImageError(f"{path}: broken picture: {error}") from None
    return PnmRows(path, file, (found.height, found.width, found.depth), found.length)


class PnmWriter(RowWriter):
    """A raw PPM, or a PAM, which holds transparency."""

    def __init__(self, file: BinaryIO, height: int, width: int, alpha: bool, is_pam: bool) -> None:
        super().__init__(alpha and is_pam)
        self._file = file
        file.write(pam.header(height, width, alpha) if is_pam else f"P6\n{width} {height}\n255\n".encode())

    def write(self, rows: Samples) -> None:
        self._file.write(np.ascontiguousarray(rows).data)

    def finish(self) -> None:
        """Nothing follows the last row."""
