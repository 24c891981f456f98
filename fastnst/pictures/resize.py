"""Resizing of pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastnst.pictures.picture import Picture, check_size


def scaled_size(width: int, height: int, pixels: int) -> tuple[int, int]:
    """Width and height scaled to a short side of ``pixels`` with the same proportions; 0 leaves them unchanged.

    Raises:
        ValueError: the result has more than ``MAX_PIXELS``.
    """
    short = min(width, height)
    if pixels in (0, short):
        return width, height
    width, height = (max(1, (side * pixels + short // 2) // short) for side in (width, height))
    check_size(width, height)
    return width, height


def resize_short_side(picture: Picture, pixels: int) -> Picture:
    """``picture`` at its :func:`scaled_size`; see :func:`resize`.

    Raises:
        ValueError: the result would have more than ``MAX_PIXELS``.
    """
    return resize(picture, scaled_size(*picture.rgb.size, pixels))


def resize(picture: Picture, size: tuple[int, int]) -> Picture:
    """``picture`` at another width and height. Pixels are weighted by their opacity, so that hidden colours do not show."""
    if size == picture.rgb.size:
        return picture
    if picture.alpha is None:
        return Picture(picture.rgb.resize(size, Image.Resampling.LANCZOS))
    # In floats, because 8 bits would not preserve the colours of nearly transparent pixels.
    opaque = np.asarray(picture.alpha, np.float32)
    below = _resized(opaque, size)
    rgb = np.zeros((size[1], size[0], 3), np.uint8)
    for channel, image in enumerate(picture.rgb.split()):
        above = _resized(np.asarray(image, np.float32) * opaque, size)
        shown = np.divide(above, below, out=np.zeros_like(above), where=below >= 0.5)
        rgb[..., channel] = np.rint(np.clip(shown, 0, 255))
    alpha = np.rint(np.clip(below, 0, 255)).astype(np.uint8)
    return Picture(Image.fromarray(rgb), Image.fromarray(alpha))


def crop_middle(picture: Picture, side: int) -> Picture:
    """The square of ``side`` pixels in the middle of ``picture``; of an odd rest, less is cut off above and on the left.

    Raises:
        ValueError: the picture is smaller.
    """
    width, height = picture.rgb.size
    if min(width, height) < side:
        raise ValueError(f"a square of {side} pixels is to be cut out of {width} x {height}")
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    return Picture(picture.rgb.crop(box), picture.alpha.crop(box) if picture.alpha else None)


def _resized(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.LANCZOS))
