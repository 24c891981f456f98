"""The class of pictures, the limit of their size, and errors about them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from PIL import Image

MAX_PIXELS = 100_000_000  # of pictures that are decoded whole, which takes 300 MB; a small file can claim any size


class ImageError(ValueError):
    """A picture that cannot be read or written; the message is one line that says which file and why."""


class KindError(ValueError):
    """A valid file of a kind that is not read here; the message names the kind."""


class Picture(NamedTuple):
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
        """Mode ``RGB``, blended with white."""
        if self.alpha is None:
            return self.rgb
        return Image.composite(self.rgb, Image.new("RGB", self.rgb.size, "white"), self.alpha)


def check_size(width: int, height: int) -> None:
    """Raise KindError if a picture of this size is too large to be decoded whole."""
    if width * height > MAX_PIXELS:
        raise KindError(f"{width} x {height} is more than {MAX_PIXELS // 10**6} megapixels")


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
