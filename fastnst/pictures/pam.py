"""PAM pictures (netpbm's P7) of 8 bits a sample, for Pillow, which does not know them: importing this teaches it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import IO

from PIL import Image, ImageFile

MAGIC = b"P7\n"
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""Pillow's, by the samples of a pixel."""

_HEADER_BYTES = 1 << 12
_HEADER = re.compile(rb"P7\n(.*?\n)ENDHDR\n", re.DOTALL)
_FIELD = re.compile(rb"^(WIDTH|HEIGHT|DEPTH|MAXVAL)[ \t]+([0-9]{1,9})[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Header:
    """Sides in pixels, samples of a pixel, and where they begin."""

    height: int
    width: int
    depth: int
    length: int


def read_header(file: IO[bytes]) -> Header:
    """The header at the place where ``file`` is.

    Raises:
        ValueError: no complete header, or one of other pictures than grey or RGB with or without alpha in 8 bits.
    """
    match = _HEADER.match(file.read(_HEADER_BYTES))
    if not match:
        raise ValueError("no end of the header")
    fields = {key: int(value) for key, value in _FIELD.findall(match[1])}
    width, height, depth, maximum = (fields.get(key, 0) for key in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    if maximum != 255 or depth not in MODES:
        raise ValueError(f"a PAM picture has a depth of 1 to 4 and a maximum of 255 here, not {depth} and {maximum}")
    return Header(height, width, depth, match.end())


def header(height: int, width: int, alpha: bool) -> bytes:
    """The header of an RGB picture."""
    depth, kind = (4, "RGB_ALPHA") if alpha else (3, "RGB")
    return f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {depth}\nMAXVAL 255\nTUPLTYPE {kind}\nENDHDR\n".encode()


class PamFile(ImageFile.ImageFile):
    """Pillow's face of a PAM file."""

    format = "PAM"
    format_description = "Portable arbitrary map"

    def _open(self) -> None:
        assert self.fp is not None
        head = read_header(self.fp)
        if not head.height or not head.width:
            raise ValueError("a picture without pixels")
        self._mode, self._size = MODES[head.depth], (head.width, head.height)
        self.tile = [ImageFile._Tile("raw", (0, 0, *self._size), head.length, (self._mode, 0, 1))]


def _save(image: Image.Image, file: IO[bytes], _name: str | bytes) -> None:
    file.write(header(image.height, image.width, image.mode == "RGBA"))
    file.write(image.tobytes())


Image.register_open("PAM", PamFile, lambda head: head.startswith(MAGIC))
Image.register_save("PAM", _save)
Image.register_extension("PAM", ".pam")
