"""PAM (netpbm's P7) of 8 bits a sample. Pillow does not know it: this module registers a reader and a writer there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

from PIL import Image, ImageFile

from fastnst.pictures.format import Format, Writer, begins
from fastnst.pictures.metadata import Metadata
from fastnst.pictures.picture import ImageError
from fastnst.pictures.rows import RawRows, RawWriter
from fastnst.pictures.samples import MODES

_KINDS = {"L": (1, "GRAYSCALE"), "LA": (2, "GRAYSCALE_ALPHA"), "RGB": (3, "RGB"), "RGBA": (4, "RGB_ALPHA")}
"""By Pillow's mode: samples of a pixel, and the field TUPLTYPE."""

_HEADER_BYTES = 1 << 12
_HEADER = rb"(?s)P7\n(.*?\n)ENDHDR\n"
_FIELD = rb"(?m)^(WIDTH|HEIGHT|DEPTH|MAXVAL)[ \t]+([0-9]{1,9})[ \t]*$"


class _Header(NamedTuple):
    """Height and width in pixels, samples of a pixel, and the bytes of the header."""

    height: int
    width: int
    depth: int
    length: int


def _read_header(file: IO[bytes]) -> _Header:
    """The header of a file at its start.

    Raises:
        ValueError: there is no complete header, or the picture is not grey or RGB, with or without alpha, of 8 bits a sample.
    """
    match = re.match(_HEADER, file.read(_HEADER_BYTES))
    if not match:
        raise ValueError("no end of the header")
    fields = {key: int(value) for key, value in re.findall(_FIELD, match[1])}
    width, height, depth, maximum = (fields.get(key, 0) for key in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    if maximum != 255 or depth not in MODES:
        raise ValueError(f"a PAM picture has a depth of 1 to 4 and a maximum of 255 here, not {depth} and {maximum}")
    return _Header(height, width, depth, match.end())


def _header(height: int, width: int, mode: str) -> bytes:
    depth, kind = _KINDS[mode]
    return f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {depth}\nMAXVAL 255\nTUPLTYPE {kind}\nENDHDR\n".encode()


class PamFile(ImageFile.ImageFile):
    """Pillow's reader."""

    format = "PAM"
    format_description = "Portable arbitrary map"

    def _open(self) -> None:
        assert self.fp is not None
        head = _read_header(self.fp)
        if not head.height or not head.width:
            raise ValueError("a picture without pixels")
        self._mode, self._size = MODES[head.depth], (head.width, head.height)
        self.tile = [ImageFile._Tile("raw", (0, 0, *self._size), head.length, (self._mode, 0, 1))]


def _save(image: Image.Image, file: IO[bytes], _name: str | bytes) -> None:
    if image.mode not in _KINDS:
        raise OSError(f"cannot write mode {image.mode} as PAM")
    file.write(_header(image.height, image.width, image.mode))
    file.write(image.tobytes())


def _open_rows(path: Path, file: BinaryIO) -> RawRows:
    try:
        found = _read_header(file)
    except ValueError as error:
        raise ImageError(f"{path}: broken picture: {error}") from None
    return RawRows(path, file, (found.height, found.width, found.depth), found.length)


class PamWriter(RawWriter):
    """Writes a PAM in rows."""

    def __init__(self, file: BinaryIO, size: tuple[int, int], alpha: bool, kept: Metadata, threads: int) -> None:
        super().__init__(file, size, alpha, kept, threads)
        file.write(_header(*size, "RGBA" if alpha else "RGB"))


FORMAT = Format(
    name="PAM",
    suffixes=(".pam",),
    recognises=begins(b"P7\n"),
    decoders=(PamFile.format,),
    open_rows=_open_rows,
    writer=Writer(suffixes=(".pam",), holds_alpha=True, rows=lambda: PamWriter, always_rows=True),
)

Image.register_open(PamFile.format, PamFile, FORMAT.recognises)
Image.register_save(PamFile.format, _save)
Image.register_extension(PamFile.format, ".pam")
