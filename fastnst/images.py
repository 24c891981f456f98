"""Picture files in and out: every kind of JPEG, PNG, WebP, TIFF, BMP, PPM and PAM becomes 8-bit sRGB, and outputs are atomic.

What a file holds beyond 8-bit sRGB is handled here and nowhere else: EXIF orientation, embedded colour profiles, transparency,
grey, palettes, CMYK and deep pixels. Of an animation only the first frame is read.
"""

from __future__ import annotations

import io
import itertools
import logging
import os
import platform
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from fastnst import pam

MAX_PIXELS = 100_000_000  # A 0.6 MB file can unpack to any size; this one still needs no more than 300 MB.

# Without a handler of the application's own, Pillow's log would go to stderr, beside the one line that a failure is.
logging.getLogger("PIL").addHandler(logging.NullHandler())

# Decoders are an allow-list: Pillow has dozens more, seldom used and seldom looked after.
READ_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM", pam.PamFile.format)
READ_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".ppm", ".pgm", ".pbm", ".pnm", ".pam")
)
VIDEO_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m1v", ".m2v", ".vob", ".ts", ".mts", ".m2ts",
     ".3gp", ".3g2", ".ogv", ".ogm", ".wmv", ".asf", ".flv", ".f4v", ".mxf", ".nut", ".ivf", ".dv", ".rm", ".rmvb", ".h264",
     ".264", ".avc", ".h265", ".265", ".hevc", ".obu", ".y4m")
)  # fmt: skip
_DEEP_MODES = frozenset(("I", "F", "I;16", "I;16L", "I;16B", "I;16N"))
_GREY_MODES = frozenset(("1", "L", "LA", "La"))


class ImageError(ValueError):
    """A picture that cannot be read or written; the message is one line that says which file and why."""


@dataclass(frozen=True)
class Picture:
    """An upright 8-bit sRGB picture, mode ``RGB``, and its transparency where it has one, mode ``L`` of the same size."""

    rgb: Image.Image
    alpha: Image.Image | None = None

    def image(self) -> Image.Image:
        """One image: mode ``RGBA``, or ``RGB`` without transparency."""
        if self.alpha is None:
            return self.rgb
        image = self.rgb.copy()
        image.putalpha(self.alpha)
        return image

    def flattened(self) -> Image.Image:
        """Mode ``RGB``, as seen on white paper."""
        if self.alpha is None:
            return self.rgb
        return Image.composite(self.rgb, Image.new("RGB", self.rgb.size, "white"), self.alpha)


@dataclass(frozen=True)
class _Writer:
    format: str
    holds_alpha: bool
    options: Mapping[str, Any] = field(default_factory=dict)


_JPEG = _Writer("JPEG", False, {"quality": 95, "subsampling": "4:4:4"})
_TIFF = _Writer("TIFF", True, {"compression": "tiff_lzw"})
_WRITERS = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".png": _Writer("PNG", True),
    # "exact" keeps the colours below transparent pixels; the transparency itself is stored without loss.
    ".webp": _Writer("WEBP", True, {"quality": 95, "exact": True}),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": _Writer("BMP", False),
    ".ppm": _Writer("PPM", False),
    ".pam": _Writer(pam.PamFile.format, True),
}
WRITE_SUFFIXES = tuple(_WRITERS)


# ---- reading ----------------------------------------------------------------------------------------------------------------


def require_file(path: Path, kind: str = "picture") -> None:
    """Raise :class:`ImageError` unless ``path`` is a regular file that is not empty; ``kind`` is what it should be."""
    if path.is_dir():
        raise ImageError(f"{path}: is a folder, not a {kind}")
    if not path.exists():
        raise ImageError(f"{path}: no such file")
    if not path.is_file():
        raise ImageError(f"{path}: not a regular file")
    if path.stat().st_size == 0:
        raise ImageError(f"{path}: is empty")


def open_picture(path: Path) -> Picture:
    """The picture in the file ``path``, upright and in sRGB.

    Raises:
        ImageError: no picture, a broken one, or one of more than ``MAX_PIXELS``; nothing is decoded in the last case.
    """
    require_file(path)
    try:
        # Pillow warns about what is odd but readable, and of bombs below our own limit; whoever asked for a picture gets it.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=READ_FORMATS) as image:
                _check_size(*image.size)
                image.load()
                _turn_upright(image)
                return to_srgb(image)
    except MemoryError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"{path}: {_what_else(path)}") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{path}: more than {MAX_PIXELS // 10**6} megapixels") from None
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or f'broken picture: {error}'}") from error
    except Exception as error:  # Decoders meet hostile bytes; Pillow lets out whatever its parsers stumbled over.
        raise ImageError(f"{path}: broken picture: {error}") from error


def _what_else(path: Path) -> str:
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return "is a video, not a picture"
    return "not a picture in JPEG, PNG, WebP, TIFF, BMP, PPM or PAM format"


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height} is more than {MAX_PIXELS // 10**6} megapixels")


def _turn_upright(image: Image.Image) -> None:
    # EXIF is a format of its own, often damaged by editors; the pixels are good without it.
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)


