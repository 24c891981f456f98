"""Reads the metadata of a picture file.

The output is upright, in sRGB, and may have another size: metadata about these is corrected, and thumbnails are left out.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from fastnst.pictures.directories import (
    BELOW,
    EXIF,
    INTEROPERABILITY,
    MAKER_NOTE,
    ORIENTATION,
    SHORT,
    XMP,
    Directory,
    read_directory,
    read_form,
)
from fastnst.pictures.metadata import (
    INCH,
    IPTC,
    PHOTOSHOP_IPTC,
    RESOLUTION_UNIT,
    X_RESOLUTION,
    Y_RESOLUTION,
    Metadata,
)
from fastnst.pictures.reading import open_file
from fastnst.pictures.registry import opened

_COLOR_SPACE, _INTEROPERABILITY_INDEX = 0xA001, 1
_KEPT = frozenset((
    269, 270, 271, 272, X_RESOLUTION, Y_RESOLUTION, 285, RESOLUTION_UNIT, 305, 306, 315, 316, 33432,  # TIFF 6.0
    18246, 18249,  # ratings
    *range(40091, 40096),  # titles, comments and so on of Windows
))  # fmt: skip
"""Tags of the first directory that are carried over: those that are not about how pixels are stored."""
_MAX_BYTES = 1 << 22  # of a directory
_MAX_DPI = 1_000_000
_CENTIMETRE = 3
_UNITS = (1, INCH, _CENTIMETRE)
_XMP_FIXES = (
    (rb'(tiff:Orientation\s*=\s*["\'])\s*[0-9]+', rb"\g<1>1"),
    (rb"(<tiff:Orientation[^>]*>)\s*[0-9]+", rb"\g<1>1"),
    (rb'(exif:ColorSpace\s*=\s*["\'])\s*[0-9]+', rb"\g<1>1"),
    (rb"(<exif:ColorSpace[^>]*>)\s*[0-9]+", rb"\g<1>1"),
    (rb'photoshop:ICCProfile\s*=\s*("[^"]*"|\'[^\']*\')', b""),
    (rb"(?s)<photoshop:ICCProfile>.*?</photoshop:ICCProfile>", b""),
    (rb"(?s)<(xmp|xap):Thumbnails\b.*?</\1:Thumbnails>", b""),
    (rb'xmpNote:HasExtendedXMP\s*=\s*("[^"]*"|\'[^\']*\')', b""),
    (rb"(?s)<xmpNote:HasExtendedXMP>.*?</xmpNote:HasExtendedXMP>", b""),
)
"""Statements of XMP about orientation, colours, thumbnails and a second packet, which is left out, and what replaces them."""


def read_metadata(file: BinaryIO) -> Metadata:
    """The metadata of the picture in ``file``, without damaged parts."""
    file.seek(0)
    try:
        found = _from_tiff(file) or _from_info(_info(file))
    except MemoryError:
        raise
    except Exception:  # programs write it in many ways, and the pixels are valid without it
        return Metadata()
    return found


def _info(file: BinaryIO) -> Mapping[Any, Any]:
    """As ``PIL.Image.Image.info`` of a file that is no TIFF."""
    if own := open_file(file):
        return own.info
    image = opened(file)
    photoshop = image.info.get("photoshop")
    return {**image.info, "iptc": photoshop.get(PHOTOSHOP_IPTC) if isinstance(photoshop, dict) else None}


def _from_tiff(file: BinaryIO) -> Metadata | None:
    start = read_form(file)
    if start is None:
        return None
    form, offset = start
    top = read_directory(file, form, offset, _MAX_BYTES, _KEPT.union(BELOW, (XMP, IPTC)))
    dots = [(top.numbers(tag)) for tag in (X_RESOLUTION, Y_RESOLUTION)]
    unit = {INCH: 1.0, _CENTIMETRE: 2.54}.get((top.numbers(RESOLUTION_UNIT) or [INCH])[0])
    for tag in (X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT):
        top.entries.pop(tag, None)
    xmp, iptc = (top.entries.pop(tag, None) for tag in (XMP, IPTC))
    for each in top.all():
        each.entries.pop(MAKER_NOTE, None)  # they contain offsets of the file
    return Metadata(
        exif=_set_right(top),
        xmp=_xmp_set_right(xmp.data) if xmp else None,
        iptc=iptc.data.rstrip(b"\0") if iptc else None,
        dpi=_dpi([unit * each[0] / each[1] for each in dots]) if unit and all(len(e) == 2 and e[1] for e in dots) else None,
    )


def _dpi(dots: Sequence[Any]) -> tuple[float, float] | None:
    found = float(dots[0]), float(dots[1])
    return found if all(0 < each < _MAX_DPI for each in found) else None


def _from_info(info: Mapping[Any, Any]) -> Metadata:
    exif = info.get("exif") or _hexadecimal(info.get("Raw profile type exif"))
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") or _hexadecimal(info.get("Raw profile type xmp"))
    iptc = info.get("iptc") or _without_photoshop(_hexadecimal(info.get("Raw profile type iptc")))
    dpi = info.get("dpi")
    return Metadata(
        exif=_exif(exif) if exif else None,
        xmp=_xmp_set_right(xmp.encode() if isinstance(xmp, str) else xmp) if xmp else None,
        iptc=iptc or None,
        dpi=_dpi(dpi) if dpi else None,
    )


def _exif(data: bytes) -> Directory | None:
    try:
        file = io.BytesIO(data.removeprefix(b"Exif\0\0"))
        start = read_form(file)
        return _set_right(read_directory(file, *start, _MAX_BYTES, _KEPT.union(BELOW))) if start else None
    except (ValueError, struct.error):
        return None


def _set_right(top: Directory) -> Directory | None:
    """EXIF corrected for an upright picture in sRGB; ``None`` if nothing is left."""
    if (top.numbers(RESOLUTION_UNIT) or [INCH])[0] not in _UNITS:  # the unit of the resolution is unknown
        for tag in (X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT):
            top.entries.pop(tag, None)
    below = top.below.get(EXIF)
    if below is not None:
        if below.numbers(_COLOR_SPACE):
            below.put(_COLOR_SPACE, SHORT, 1)
        index = below.below.get(INTEROPERABILITY, Directory()).entries.get(_INTEROPERABILITY_INDEX)
        if index is None or not index.data.startswith(b"R98"):  # another colour space
            below.below.pop(INTEROPERABILITY, None)
    if not top.entries and not top.below:
        return None
    top.put(ORIENTATION, SHORT, 1)
    return top


def _xmp_set_right(packet: bytes) -> bytes:
    packet = packet.rstrip(b"\0")
    for pattern, instead in _XMP_FIXES:
        packet = re.sub(pattern, instead, packet)
    return packet


def _hexadecimal(text: str | bytes | None) -> bytes:
    """The content of a raw profile as ImageMagick writes it: a line with its kind, one with its length, then digits."""
    if not text:
        return b""
    lines = (text if isinstance(text, str) else text.decode("latin-1")).strip().split("\n")
    return bytes.fromhex("".join(lines[2:]))


def _without_photoshop(data: bytes) -> bytes:
    """The IPTC-IIM records in Photoshop image resources, or ``data`` itself if it is such records."""
    at = 0
    while data[at : at + 4] == b"8BIM":
        kind = int.from_bytes(data[at + 4 : at + 6], "big")
        at += 6 + (data[at + 6] + 2) // 2 * 2  # a name, which begins with its length
        length = int.from_bytes(data[at : at + 4], "big")
        if kind == PHOTOSHOP_IPTC:
            return data[at + 4 : at + 4 + length]
        at += 4 + (length + 1) // 2 * 2
    return b"" if at else data
