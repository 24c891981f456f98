"""The metadata of a picture that is carried from a content to its output: EXIF, XMP, IPTC and resolution.

:mod:`fastnst.pictures.metadata_reader` reads it; each format writes it.
"""

from __future__ import annotations

import copy
import struct
from typing import NamedTuple

from fastnst.pictures.directories import BYTE, EXIF, LONG, RATIONAL, SHORT, UNDEFINED, XMP, Directory, Form, written

IPTC = 33723  # the tag of TIFF
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
INCH = 2  # a unit of resolution
PHOTOSHOP_IPTC = 0x0404  # the identifier of Photoshop's resource
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xA002, 0xA003


class Metadata(NamedTuple):
    """The metadata of a picture.

    Attributes:
        exif: the first directory of EXIF, with its subdirectories.
        xmp: an XMP packet.
        iptc: IPTC-IIM records.
        dpi: pixels per inch, across and down, if the file has them elsewhere than in EXIF.
    """

    exif: Directory | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parts that are present."""
        parts = {"EXIF": self.exif, "XMP": self.xmp, "IPTC": self.iptc, "resolution": self.dpi}
        return tuple(name for name, part in parts.items() if part)

    def of_size(self, width: int, height: int) -> Metadata:
        """The same for an output of this size, in pixels."""
        if self.exif is None or EXIF not in self.exif.below:
            return self
        exif = copy.deepcopy(self.exif)
        for tag, side in ((_PIXEL_WIDTH, width), (_PIXEL_HEIGHT, height)):
            if tag in exif.below[EXIF].entries:
                exif.below[EXIF].put(tag, LONG, side)
        return self._replace(exif=exif)

    def in_exif(self) -> Metadata:
        """The same with the resolution in EXIF, for formats that have no field for it."""
        if self.dpi is None or (self.exif is not None and X_RESOLUTION in self.exif.entries):
            return self._replace(dpi=None)
        exif = copy.deepcopy(self.exif) or Directory()
        for tag, dots in zip((X_RESOLUTION, Y_RESOLUTION), self.dpi, strict=True):
            exif.put(tag, RATIONAL, round(dots * 1000), 1000)
        exif.put(RESOLUTION_UNIT, SHORT, INCH)
        return self._replace(exif=exif, dpi=None)

    def exif_bytes(self) -> bytes:
        """EXIF as in a file, beginning with the byte order; empty if there is none."""
        if self.exif is None:
            return b""
        form = Form(self.exif.order)
        head = form.head(len(form.head(0)))
        return head + written(copy.deepcopy(self.exif), form, len(head), keep_places=True)

    def tiff_tags(self) -> Directory:
        """The metadata as TIFF tags, in little-endian order."""
        found = self.in_exif().exif
        found = Directory() if found is None else found.little()
        if self.xmp:
            found.put_bytes(XMP, BYTE, self.xmp)
        if self.iptc:
            found.put_bytes(IPTC, UNDEFINED, self.iptc)
        return found


def photoshop_resources(iptc: bytes) -> bytes:
    """IPTC-IIM records as a Photoshop image resource."""
    return b"8BIM" + struct.pack(">HHI", PHOTOSHOP_IPTC, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)