def to_srgb(image: Image.Image) -> Picture:
    """8-bit sRGB of an image of any mode.

    An embedded colour profile is applied, a broken or unsuitable one ignored; without one, colours are taken to be sRGB.
    16-bit grey is scaled, rounded to nearest. Mode ``I`` is taken as 16-bit and mode ``F`` as 0..1. 16-bit colour is 8-bit
    already when Pillow hands it over.

    Raises:
        ValueError: values of mode ``I`` or ``F`` outside those ranges, or a mode without a conversion to RGB.
    """
    profile = image.info.get("icc_profile")
    if image.mode in _DEEP_MODES:
        image = _eight_bit(image)
    grey = image.mode in _GREY_MODES
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if grey else "RGBA")
        alpha = image.getchannel("A")
    if profile:
        if image.mode != "CMYK":
            image = image.convert("L" if grey else "RGB")
        image = _apply_profile(image, profile)
    rgb = image.convert("RGB")  # a copy at least
    rgb.info = {}  # What is left there describes the file, not these pixels, and would be written into the output.
    return Picture(rgb, alpha)


def _eight_bit(image: Image.Image) -> Image.Image:
    """A deep grey image as mode ``L``, or ``LA`` where one of its values is marked as transparent."""
    values = np.asarray(image)
    top = 1 if image.mode == "F" else 65535
    if not (values.min() >= 0 and values.max() <= top):  # written so that NaN is refused
        raise ValueError(f"{'float' if top == 1 else 'integer'} pixels outside 0..{top}")
    if image.mode == "F":
        grey = np.rint(values * np.float32(255)).astype(np.uint8)
    else:
        grey = ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    result = Image.fromarray(grey)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        result.putalpha(Image.fromarray(np.where(values == transparent, np.uint8(0), np.uint8(255))))
    return result


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """``image``, of mode L, RGB or CMYK, from the colours of ``profile`` to sRGB; unchanged if the profile does not fit it."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image
    return converted or image


# ---- size -------------------------------------------------------------------------------------------------------------------


def scaled_size(width: int, height: int, pixels: int) -> tuple[int, int]:
    """Width and height with a short side of ``pixels`` and the same proportions, smaller or larger; 0 leaves them as they are.

    Raises:
        ValueError: they would make more than ``MAX_PIXELS``.
    """
    short = min(width, height)
    if pixels in (0, short):
        return width, height
    width, height = (max(1, (side * pixels + short // 2) // short) for side in (width, height))
    _check_size(width, height)
    return width, height


def resize_short_side(picture: Picture, pixels: int) -> Picture:
    """``picture`` at its :func:`scaled_size`.

    Raises:
        ValueError: the result would have more than ``MAX_PIXELS``.
    """
    width, height = scaled_size(*picture.rgb.size, pixels)
    if (width, height) == picture.rgb.size:
        return picture

    def resized(image: Image.Image) -> Image.Image:
        return image.resize((width, height), Image.Resampling.LANCZOS)

    return Picture(resized(picture.rgb), None if picture.alpha is None else resized(picture.alpha))


# ---- writing ----------------------------------------------------------------------------------------------------------------


def can_write(path: Path) -> bool:
    """Whether the suffix of ``path`` names a format that pictures can be saved in, one of ``WRITE_SUFFIXES``."""
    return path.suffix.lower() in _WRITERS


def save_picture(picture: Picture, path: Path) -> None:
    """Write ``picture`` to ``path``, complete or not at all, in the format of its suffix (see ``can_write``).

    JPEG has quality 95 and full colour resolution. A format without transparency gets the picture as seen on white.

    Raises:
        ImageError: the file cannot be written, or the format cannot hold a picture of this size.
    """
    writer = _WRITERS[path.suffix.lower()]
    image = picture.image() if writer.holds_alpha else picture.flattened()
    try:
        with atomic_output(path) as file:
            image.save(file, format=writer.format, **writer.options)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path}: cannot be written: {reason}") from error


_PARTIAL_PREFIX = f".fastnst-{platform.node()}-"
_PARTIAL_SUFFIX = ".partial"
_serial = itertools.count()


@contextmanager
def atomic_output(path: Path) -> Iterator[BinaryIO]:
    """A file to write that becomes ``path`` when the block ends, and vanishes if it ends by any exception.

    It is a hidden file of the same folder until then. Its name holds the machine and process, not ``path``, whose own
    name may already be as long as the file system allows.
    """
    partial = path.with_name(f"{_PARTIAL_PREFIX}{os.getpid()}-{next(_serial)}{_PARTIAL_SUFFIX}")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut, where the system offers that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_stale_partials(folder: Path) -> None:
    """Delete what processes of this machine that no longer run left half-written in ``folder``."""
    for partial in folder.glob(f"*{_PARTIAL_SUFFIX}"):
        process = partial.name.removeprefix(_PARTIAL_PREFIX).split("-")[0]
        if partial.name.startswith(_PARTIAL_PREFIX) and process.isdecimal() and not _is_running(int(process)):
            partial.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    if os.name != "posix":
        return True  # No harmless way to ask; whatever is stale there stays hidden.
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
