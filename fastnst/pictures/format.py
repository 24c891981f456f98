"""What has to be known about a picture format, for :mod:`fastnst.pictures.formats`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple

from fastnst.pictures.metadata import Metadata
from fastnst.pictures.profile import srgb_profile
from fastnst.pictures.rows import FileWriter, Rows
from fastnst.pictures.samples import PictureFile

ALL_METADATA = ("EXIF", "XMP", "IPTC", "resolution")


class Writer(NamedTuple):
    """How files of a format are written. Pillow encodes a picture that is in memory, under the name of the format, unless it is
    written in rows too.

    Attributes:
        suffixes: of the files, in lower case with their dot, the usual one first.
        holds_alpha: whether the format has transparency.
        options: arguments of Pillow's encoder. A ``quality`` among them is the default of what users can choose.
        lossless: the arguments that take their place for a file from which the same pixels are read; ``None``: there are none.
        metadata: the names of what the format can hold, of ``ALL_METADATA``.
        max_metadata: the bytes that each of EXIF, XMP and IPTC may have; larger ones are left out.
        arguments: further arguments of Pillow's encoder, for metadata and the tag that says that the colours are sRGB.
        complete: makes the final file of what Pillow has written, where its encoder cannot hold the metadata.
        rows: gives the class that writes a picture in rows, if the format can be written so.
        always_rows: it writes pictures that are in memory too, and Pillow none.
    """

    suffixes: tuple[str, ...]
    holds_alpha: bool
    options: Mapping[str, Any] = MappingProxyType({})
    lossless: Mapping[str, Any] | None = MappingProxyType({})
    metadata: tuple[str, ...] = ()
    max_metadata: int | None = None
    arguments: Callable[[Metadata], dict[str, Any]] | None = None
    complete: Callable[[bytes, Metadata], bytes] | None = None
    rows: Callable[[], type[FileWriter]] | None = None
    always_rows: bool = False

    @property
    def has_quality(self) -> bool:
        """Whether users can choose a quality."""
        return "quality" in self.options


class Format(NamedTuple):
    """A picture format.

    Attributes:
        name: as in messages. Pillow knows a format that is written by the same name, in any case.
        suffixes: of files that are read, in lower case with their dot.
        recognises: tells from the first bytes of a file, up to 64, whether it is of this format.
        decoders: Pillow's names of the decoders that may read it.
        prepare: called before these are used, where they have to be installed or registered, which raises ``KindError``, or
            where Pillow imports all of its modules otherwise, or five of them.
        open: a reader of our own. It gets a file at its start and returns the picture, or ``None`` to leave it to Pillow. It
            raises ``KindError`` for a kind that is not read here, and ``ValueError`` for a damaged file.
        open_rows: the same for a file that needs no decoding, to be read in rows; it raises ``ImageError`` for both. What
            ``open`` returns is read in rows too.
        vips_loader: libvips' name of its loader, if that can read the format in rows.
        writer: how it is written, if it is.
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    decoders: tuple[str, ...] = ()
    prepare: Callable[[], object] | None = None
    open: Callable[[BinaryIO], PictureFile | None] | None = None
    open_rows: Callable[[Path, BinaryIO], Rows | None] | None = None
    vips_loader: str | None = None
    writer: Writer | None = None


def begins(*signatures: bytes) -> Callable[[bytes], bool]:
    """Recognises files that begin with one of these."""
    return lambda head: head.startswith(signatures)


def brands(head: bytes) -> set[bytes]:
    """The brands of an ISO base media file (ISO 14496-12), whose first bytes these are; empty for other files."""
    if head[4:8] != b"ftyp":  # the major brand, a version, and the compatible brands
        return set()
    end = min(len(head), int.from_bytes(head[:4], "big"))
    return {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}


def resolution_argument(kept: Metadata) -> dict[str, Any]:
    """Pillow's argument for the resolution."""
    return {"dpi": kept.dpi} if kept.dpi else {}


def profile_arguments(kept: Metadata) -> dict[str, Any]:
    """Pillow's arguments for the sRGB profile, EXIF and XMP."""
    exif = kept.exif_bytes()
    found: dict[str, Any] = {"icc_profile": srgb_profile()}
    if exif:
        found["exif"] = b"Exif\0\0" + exif
    if kept.xmp:
        found["xmp"] = kept.xmp
    return found
