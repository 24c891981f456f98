"""Writing of picture files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from fastnst.pictures import pam
from fastnst.pictures.embedding import in_boxes, in_header, in_jpeg, in_png, with_tiff_directory
from fastnst.pictures.metadata import X_RESOLUTION, Metadata
from fastnst.pictures.picture import ImageError, Picture
from fastnst.system.atomic import atomic_output

_MARKER_BYTES = 65_000  # of a part of a JPEG, what names it left aside


@dataclass(frozen=True)
class _Writer:
    holds_alpha: bool
    options: Mapping[str, Any] = field(default_factory=dict)
    lossless: Mapping[str, Any] | None = field(default_factory=dict)  # options instead; None: there is no such way
    keeps: tuple[str, ...] = ()  # of metadata, by their names

    @property
    def has_quality(self) -> bool:
        return "quality" in self.options


_ALL = ("EXIF", "XMP", "IPTC", "resolution")
_WRITERS = {
    "JPEG": _Writer(False, {"quality": 95, "subsampling": "4:4:4"}, None, _ALL),
    "PNG": _Writer(True, keeps=_ALL),
    # "exact" keeps the colours below transparent pixels; the transparency itself is stored without loss.
    "WEBP": _Writer(True, {"quality": 95, "exact": True}, {"lossless": True, "exact": True}, ("EXIF", "XMP")),
    # Pillow's encoder always goes through YCbCr, which costs up to three levels even at quality 100.
    "AVIF": _Writer(True, {"quality": 90, "subsampling": "4:4:4"}, None, ("EXIF", "XMP")),
    "TIFF": _Writer(True, {"compression": "tiff_lzw"}, keeps=_ALL),
    "BMP": _Writer(False, keeps=("resolution",)),
    "PPM": _Writer(False),
    pam.PamFile.format: _Writer(True),
}
_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".dib": "BMP",
    ".ppm": "PPM",
    ".pam": pam.PamFile.format,
}
WRITE_SUFFIXES = tuple(_FORMATS)
FORMATS = {suffix[1:]: suffix for suffix in _FORMATS} | {"jpeg": ".jpg", "tiff": ".tif"}
"""By the names that users have for the formats: the suffix that is usual."""


def can_write(path: Path) -> bool:
    """Whether the suffix of ``path`` names a format that pictures can be saved in, one of ``WRITE_SUFFIXES``."""
    return path.suffix.lower() in _FORMATS


@dataclass(frozen=True)
class Saving:
    """How a picture is saved.

    Args:
        format: Pillow's name of it.
        quality: 1..100, of JPEG, WebP and AVIF; None = 95, of AVIF 90.
        lossless: the file gives back the very pixels.
        metadata: what the content says of itself.

    Raises:
        ValueError: the format has no such quality, or no lossless way here.
    """

    format: str
    quality: int | None = None
    lossless: bool = False
    metadata: Metadata = field(default_factory=Metadata)

    def __post_init__(self) -> None:
        if self.quality is not None and not self._writer.has_quality:
            named = ", ".join(name for name, writer in _WRITERS.items() if writer.has_quality)
            raise ValueError(f"quality is a matter of {named}, not of {self.format}")
        if self.lossless and self._writer.lossless is None:
            raise ValueError(f"{self.format} cannot be written lossless here")
        if self.lossless and self.quality is not None:
            raise ValueError("quality and lossless exclude each other")

    @classmethod
    def by(cls, suffix: str, quality: int | None = None, lossless: bool = False, strict: bool = True) -> Saving:
        """How to save in the format that a suffix names.

        Args:
            strict: refuse options that the format does not have, or else leave them aside.

        Raises:
            ValueError: see the class.
        """
        name = _FORMATS[suffix.lower()]
        writer = _WRITERS[name]
        if not strict:
            quality = quality if writer.has_quality else None
            lossless = lossless and writer.lossless is not None
        return cls(name, quality, lossless)

    @property
    def _writer(self) -> _Writer:
        return _WRITERS[self.format]

    @property
    def holds_alpha(self) -> bool:
        """Whether the format has transparency."""
        return self._writer.holds_alpha

    @property
    def left_out(self) -> tuple[str, ...]:
        """What the file does not hold of the metadata, by name."""
        kept = self.fitting()
        in_exif = kept.exif is not None and X_RESOLUTION in kept.exif.entries
        held = (*kept.names, *(["resolution"] if in_exif else []))
        return tuple(name for name in self.metadata.names if name not in held)

    def fitting(self) -> Metadata:
        """The metadata that the format has a place for."""
        keeps, found = self._writer.keeps, self.metadata
        if "resolution" not in keeps and "EXIF" in keeps:
            found = found.in_exif()
        kept = Metadata(
            found.exif if "EXIF" in keeps else None,
            found.xmp if "XMP" in keeps else None,
            found.iptc if "IPTC" in keeps else None,
            found.dpi if "resolution" in keeps else None,
        )
        if self.format != "JPEG":
            return kept
        small = {"exif": kept.exif_bytes(), "xmp": kept.xmp or b"", "iptc": kept.iptc or b""}
        return replace(kept, **{name: None for name, data in small.items() if len(data) > _MARKER_BYTES})

    def write(self, image: Image.Image, file: BinaryIO) -> None:
        """Encode ``image``, of mode ``RGB`` or, where the format has transparency, ``RGBA``."""
        options = dict(self._writer.options if not self.lossless else self._writer.lossless or {})
        if self.quality is not None:
            options["quality"] = self.quality
        kept = self.fitting().of_size(*image.size)
        if self.format == "TIFF":
            plain = io.BytesIO()
            image.save(plain, format="TIFF", **options)
            file.write(with_tiff_directory(plain.getvalue(), kept))
            return
        image.save(file, format=self.format, **options, **_EMBEDDED.get(self.format, in_header)(kept))


_EMBEDDED = {"JPEG": in_jpeg, "PNG": in_png, "WEBP": in_boxes, "AVIF": in_boxes}


def save_picture(picture: Picture, path: Path, saving: Saving | None = None, into: BinaryIO | None = None) -> None:
    """Write ``picture`` to ``path``, complete or not at all; unless told how, in the format of its suffix (see ``can_write``).

    With ``into`` it is written there, and the path only names it.

    JPEG has quality 95 and full colour resolution. A format without transparency gets the picture as seen on white.

    Raises:
        ImageError: the file cannot be written, or the format cannot hold a picture of this size.
    """
    saving = saving or Saving.by(path.suffix)
    image = picture.image() if saving.holds_alpha else picture.flattened()
    try:
        with atomic_output(path) if into is None else nullcontext(into) as file:
            saving.write(image, file)
    except KeyError:  # Pillow's, for AVIF where it is built without it
        raise ImageError(f"{path}: cannot be written: this Pillow is built without {saving.format}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path}: cannot be written: {reason}") from error
