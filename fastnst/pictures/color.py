"""Converts the colours of any image to 8-bit sRGB, with transparency kept separately."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from fastnst.pictures.picture import Picture
from fastnst.pictures.profile import srgb_profile
from fastnst.pictures.samples import Part, eight_bit

_DEEP_MODES = frozenset(("I", "F", "I;16", "I;16L", "I;16B", "I;16N"))
_GREY_MODES = frozenset(("1", "L", "LA", "La"))


def to_srgb(image: Image.Image) -> Picture:
    """8-bit sRGB of an image of any mode.

    An embedded colour profile is applied; a broken or unsuitable one is ignored. Without one, colours are taken as sRGB.
    16-bit grey is scaled and rounded to nearest. Mode ``I`` is taken as 16-bit and mode ``F`` as 0..1. Pillow itself reduces
    16-bit colour to 8 bits.

    Raises:
        ValueError: values of mode ``I`` or ``F`` outside those ranges, or a mode without a conversion to RGB.
    """
    profile = foreign(image.info.get("icc_profile"))
    if image.mode in _DEEP_MODES:
        image = _eight_bit(image)
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in _GREY_MODES else "RGBA")
        alpha = image.getchannel("A")
    if profile and image.mode != "CMYK":
        image = image.convert("L" if image.mode in _GREY_MODES else "RGB")
    return _converted(image, alpha, profile)


def part_to_srgb(part: Part, profile: bytes | None) -> Picture:
    """8-bit sRGB of rows from a reader of our own."""
    return _converted(*part.images(), foreign(profile))


def foreign(profile: bytes | None) -> bytes | None:
    """``profile``, or None for the sRGB profile of our own outputs, which need no conversion."""
    return None if profile == srgb_profile() else profile


def _converted(image: Image.Image, alpha: Image.Image | None, profile: bytes | None) -> Picture:
    if profile:
        image = _apply_profile(image, profile)
    rgb = image.convert("RGB")  # or a copy
    rgb.info = {}  # it describes the file, not these pixels, and would be written to the output
    return Picture(rgb, alpha)


def _eight_bit(image: Image.Image) -> Image.Image:
    """A deep grey image in mode ``L``, or ``LA`` if one of its values is marked as transparent."""
    values = np.asarray(image)
    result = Image.fromarray(eight_bit(values, 16 if image.mode.startswith("I;") else 32))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        result.putalpha(Image.fromarray(np.where(values == transparent, np.uint8(0), np.uint8(255))))
    return result


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """``image``, of mode L, RGB or CMYK, from the colours of ``profile`` to sRGB; unchanged if the profile does not fit it."""
    from PIL import ImageCms  # with a library for colours, which few pictures need

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image
    return converted or image
