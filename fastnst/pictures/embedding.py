"""Metadata and the tag of sRGB, as each format has them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import PngImagePlugin

from fastnst.pictures.directories import UNDEFINED, Directory, read_directory, read_form, written
from fastnst.pictures.metadata import Metadata, photoshop_resources
from fastnst.pictures.profile import srgb_profile
from fastnst.pictures.tiff_tags import PROFILE

_METRE = 0.0254  # metres of an inch


def in_boxes(kept: Metadata) -> dict[str, Any]:
    """Arguments of Pillow's, for most formats."""
    exif = kept.exif_bytes()
    found: dict[str, Any] = {"icc_profile": srgb_profile()}
    if exif:
        found["exif"] = b"Exif\0\0" + exif
    if kept.xmp:
        found["xmp"] = kept.xmp
    return found


def in_header(kept: Metadata) -> dict[str, Any]:
    """Arguments of Pillow's for formats with nothing but a resolution."""
    return {"dpi": kept.dpi} if kept.dpi else {}


def in_jpeg(kept: Metadata) -> dict[str, Any]:
    """Arguments of Pillow's for a JPEG."""
    found = in_boxes(kept) | in_header(kept)
    if kept.iptc:
        data = b"Photoshop 3.0\0" + photoshop_resources(kept.iptc)
        found["extra"] = b"\xff\xed" + (len(data) + 2).to_bytes(2, "big") + data
    return found


def in_png(kept: Metadata) -> dict[str, Any]:
    """Arguments of Pillow's for a PNG, with what :func:`png_chunks` gives."""
    info = PngImagePlugin.PngInfo()
    for kind, data in png_chunks(kept):
        if kind not in (b"eXIf", b"pHYs"):  # which Pillow takes by other names alone
            info.add(kind, data)
    exif = kept.exif_bytes()
    return {"pnginfo": info, **({"exif": exif} if exif else {}), **in_header(kept)}


def png_chunks(kept: Metadata) -> list[tuple[bytes, bytes]]:
    """Kinds and contents of the chunks before the pixels (ISO 15948; IPTC as ImageMagick and ExifTool have it)."""
    chunks = [(b"sRGB", b"\0")]
    if kept.dpi:
        across, down = (round(dots / _METRE) for dots in kept.dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", across, down, 1)))
    if kept.xmp:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + kept.xmp))
    if kept.iptc:
        resources = photoshop_resources(kept.iptc)
        digits = resources.hex()
        lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
        text = f"\niptc\n{len(resources):8}\n{lines}\n".encode()
        chunks.append((b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text)))
    exif = kept.exif_bytes()
    return [*chunks, *([(b"eXIf", exif)] if exif else [])]


def tiff_directory(kept: Metadata) -> Directory:
    """What the directory of a TIFF holds beside what says where the pixels are; the lowest byte first."""
    found = kept.tiff_tags()
    found.put_bytes(PROFILE, UNDEFINED, srgb_profile())
    return found


def with_tiff_directory(tiff: bytes, kept: Metadata) -> bytes:
    """A TIFF, the lowest byte first, with :func:`tiff_directory` in its own, which is written anew at the end."""
    file = io.BytesIO(tiff)
    start = read_form(file)
    assert start is not None
    form, offset = start
    top, more = read_directory(file, form, offset, len(tiff)), tiff_directory(kept)
    top.entries |= more.entries
    top.below |= more.below
    at = -(-len(tiff) // 8) * 8
    head = form.head(at)
    return head + tiff[len(head) :].ljust(at - len(head), b"\0") + written(top, form, at)
