"""Writing of picture files."""

from __future__ import annotations

import io
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from fastnst.pictures import registry
from fastnst.pictures.format import Writer
from fastnst.pictures.metadata import X_RESOLUTION, Metadata
from fastnst.pictures.picture import ImageError, Picture
from fastnst.system.atomic import atomic_output
from fastnst.system.threads import default_threads

_BY_SUFFIX = {suffix: each for each in registry.FORMATS.values() if each.writer for suffix in each.writer.suffixes}
WRITE_SUFFIXES = tuple(_BY_SUFFIX)
FORMATS = {suffix[1:]: suffix for suffix in _BY_SUFFIX} | {
    each.name.lower(): each.writer.suffixes[0] for each in _BY_SUFFIX.values() if each.writer
}
"""The suffix to write, by the names that users have for a format: its own, and its suffixes without the dot."""


def can_write(path: Path) -> bool:
    """Whether the suffix of ``path`` names a format that pictures can be saved in, one of ``WRITE_SUFFIXES``."""
    return path.suffix.lower() in _BY_SUFFIX


@dataclass(frozen=True)
class Saving:
    """How a picture is saved.

    Args:
        format: its name, a key of :data:`fastnst.pictures.registry.FORMATS`.
        quality: 1..100, of JPEG, WebP and AVIF; None = 95, of AVIF 90.
        lossless: the same pixels are read from the file.
        metadata: that of the content.

    Raises:
        ValueError: the format has no such quality, or no lossless way here.
    """

    format: str
    quality: int | None = None
    lossless: bool = False
    metadata: Metadata = field(default_factory=Metadata)

    def __post_init__(self) -> None:
        if self.quality is not None and not self.writer.has_quality:
            named = ", ".join(name for name, each in registry.FORMATS.items() if each.writer and each.writer.has_quality)
            raise ValueError(f"quality is a matter of {named}, not of {self.format}")
        if self.lossless and self.writer.lossless is None:
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
        found = _BY_SUFFIX[suffix.lower()]
        writer = found.writer
        assert writer is not None
        if not strict:
            quality = quality if writer.has_quality else None
            lossless = lossless and writer.lossless is not None
        return cls(found.name, quality, lossless)

    @property
    def writer(self) -> Writer:
        """How the format is written."""
        found = registry.FORMATS[self.format].writer
        assert found is not None
        return found

    @property
    def holds_alpha(self) -> bool:
        """Whether the format has transparency."""
        return self.writer.holds_alpha

    @property
    def left_out(self) -> tuple[str, ...]:
        """What the file does not hold of the metadata, by name."""
        kept = self.fitting()
        in_exif = kept.exif is not None and X_RESOLUTION in kept.exif.entries
        held = (*kept.names, *(["resolution"] if in_exif else []))
        return tuple(name for name in self.metadata.names if name not in held)

    def fitting(self) -> Metadata:
        """The metadata that the format has a place for."""
        keeps, found = self.writer.metadata, self.metadata
        if "resolution" not in keeps and "EXIF" in keeps:
            found = found.in_exif()
        kept = Metadata(
            found.exif if "EXIF" in keeps else None,
            found.xmp if "XMP" in keeps else None,
            found.iptc if "IPTC" in keeps else None,
            found.dpi if "resolution" in keeps else None,
        )
        most = self.writer.max_metadata
        if most is None:
            return kept
        small = {"exif": kept.exif_bytes(), "xmp": kept.xmp or b"", "iptc": kept.iptc or b""}
        return kept._replace(**{name: None for name, data in small.items() if len(data) > most})

    def write(self, image: Image.Image, file: BinaryIO) -> None:
        """Encode ``image``, of mode ``RGB`` or, where the format has transparency, ``RGBA``."""
        writer = self.writer
        options = dict(writer.options if not self.lossless else writer.lossless or {})
        if self.quality is not None:
            options["quality"] = self.quality
        kept = self.fitting().of_size(*image.size)
        if writer.always_rows:
            assert writer.rows is not None
            rows = writer.rows()(file, (image.height, image.width), image.mode == "RGBA", kept, default_threads())
            rows.write(np.asarray(image))
            rows.finish()
            return
        prepare = registry.FORMATS[self.format].prepare
        if prepare:
            prepare()
        if writer.arguments:
            options |= writer.arguments(kept)
        if writer.complete is None:
            image.save(file, format=self.format, **options)
        else:
            encoded = io.BytesIO()
            image.save(encoded, format=self.format, **options)
            file.write(writer.complete(encoded.getvalue(), kept))


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
