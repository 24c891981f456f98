"""Pictures for tests of reading and writing: PNG files written by hand, and how pictures are compared."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fastnst.images import ImageError, Picture, open_picture

Pixels = NDArray[np.uint8]
LOSSY = ("jpg", "webp")
ORIENTATION = 0x0112
"""The EXIF tag."""


def rgb_of(picture: Picture) -> Pixels:
    assert picture.rgb.mode == "RGB"
    return np.asarray(picture.rgb)


def alpha_of(picture: Picture) -> Pixels:
    assert picture.alpha is not None
    assert picture.alpha.mode == "L"
    return np.asarray(picture.alpha)


def mean_error(a: Pixels, b: Pixels) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b).mean())


def png(width: int, height: int, depth: int, color_type: int, *, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG file written by hand, for kinds that Pillow does not write. ``rows``: each with its filter byte in front."""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def gradient_alpha(height: int, width: int) -> Pixels:
    return (np.arange(height * width, dtype=np.uint32) * 7919 % 256).astype(np.uint8).reshape(height, width)


def refusal(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        open_picture(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message
