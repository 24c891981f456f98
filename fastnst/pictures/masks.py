"""Masks: grey pictures that say where in another picture something holds, 0 = nowhere, 255 = entirely.

What is too large for the engine is shrunk as it is read, a few rows at a time: each pixel of the result is the mean of what it
covers, in whole numbers, so that every machine gets the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastnst.pictures.color import to_srgb
from fastnst.pictures.picture import ImageError, KindError, Picture, require_file
from fastnst.pictures.reading import open_picture
from fastnst.pictures.rows import CHUNK_BYTES, ArrayRows, Rows
from fastnst.pictures.streams import open_rows

MAX_SIDE = 4096
"""Pixels of a side; larger masks are shrunk to it."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask that is ready, uint8 [H, W], of at most ``MAX_SIDE`` pixels a side."""

    values: Bytes


class MaskClip(NamedTuple):
    """Masks that move, one for each frame of a video: a clip, or a folder or pattern of pictures with numbers."""

    path: Path


class _Shrinking:
    """Rows of a mask of any size, as they come, into one whose sides are at most ``MAX_SIDE``."""

    def __init__(self, height: int, width: int) -> None:
        self._size = height, width
        self._small = min(height, MAX_SIDE), min(width, MAX_SIDE)
        self._result = np.empty(self._small, np.uint8)
        self._sums = np.zeros(self._small[1], np.int64)
        self._done = 0

    def add(self, rows: Bytes) -> None:
        """The next rows, [n, W]."""
        if self._small == self._size:
            self._result[self._done : self._done + len(rows)] = rows
            self._done += len(rows)
            return
        # In units in which a pixel of the mask is as high as the result has rows, and one of the result as the mask has.
        (height, width), (small, _) = self._size, self._small
        for row in self._across(rows):
            top, bottom = self._done * small, (self._done + 1) * small
            while top < bottom:
                cell = top // height
                end = min(bottom, (cell + 1) * height)
                self._sums += (end - top) * row
                if end == (cell + 1) * height:
                    self._result[cell] = (2 * self._sums + height * width) // (2 * height * width)
                    self._sums[:] = 0
                top = end
            self._done += 1

    def _across(self, rows: Bytes) -> NDArray[np.int64]:
        """For each pixel of the result the sum of what it covers of each row, in the same units along the row."""
        width, small = self._size[1], self._small[1]
        before = np.zeros((len(rows), width + 1), np.int64)
        np.cumsum(rows, axis=1, out=before[:, 1:])
        edges = np.arange(small + 1, dtype=np.int64) * width
        whole, part = edges // small, edges % small
        ends = before[:, whole] * small + rows[:, np.minimum(whole, width - 1)] * part
        return np.diff(ends, axis=1)

    def mask(self) -> Mask:
        """The result, once all rows are there."""
        return Mask(self._result)


def as_mask(given: Image.Image | NDArray[Any] | Mask) -> Mask:
    """The mask of an image of any mode, its transparency if any pixel has some, or else how light it is; of an array, uint8 or
    bool [H, W]; or one that is ready.

    Raises:
        ValueError: an array of another dtype or shape, or without elements.
    """
    if isinstance(given, Mask):
        return given
    if isinstance(given, Image.Image):
        picture = to_srgb(given)
        return _mask_of_parts(picture.rgb.height, picture.rgb.width, iter([picture]))
    if not isinstance(given, np.ndarray):
        raise ValueError(f"a mask must be a PIL image or a numpy array, not {type(given).__name__}")
    if given.ndim != 2 or given.dtype not in (np.uint8, np.bool_) or given.size == 0:
        raise ValueError(f"a mask must be uint8 or bool of shape (height, width), not {given.dtype} {given.shape}")
    values = np.ascontiguousarray(given if given.dtype == np.uint8 else given * np.uint8(255))
    shrinking, (height, width) = _Shrinking(*values.shape), values.shape
    step = max(1, CHUNK_BYTES // width)
    for top in range(0, height, step):
        shrinking.add(values[top : top + step])
    return shrinking.mask()


def open_mask(path: Path, by_opacity: bool | None = None) -> Mask:
    """The mask in a picture file of any size that is read: see :func:`as_mask`.

    Args:
        by_opacity: take how opaque it is, or how light; None = as the picture itself decides.

    Raises:
        ImageError: it cannot be read.
    """
    with closing(_rows(path)) as rows:
        return _mask_of_parts(rows.height, rows.width, rows.pictures(0, rows.height), by_opacity)


def is_transparent(path: Path) -> bool:
    """Whether any pixel of a picture file is; pixels are decoded only where the file may have such.

    Raises:
        ImageError: it cannot be read.
    """
    with closing(_rows(path)) as rows:
        return rows.alpha and any(map(_any_transparent, rows.pictures(0, rows.height)))


def _rows(path: Path) -> Rows:
    return open_rows(path) or ArrayRows.of(path, open_picture(path))


def _any_transparent(part: Picture) -> bool:
    return part.alpha is not None and not bool((np.asarray(part.alpha) == 255).all())


def _mask_of_parts(height: int, width: int, parts: Iterator[Picture], by_opacity: bool | None = None) -> Mask:
    light, opaque, transparent = _Shrinking(height, width), _Shrinking(height, width), False
    for part in parts:
        light.add(np.asarray(part.rgb.convert("L")))
        if part.alpha is not None:
            opaque.add(np.asarray(part.alpha))
            transparent = transparent or _any_transparent(part)
        elif by_opacity:
            opaque.add(np.full(part.rgb.size[::-1], 255, np.uint8))
    return (opaque if (transparent if by_opacity is None else by_opacity) else light).mask()


def open_label_masks(path: Path, labels: set[int]) -> dict[int, Mask]:
    """Masks of objects in a label image: a PNG whose numbers are labels, as they are stored: grey of up to 16 bits, palette
    indices, or of colours red + 256 green + 65536 blue, as COCO's panoptic images have them.

    Raises:
        ImageError: it is no PNG or broken, or has no pixel of one of the labels.
    """
    from fastnst.pictures.png_reader import open_png

    require_file(path)
    try:
        with path.open("rb") as file:
            png = open_png(file)
            if png is None:
                raise ImageError(f"{path}: is no PNG, and labels are read of PNGs alone")
            found, seen = {label: _Shrinking(png.height, png.width) for label in labels}, set[int]()
            step = max(1, CHUNK_BYTES // (8 * png.width))
            for top in range(0, png.height, step):
                numbers = _labels(png.numbers(top, min(step, png.height - top)))
                for label, shrinking in found.items():
                    here = numbers == label
                    if here.any():
                        seen.add(label)
                    shrinking.add(here * np.uint8(255))
    except (KindError, OSError) as error:
        raise ImageError(f"{path}: {error}") from None
    except ImageError:
        raise
    except ValueError as error:
        raise ImageError(f"{path}: broken picture: {error}") from None
    if missing := sorted(labels - seen):
        raise ImageError(f"{path}: has no pixel of label {missing[0]}")
    return {label: shrinking.mask() for label, shrinking in found.items()}


def _labels(samples: NDArray[Any]) -> NDArray[np.int64]:
    """[n, W] of samples [n, W, C], without their transparency."""
    channels = 3 if samples.shape[2] >= 3 else 1
    return samples[..., :channels].astype(np.int64) @ (256 ** np.arange(channels, dtype=np.int64))
