"""A picture file, whatever its kind, as an upright 8-bit sRGB picture.

What a file holds beyond 8-bit sRGB is handled here and in the modules around: EXIF orientation, embedded colour profiles,
transparency, grey, palettes, CMYK and deep pixels. Of an animation and of several pictures only the first is read.
"""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fastnst.pictures import formats
from fastnst.pictures.color import part_to_srgb, to_srgb
from fastnst.pictures.picture import MAX_PIXELS, ImageError, KindError, Picture, check_size, require_file
from fastnst.pictures.png import open_png
from fastnst.pictures.samples import PictureFile
from fastnst.pictures.tiff import open_tiff
from fastnst.pictures.tiff_tags import ORIENTATION

_UNSUPPORTED = ("unsupported", "not supported", "unknown")  # words of Pillow for what is sound, but strange to it

_PIXELS_AT_ONCE = 1 << 18  # of conversions, whose numbers take several times the space of the result


def open_picture(path: Path, data: bytes | None = None) -> Picture:
    """The picture in the file ``path``, upright and in sRGB.

    Args:
        data: what is in the file, where it lies in no folder; the path only names it then.

    Raises:
        ImageError: no picture, a broken one, one of a kind that is not read, or one of more than ``MAX_PIXELS``; nothing is
            decoded in the last case.
    """
    if data is None:
        require_file(path)
    elif not data:
        raise ImageError(f"{path}: is empty")
    try:
        with path.open("rb") if data is None else io.BytesIO(data) as file:
            own = open_file(file)
            return _decoded(own) if own else _by_pillow(file)
    except MemoryError:
        raise
    except Exception as error:  # Decoders meet hostile bytes; Pillow lets out whatever its parsers stumbled over.
        raise ImageError(f"{path}: {_reason(path, error, data)}") from error


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of the picture in a file, upright; no pixels are decoded.

    Raises:
        ImageError: no picture.
    """
    require_file(path)
    try:
        with path.open("rb") as file:
            if own := open_file(file):
                size, orientation = (own.width, own.height), own.orientation
            else:
                image = formats.opened(file)
                size, orientation = image.size, _orientation(image)
            return size[::-1] if orientation in _SIDEWAYS else size
    except MemoryError:
        raise
    except Exception as error:
        raise ImageError(f"{path}: {_reason(path, error)}") from error


def open_file(file: BinaryIO) -> PictureFile | None:
    """The picture in ``file`` if one of our own readers takes it, to be read in rows.

    Raises:
        KindError: a kind that is not read here.
        ValueError: a damaged file.
    """
    for opener in (open_png, open_tiff):
        file.seek(0)
        if found := opener(file):
            return found
    return None


def _decoded(file: PictureFile) -> Picture:
    check_size(file.width, file.height)
    if not file.width or not file.height:
        raise ValueError("a picture without pixels")
    rgb = np.empty((file.height, file.width, 3), np.uint8)
    alpha = np.empty((file.height, file.width), np.uint8) if file.alpha else None
    step = max(1, _PIXELS_AT_ONCE // file.width)
    for top in range(0, file.height, step):
        part = part_to_srgb(file.rows(top, min(step, file.height - top)), file.info.get("icc_profile"))
        rgb[top : top + step] = np.asarray(part.rgb)
        if alpha is not None and part.alpha is not None:
            alpha[top : top + step] = np.asarray(part.alpha)
    turn = _TURNS.get(file.orientation)
    images = [Image.fromarray(each) for each in (rgb, alpha) if each is not None]
    return Picture(*(image if turn is None else image.transpose(turn) for image in images))


def _orientation(image: Image.Image) -> int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # EXIF is a format of its own, often damaged by editors; the pixels are good without it
        return 1


_SIDEWAYS = (5, 6, 7, 8)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by EXIF's orientation."""


def _by_pillow(file: BinaryIO) -> Picture:
    file.seek(0)
    kind = formats.kind_of(file.read(64))
    file.seek(0)
    # Pillow warns about what is odd but readable, and of bombs below our own limit; whoever asked for a picture gets it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(file, formats=formats.pillow_formats(kind)) as image:
            check_size(*image.size)
            image.load()
            # EXIF is a format of its own, often damaged by editors; the pixels are good without it.
            with suppress(Exception):
                ImageOps.exif_transpose(image, in_place=True)
            return to_srgb(image)


def _reason(path: Path, error: Exception, data: bytes | None = None) -> str:
    """Why the picture cannot be read."""
    kind = formats.kind_of(formats.read_head(path) if data is None else data[: formats.HEAD_BYTES])
    text = f"broken picture: {error}"
    if isinstance(error, Image.DecompressionBombError):
        text = f"more than {MAX_PIXELS // 10**6} megapixels"
    elif isinstance(error, KindError):
        text = str(error)
    elif isinstance(error, UnidentifiedImageError):
        text = _unidentified(path, kind)
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror
    elif any(word in str(error).lower() for word in _UNSUPPORTED):
        text = f"a {kind} of a kind that is not read here: {error}"
    return text


def _unidentified(path: Path, kind: str | None) -> str:
    if formats.is_read(kind):
        return f"a {kind} that is broken, or of a kind that is not read here"
    if kind is not None:
        return f"is a {kind} picture, which is not read here"
    if path.suffix.lower() in formats.VIDEO_SUFFIXES:
        return "is a video, not a picture"
    return f"not a picture in {formats.FORMAT_NAMES} format"
