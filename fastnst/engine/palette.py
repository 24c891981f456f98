"""The palette step: after decoding, one linear map gives the picture the mean and covariance of its style's colours.

The map is the one that moves colours least (Monge-Kantorovich; Pitie and Kokaram, CVMP 2007). Sums are exact, the map is
rounded to integers, and ``csrc/engine/palette.h`` says in which order everything is computed: the same bytes on every machine.
``fastnst.ops.color_transfer`` is the same step for training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnst import _engine

Pixels = NDArray[np.uint8]


class Colors(NamedTuple):
    """Mean, float64 [3], and covariance, float64 [3, 3], of the colours of a picture, in 8-bit RGB."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @staticmethod
    def mix(colors: Sequence[Colors], weights: Sequence[float]) -> Colors:
        """The weighted sum of several; weights are taken as they are."""
        parts = list(zip(colors, weights, strict=True))
        mean = sum((each.mean * weight for each, weight in parts), start=np.zeros(3))
        return Colors(mean, sum((each.covariance * weight for each, weight in parts), start=np.zeros((3, 3))))


Step = tuple[tuple[NDArray[np.float64], NDArray[np.float64]], float]


class Palette(NamedTuple):
    """Colours to map a picture's to, and how far: 0 = not at all, 1 = all the way."""

    colors: Colors
    strength: float = 1.0

    def apply(self, pixels: Pixels, threads: int, source: Colors | None = None) -> None:
        """Map the colours of ``pixels``, uint8 [H, W, 3], in place.

        Args:
            source: the colours that the map starts from; without it those of ``pixels``.
        """
        if self.strength:
            start = colors_of(pixels, threads) if source is None else source
            _engine.map_colors(pixels, start, self.colors, self.strength, threads)

    def steps(self) -> list[Step]:
        """As the compiled engine has it; empty if nothing is done."""
        return [(self.colors, self.strength)] if self.strength else []


class RegionPalette(NamedTuple):
    """A palette for each region and for the rest, None where the colours stay: their maps are blended as the regions are."""

    palettes: tuple[Palette | None, ...]
    regions: _engine.Regions

    def apply(self, pixels: Pixels, threads: int, source: Colors | None = None) -> None:
        """Map the colours of ``pixels``, uint8 [H, W, 3], in place.

        Raises:
            ValueError: ``source`` is given: every region starts from colours of its own.
        """
        if source is not None:
            raise ValueError("the palette step of regions starts from their own colours")
        self.regions.recolor(pixels, self.steps(), threads)

    def steps(self) -> list[Step]:
        """As the compiled engine has it."""
        stays = Colors(np.zeros(3), np.zeros((3, 3))), 0.0
        return [(each.colors, each.strength) if each else stays for each in self.palettes]


def colors_of(pixels: Pixels, threads: int = 1) -> Colors:
    """Mean and covariance of the colours of ``pixels``, uint8 [H, W, 3].

    Raises:
        ValueError: there are no pixels.
    """
    sums = _engine.ColorSums()
    sums.add(np.ascontiguousarray(pixels), threads)
    return Colors(*sums.colors())
