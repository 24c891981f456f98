"""Kinds of picture files: those that are read, and those that are known only to be refused by name."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from fastnst.pictures import pam
from fastnst.pictures.picture import KindError
from fastnst.system.atomic import PIPE, peeked_input

# Without a handler of the application's own, Pillow's log would go to stderr, beside the one line that a failure is.
logging.getLogger("PIL").addHandler(logging.NullHandler())

# Decoders are an allow-list: Pillow has dozens more, seldom used and seldom looked after. PNG and TIFF have readers of
# our own, but for TIFFs with JPEG as it was before their second technical note.
PILLOW_FORMATS = ("JPEG", "WEBP", "AVIF", "TIFF", "BMP", "DIB", "PPM", pam.PamFile.format)
READ_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".avif", ".heic", ".heif", ".tif", ".tiff", ".btf",
     ".svs", ".bmp", ".dib", ".ppm", ".pgm", ".pbm", ".pnm", ".pam")
)  # fmt: skip
OTHER_SUFFIXES = frozenset(
    (".gif", ".jp2", ".j2k", ".jpf", ".jpx", ".jpm", ".jxl", ".jxr", ".wdp", ".tga", ".pcx", ".ico", ".psd", ".psb", ".xcf",
     ".exr", ".hdr", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".ndpi", ".hif", ".avifs", ".qoi")
)  # fmt: skip
"""Of pictures that are not read here: a folder run says so, and reads those whose content is another."""
VIDEO_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m1v", ".m2v", ".vob", ".ts", ".mts", ".m2ts",
     ".3gp", ".3g2", ".ogv", ".ogm", ".wmv", ".asf", ".flv", ".f4v", ".mxf", ".nut", ".ivf", ".dv", ".rm", ".rmvb", ".h264",
     ".264", ".avc", ".h265", ".265", ".hevc", ".obu", ".y4m")
)  # fmt: skip

FORMAT_NAMES = "JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP, PPM or PAM"
HEAD_BYTES = 64
_SIGNATURES = (
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"II\xbc", "JPEG XR"),
    (b"8BPS", "Photoshop"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"gimp xcf", "GIMP"),
    (b"\0\0\1\0", "Windows icon"),
    (b"qoif", "QOI"),
    (b"FUJIFILM", "raw Fujifilm"),
    (b"IIRO", "raw Olympus"),
    (b"IIU\0", "raw Panasonic"),
    (b"%PDF", "PDF"),
    (b"<svg", "SVG"),
)
"""How files of other kinds begin."""
_OWN = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"P7\n", "PAM"),
)
"""How files of kinds that are read begin."""
_BRANDS = {
    "raw Canon": {b"crx "},
    "AVIF": {b"avif", b"avis"},
    "HEIC": {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"},
}


def read_head(path: Path) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def kind_of(head: bytes) -> str | None:
    """The kind of picture that begins so, read here or not; ``None`` if it is none that is known."""
    for start, name in (*_OWN, *_SIGNATURES):
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "PPM"
    brands: set[bytes] = set()
    if head[4:8] == b"ftyp":  # ISO base media: a major brand, a version, and the others
        end = min(len(head), int.from_bytes(head[:4], "big"))
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}
    return next((name for name, its in _BRANDS.items() if its & brands), None)


def usual_suffix(path: Path) -> str:
    """That of the kind of picture in a file, or ``.png`` where it is none that is written."""
    kinds = {"JPEG": ".jpg", "WebP": ".webp", "TIFF": ".tif", "BMP": ".bmp", "PPM": ".ppm", "PAM": ".pam", "AVIF": ".avif"}
    head = peeked_input() if path == PIPE else read_head(path)
    return kinds.get(kind_of(head) or "", ".png")


def is_read(kind: str | None) -> bool:
    """Whether files of this kind are read here, some of them at least."""
    return kind in (*(name for _, name in _OWN), "WebP", "PPM", "AVIF", "HEIC")


def opened(file: BinaryIO) -> Image.Image:
    """The picture in ``file`` as Pillow has it before any pixels are decoded; unlike ``Image.open`` of any size.

    Raises:
        KindError: what reads it is not installed.
        UnidentifiedImageError: it is of no kind that is read by Pillow.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    Image.init()
    for name in pillow_formats(kind_of(head)):
        opener, accept = Image.OPEN.get(name, (None, None))
        if opener is not None and (accept is None or accept(head) is True):
            file.seek(0)
            with warnings.catch_warnings():  # of metadata that is odd, but readable
                warnings.simplefilter("ignore")
                return opener(file, "")
    raise UnidentifiedImageError


def pillow_formats(kind: str | None) -> tuple[str, ...]:
    """What Pillow may take a file of this kind for.

    Raises:
        KindError: what reads it is not installed.
    """
    if kind == "AVIF":
        Image.init()
        if "AVIF" not in Image.OPEN:
            raise KindError("AVIF pictures need a Pillow that is built with libavif")
    if kind != "HEIC":
        return PILLOW_FORMATS
    try:
        import pillow_heif
    except (ImportError, OSError):  # the latter: the Python part is there, its library is not
        raise KindError("HEIC pictures need the extra heif: pip install 'fastnst[heif]'") from None
    pillow_heif.register_heif_opener()
    return ("HEIF",)
