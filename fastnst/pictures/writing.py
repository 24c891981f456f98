"""Writing of picture files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastnst.pictures import pam
from fastnst.pictures.picture import ImageError, Picture
from fastnst.system.atomic import atomic_output


@dataclass(frozen=True)
class _Writer:
    format: str
    holds_alpha: bool
    options: Mapping[str, Any] = field(default_factory=dict)


_JPEG = _Writer("JPEG", False, {"quality": 95, "subsampling": "4:4:4"})
_TIFF = _Writer("TIFF", True, {"compression": "tiff_lzw"})
_BMP = _Writer("BMP", False)
_WRITERS = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".jpe": _JPEG,
    ".jfif": _JPEG,
    ".png": _Writer("PNG", True),
    # "exact" keeps the colours below transparent pixels; the transparency itself is stored without loss.
    ".webp": _Writer("WEBP", True, {"quality": 95, "exact": True}),
    ".avif": _Writer("AVIF", True, {"quality": 90, "subsampling": "4:4:4"}),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": _BMP,
    ".dib": _BMP,
    ".ppm": _Writer("PPM", False),
    ".pam": _Writer(pam.PamFile.format, True),
}
WRITE_SUFFIXES = tuple(_WRITERS)


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
    except KeyError:  # Pillow's, for AVIF where it is built without it
        raise ImageError(f"{path}: cannot be written: this Pillow is built without {writer.format}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path}: cannot be written: {reason}") from error
