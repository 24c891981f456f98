"""Y'CbCr planes to sRGB pixels and back, in integers that are the same on every machine (``csrc/base/yuv.h`` has the formulas).

Sources: ITU-R BT.601-7, BT.709-6 and BT.2020-2 for luma and the scales of limited range, JFIF 1.02 for full range and for
chroma between the columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnst import _engine

Plane: TypeAlias = NDArray[np.uint8]  # [H, W]
Pixels: TypeAlias = NDArray[np.uint8]  # [H, W, 3]

SUBSAMPLING = {"420": (2, 2), "422": (2, 1), "444": (1, 1), "mono": (1, 1)}
"""Columns and rows of luma samples for each chroma sample."""
_LUMA = {
    "bt601": (Fraction(299, 1000), Fraction(114, 1000)),
    "bt709": (Fraction(2126, 10000), Fraction(722, 10000)),
    "bt2020": (Fraction(2627, 10000), Fraction(593, 10000)),
}
"""The weights of red and blue in luma; that of green is what remains of 1."""
_UNIT = 1 << 16


@dataclass(frozen=True)
class Coding:
    """How the colours of a frame are stored.

    Attributes:
        subsampling: a key of ``SUBSAMPLING``; ``mono`` has no chroma planes.
        centred: chroma of 4:2:0 lies between two columns (JPEG, MPEG-1), not on the left one (MPEG-2 and later, and 4:2:2).
        top: chroma of 4:2:0 lies on the upper one of two rows (DV in PAL countries, and HDR), not between them.
        matrix: ``bt601``, ``bt709`` or ``bt2020``.
        full: luma and chroma take 0..255, not 16..235 and 16..240.
    """

    subsampling: str = "420"
    centred: bool = False
    matrix: str = "bt709"
    full: bool = False
    top: bool = False

    def shapes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Height and width of each plane of a picture of this size."""
        across, down = SUBSAMPLING[self.subsampling]
        chroma = (-(-height // down), -(-width // across))
        return [(height, width)] if self.subsampling == "mono" else [(height, width), chroma, chroma]

    def to_rgb(self, planes: tuple[Plane, ...]) -> Pixels:
        """The RGB pixels, [H, W, 3], of the plane Y, or of Y, Cb and Cr.

        Raises:
            ValueError: the shapes of the planes do not fit together.
        """
        return _engine.yuv_to_rgb(planes, self._sampling, self._from_yuv)

    def from_rgb(self, pixels: Pixels) -> tuple[Plane, Plane, Plane]:
        """The planes Y, Cb and Cr of RGB pixels, [H, W, 3]; ``mono`` gives 4:4:4."""
        return _engine.rgb_to_yuv(pixels, self._sampling, self._to_yuv)

    def in_yuv(self, height: int, width: int) -> Coding:  # noqa: ARG002 - what is no Y'CbCr yet depends on the size
        """A coding of Y'CbCr, for frames of this size that are written to a video."""
        return self

    @cached_property
    def _sampling(self) -> _engine.Subsampling:
        return _engine.Subsampling(*SUBSAMPLING[self.subsampling], self.centred, self.top)

    @property
    def _scales(self) -> tuple[int, Fraction, Fraction]:
        """The value of black, and the number of steps of luma from 0 to 1 and of chroma from -1/2 to 1/2."""
        return (0, Fraction(255), Fraction(255)) if self.full else (16, Fraction(219), Fraction(224))

    @cached_property
    def _from_yuv(self) -> _engine.FromYuv:
        red, blue = _LUMA[self.matrix]
        green = 1 - red - blue
        zero, luma, chroma = self._scales
        from_red, from_blue = 2 * (1 - red), 2 * (1 - blue)
        weights = (from_red, -from_blue * blue / green, -from_red * red / green, from_blue)
        return _engine.FromYuv(zero, round(_UNIT * 255 / luma), *(round(_UNIT * 255 * each / chroma) for each in weights))

    @cached_property
    def _to_yuv(self) -> _engine.ToYuv:
        red, blue = _LUMA[self.matrix]
        zero, luma, chroma = self._scales

        def rounded(of_red: Fraction, of_blue: Fraction, total: Fraction) -> tuple[int, int, int]:
            # Green takes the rounding error, so that greys stay grey.
            ends = round(_UNIT * of_red), round(_UNIT * of_blue)
            return ends[0], round(_UNIT * total) - sum(ends), ends[1]

        luma, chroma = luma / 255, chroma / 255
        blueness = rounded(-chroma * red / (1 - blue) / 2, chroma / 2, Fraction(0))
        redness = rounded(chroma / 2, -chroma * blue / (1 - red) / 2, Fraction(0))
        return _engine.ToYuv(zero, rounded(luma * red, luma * blue, luma), blueness, redness)


@dataclass(frozen=True)
class _Rgb(Coding):
    """Planes of R, G and B: no arithmetic, and nothing lost."""

    subsampling: str = "444"
    matrix: str = "rgb"
    full: bool = True

    def to_rgb(self, planes: tuple[Plane, ...]) -> Pixels:
        return np.stack(planes, axis=-1)

    def from_rgb(self, pixels: Pixels) -> tuple[Plane, Plane, Plane]:
        red, green, blue = (np.ascontiguousarray(pixels[..., channel]) for channel in range(3))
        return red, green, blue

    def in_yuv(self, height: int, width: int) -> Coding:
        return Coding("444", False, usual_matrix(height, width))


RGB = _Rgb()
"""How the frames are stored that come as pictures."""


def usual_matrix(height: int, width: int) -> str:
    """The matrix of a video that names none: BT.709 for high definition, as players assume."""
    return "bt709" if width >= 1280 or height > 576 else "bt601"
