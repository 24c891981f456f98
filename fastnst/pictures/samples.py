"""Converts samples of any depth to 8 bits, and other colour models to sRGB."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastnst.pictures.directories import ORIENTATION
from fastnst.pictures.picture import KindError

Array = NDArray[Any]
Bytes = NDArray[np.uint8]

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""Pillow's modes of 8-bit samples, by the number of samples of a pixel."""


class Part(NamedTuple):
    """Rows of a picture: 8-bit colours, [n, W, 1] grey, [n, W, 3] RGB or [n, W, 4] CMYK, and transparency [n, W]."""

    color: Bytes
    alpha: Bytes | None = None

    def rgb(self) -> Bytes:
        """The colours as RGB, [n, W, 3] or, grey, [n, W, 1], without a profile."""
        if self.color.shape[2] != 4:
            return self.color
        return np.asarray(self.images()[0].convert("RGB"))

    def images(self) -> tuple[Image.Image, Image.Image | None]:
        """Colours in mode ``L``, ``RGB`` or ``CMYK``, and transparency in mode ``L``."""
        mode = {1: "L", 3: "RGB", 4: "CMYK"}[self.color.shape[2]]
        size = (self.color.shape[1], self.color.shape[0])
        color = Image.frombytes(mode, size, np.ascontiguousarray(self.color).data)
        return color, None if self.alpha is None else Image.fromarray(np.ascontiguousarray(self.alpha))


class PictureFile(ABC):
    """A file of pixels that is read in rows by a reader of our own.

    Attributes:
        height, width: in pixels.
        alpha: whether it has transparency.
        memory: the bytes of memory that reading takes, without the rows that are returned.
        info: as ``PIL.Image.Image.info``: colour profile, EXIF and XMP, under Pillow's names.
    """

    def __init__(self, height: int, width: int, alpha: bool, memory: int, info: Mapping[str, Any]) -> None:
        self.height, self.width, self.alpha, self.memory, self.info = height, width, alpha, memory, info

    @property
    def orientation(self) -> int:
        """EXIF's orientation, 1..8: 1 if the picture is stored upright, or if EXIF is damaged."""
        image = Image.new("L", (1, 1))
        image.info.update(self.info)
        try:
            return int(image.getexif().get(ORIENTATION, 1))
        except Exception:  # editors often damage EXIF; the pixels are valid without it
            return 1

    @abstractmethod
    def rows(self, first: int, count: int) -> Part:
        """Rows [first, first + count). They are read in ascending order, or again from 0.

        Raises:
            ValueError: the file is cut short or damaged, or has values that are not colours.
        """


def unpack_bits(rows: Bytes, bits: int, count: int) -> Array:
    """Unpack ``count`` numbers of 1 to 16 bits from each row of bytes, the highest bit first."""
    planes = np.unpackbits(rows, axis=1, count=count * bits).reshape(len(rows), count, bits)
    found: Array = np.zeros((len(rows), count), np.uint8 if bits <= 8 else np.uint16)
    for bit in range(bits):
        found = (found << 1) | planes[:, :, bit]
    return found


def top_of(samples: Array, bits: int) -> int:
    """The value of white: 2^bits - 1 of integers, but 65535 of 32-bit ones, which hold 16-bit pictures; 1 of floats.

    Raises:
        KindError: numbers outside 0 to this.
    """
    if samples.dtype.kind == "f":
        top = 1
    elif bits > 16:
        top = 65535
    else:
        return (1 << bits) - 1
    if samples.size and not (samples.min() >= 0 and samples.max() <= top):  # written so that NaN is refused
        raise KindError(f"{'float' if top == 1 else 'integer'} pixels outside 0..{top} are not read here")
    return top


def eight_bit(samples: Array, bits: int) -> Bytes:
    """The samples scaled to 0..255, rounded to nearest.

    Raises:
        KindError: there are numbers outside the range of :func:`top_of`.
    """
    top = top_of(samples, bits)
    if top == 255:
        return samples.astype(np.uint8, copy=False)
    if samples.dtype.kind == "f":
        return np.asarray(np.rint(samples.astype(np.float32) * np.float32(255)), np.uint8)
    found: Bytes = ((samples.astype(np.uint32) * np.uint32(255) + np.uint32(top // 2)) // np.uint32(top)).astype(np.uint8)
    return found


def divided(color: Array, alpha: Array, bits: int) -> Bytes:
    """8-bit colours from colours that are multiplied by their opacity, [n, W, C] and [n, W]."""
    for samples in (color, alpha):
        top_of(samples, bits)  # checks them
    below = alpha.astype(np.float64)[..., None]
    quotient = np.divide(color.astype(np.float64), below, out=np.zeros(color.shape), where=below > 0)
    found: Bytes = np.rint(np.minimum(quotient, 1) * 255).astype(np.uint8)
    return found


def ycbcr_to_rgb(samples: Bytes, luma: Array, reference: Array) -> Bytes:
    """RGB of YCbCr. ``luma`` has the weights of red, green and blue in Y, ``reference`` black and white of Y, Cb and Cr."""
    black, white = reference[::2], reference[1::2]
    y = (samples[..., 0] - black[0]) * (255 / _or_one(white[0] - black[0]))
    blue = (samples[..., 1] - black[1]) * (127 / _or_one(white[1] - black[1]))
    red = (samples[..., 2] - black[2]) * (127 / _or_one(white[2] - black[2]))
    r = y + red * (2 - 2 * luma[0])
    b = y + blue * (2 - 2 * luma[2])
    g = (y - luma[0] * r - luma[2] * b) / _or_one(luma[1])
    found: Bytes = np.rint(np.clip(np.stack([r, g, b], axis=-1), 0, 255)).astype(np.uint8)
    return found


def _or_one(number: float) -> float:
    return float(number) or 1.0


# CIE 1976 L*a*b* to sRGB (IEC 61966-2-1) by way of XYZ, whose white is adapted by Bradford's matrix (ICC.1:2022, annex E).
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D50, _D65 = np.array([0.9642, 1.0, 0.8249]), np.array([0.95047, 1.0, 1.08883])
_TO_LINEAR = np.array(
    [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560], [0.0556434, -0.2040259, 1.0572252]]
)


def lab_to_rgb(lab: NDArray[np.float64], white: tuple[float, float] | None = None) -> Bytes:
    """sRGB of CIE L*a*b* with L* in 0..100; ``white`` is its white point, x and y, by default D50."""
    f = np.empty_like(lab)
    f[..., 1] = (lab[..., 0] + 16) / 116
    f[..., 0] = f[..., 1] + lab[..., 1] / 500
    f[..., 2] = f[..., 1] - lab[..., 2] / 200
    relative = np.where(f > 6 / 29, f**3, (f - 4 / 29) * (3 * (6 / 29) ** 2))
    source = _D50
    if white is not None and white[1] > 0:
        x, y = white
        source = np.array([x / y, 1.0, (1 - x - y) / y])
    cones = np.diag((_BRADFORD @ _D65) / (_BRADFORD @ source))
    matrix = _TO_LINEAR @ np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD @ np.diag(source)
    linear = np.clip(relative @ matrix.T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    found: Bytes = np.rint(encoded * 255).astype(np.uint8)
    return found
