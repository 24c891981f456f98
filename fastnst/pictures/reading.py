"""Reads picture files of all formats as upright 8-bit sRGB.

EXIF orientation, colour profiles, transparency, grey, palettes, CMYK and deep pixels are converted, here and in the modules
around. Of an animation, or of several pictures in a file, only the first is read.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from fastnst.pictures.color import part_to_srgb, to_srgb
from fastnst.pictures.directories import ORIENTATION
from fastnst.pictures.picture import MAX_PIXELS, ImageError, KindError, Picture, check_size, require_file
from fastnst.pictures.registry import FORMATS, HEAD_BYTES, VIDEO_SUFFIXES, format_of, name_of, opened, read_head
from fastnst.pictures.samples import PictureFile

_UNSUPPORTED = ("unsupported", "not supported", "unknown")  # Pillow's words for valid files that it cannot read

_PIXELS_AT_ONCE = 1 << 18  # converted at a time, because conversion takes several times the space of the result


def open_picture(path: Path, data: bytes | None = None) -> Picture:
    """The picture in the file ``path``, upright and in sRGB.

    Args:
        data: what is in the file, where it lies in no folder; the path only names it then.

    Raises:
        ImageError: there is no picture, or it is broken, of a kind that is not read, or larger than ``MAX_PIXELS``; in the last
            case nothing is decoded.
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
    except Exception as error:  # Files may be hostile, and Pillow's parsers raise exceptions of any kind.
        raise ImageError(f"{path}: {_reason(path, error, data)}") from error


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright picture in a file, without decoding pixels.

    Raises:
        ImageError: there is no picture.
    """
    require_file(path)
    try:
        with path.open("rb") as file:
            if own := open_file(file):
                size, orientation = (own.width, own.height), own.orientation
            else:
                image = opened(file)
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
    found = format_of(_head(file))
    return found.open(file) if found and found.open else None


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    head = file.read(64)
    file.seek(0)
    return head


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
    except Exception:  # editors often damage EXIF; the pixels are valid without it
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
"""The transposition that makes a picture upright, by EXIF's orientation."""


def _by_pillow(file: BinaryIO) -> Picture:
    image = opened(file)
    check_size(*image.size)
    with warnings.catch_warnings():  # about files that are odd, but readable
        warnings.simplefilter("ignore")
        image.load()
        turn = _TURNS.get(_orientation(image))
        return to_srgb(image if turn is None else image.transpose(turn))


def _reason(path: Path, error: Exception, data: bytes | None = None) -> str:
    """Why the picture cannot be read."""
    head = read_head(path) if data is None else data[:HEAD_BYTES]
    text = f"broken picture: {error}"
    if isinstance(error, Image.DecompressionBombError):
        text = f"more than {MAX_PIXELS // 10**6} megapixels"
    elif isinstance(error, KindError):
        text = str(error)
    elif isinstance(error, UnidentifiedImageError):
        text = _unidentified(path, head)
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror
    elif any(word in str(error).lower() for word in _UNSUPPORTED):
        text = f"a {name_of(head)} of a kind that is not read here: {error}"
    return text


def _unidentified(path: Path, head: bytes) -> str:
    name = name_of(head)
    if name in FORMATS:
        return f"{'an' if name == 'AVIF' else 'a'} {name} that is broken, or of a kind that is not read here"
    if name is not None:
        return f"is a {name} picture, which is not read here"
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return "is a video, not a picture"
    *names, last = FORMATS
    return f"not a picture in {', '.join(names)} or {last} format"
