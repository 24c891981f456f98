"""The picture formats: those of :mod:`fastnst.pictures.formats`, and others, which are known only to be refused by name."""

from __future__ import annotations

import logging
import struct
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from fastnst.pictures import formats
from fastnst.pictures.format import Format, brands
from fastnst.system.atomic import PIPE, peeked_input

# Without a handler of the application's own, Pillow's log would go to stderr, beside the one line that a failure is.
logging.getLogger("PIL").addHandler(logging.NullHandler())

HEAD_BYTES = 64
_NOT_OF_THE_FORMAT = (SyntaxError, IndexError, TypeError, struct.error)
"""What Pillow's decoders raise where a file only begins as one of theirs."""


def _found() -> list[Format]:
    names = sorted(module.name for module in iter_modules(formats.__path__))
    return [import_module(f"{formats.__name__}.{name}").FORMAT for name in names]


FORMATS: dict[str, Format] = {each.name: each for each in _found()}
"""All formats by their names. The decoders are an allow-list, because each one can be attacked: Pillow has dozens more, seldom
used and seldom looked after."""
READ_SUFFIXES = frozenset(suffix for each in FORMATS.values() for suffix in each.suffixes)
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
_RAW_CANON = b"crx "  # a brand


def read_head(path: Path) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def format_of(head: bytes) -> Format | None:
    """The format of a picture file that begins so; ``None`` if it is none that is read here."""
    return next((each for each in FORMATS.values() if each.recognises(head)), None)


def name_of(head: bytes) -> str | None:
    """The name of the format of a picture file that begins so, read here or not; ``None`` if it is none that is known."""
    if found := format_of(head):
        return found.name
    if _RAW_CANON in brands(head):
        return "raw Canon"
    return next((name for start, name in _SIGNATURES if head.startswith(start)), None)


def usual_suffix(path: Path) -> str:
    """The usual suffix of the format of a picture file, or ``.png`` where the format is not written."""
    found = format_of(peeked_input() if path == PIPE else read_head(path))
    return found.writer.suffixes[0] if found and found.writer else ".png"


def opened(file: BinaryIO) -> Image.Image:
    """The picture in ``file`` as Pillow has it before any pixels are decoded; unlike ``Image.open`` of any size.

    Raises:
        KindError: what reads it is not installed.
        UnidentifiedImageError: Pillow does not read it here.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    for name in decoders(head):
        for load in (Image.preinit, Image.init):  # the usual ones of Pillow's modules; all, which takes as long as a picture
            if name not in Image.OPEN:
                load()
        opener, accept = Image.OPEN.get(name, (None, None))
        with warnings.catch_warnings(), suppress(*_NOT_OF_THE_FORMAT):
            warnings.simplefilter("ignore")  # about metadata that is odd, but readable
            if opener is not None and (accept is None or accept(head) is True):
                file.seek(0)
                return opener(file, "")
    raise UnidentifiedImageError


def decoders(head: bytes) -> tuple[str, ...]:
    """Pillow's names of the decoders that may read a file that begins so, even where no format recognises it.

    Raises:
        KindError: what reads it is not installed.
    """
    found = format_of(head)
    if found is None:
        return tuple(name for each in FORMATS.values() if each.prepare is None for name in each.decoders)
    if found.prepare:
        found.prepare()
    return found.decoders
