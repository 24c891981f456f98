"""Pictures for tests of reading in rows, and the comparison with the same picture decoded whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from numpy_engine import Lcg
from PIL import Image, ImageCms

from fastnst.images import open_picture, to_srgb
from fastnst.pictures.streams import Rows, open_rows

Samples = NDArray[np.uint8]


def smooth(height: int, width: int, channels: int) -> Samples:
    """A picture that filters and profiles have something to do with."""
    small = Image.fromarray(Lcg(height).integers(0, 256, (7, 9, 4)).astype(np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))[..., :channels].copy()


def lab_like_profile() -> bytes:
    """A profile of colours that are not sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()


def read_all(rows: Rows, step: int) -> Samples:
    out = np.empty((rows.height, rows.width, 3), np.uint8)
    for top in range(0, rows.height, step):
        rows.read(top, out[top : top + step])
    return out


@contextmanager
def opened(path: Path) -> Iterator[Rows]:
    rows = open_rows(path)
    assert rows is not None, path
    with closing(rows):
        yield rows


def check_as_whole(path: Path) -> None:
    with opened(path) as rows:
        check_rows(rows, path)


def check_rows(rows: Rows, path: Path) -> None:
    """The rows are those of the picture when it is read whole, and of Pillow where that is not of 16 bits."""
    picture = open_picture(path)
    with Image.open(path) as image:
        if image.mode != "I;16":
            theirs = to_srgb(image)
            np.testing.assert_array_equal(np.asarray(picture.rgb), np.asarray(theirs.rgb))
            assert (picture.alpha is None) == (theirs.alpha is None)
            if picture.alpha is not None:
                np.testing.assert_array_equal(np.asarray(picture.alpha), np.asarray(theirs.alpha))
    for step in (37, rows.height, 50):  # each begins at the first row again
        np.testing.assert_array_equal(read_all(rows, step), np.asarray(picture.rgb), str(path))
    assert rows.alpha == (picture.alpha is not None)
    if picture.alpha is not None:
        seen = np.concatenate([np.asarray(part.alpha) for part in rows.pictures(3, 15)])
        np.testing.assert_array_equal(seen, np.asarray(picture.alpha)[3:18])
