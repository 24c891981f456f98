"""WCT: a cascade of encoders and decoders, one pair for each level, that give features the covariance of the style's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from fastnst.engine.base import Array, Kind, Look, Parts, mixed_colors, weighted
from fastnst.engine.palette import Colors


@dataclass(frozen=True)
class Coloring:
    """What WCT keeps of a style at one level: mean, float64 [C], and symmetric root of the covariance, float64 [C, C]."""

    mean: Array
    root: Array


@dataclass(frozen=True)
class WctLook(Look):
    """What WCT keeps of a style at every level that it was encoded at."""

    levels: Mapping[int, Coloring]
    colors: Colors | None = None

    def parts(self) -> Parts:
        return [(level, coloring.mean, coloring.root) for level, coloring in self.levels.items()]

    def arrays(self) -> list[NDArray[np.generic]]:
        return [array for level, each in self.levels.items() for array in (np.array([level]), each.mean, each.root)]

    def mixed(self, others: Sequence[Look], weights: Sequence[float]) -> WctLook:
        """What blending the coloured features would give."""
        looks = [self, *(look for look in others if isinstance(look, WctLook))]
        if len(looks) != 1 + len(others):
            raise ValueError("looks of an AdaIN and of a WCT model cannot be mixed")
        if any(look.levels.keys() != self.levels.keys() for look in looks):
            raise ValueError("looks of different levels cannot be mixed")
        levels = {
            level: Coloring(
                weighted([look.levels[level].mean for look in looks], weights),
                weighted([look.levels[level].root for look in looks], weights),
            )
            for level in self.levels
        }
        return WctLook(levels, mixed_colors(looks, weights))


class WctEngine(Kind):
    """WCT models."""

    def look_of(self, parts: Parts, colors: Colors) -> WctLook:
        return WctLook({level: Coloring(mean, root) for level, mean, root in parts}, colors)

    def steadied(self, *_: object) -> NoReturn:
        raise ValueError("this is a WCT model: it computes the content's statistics anew at every level")
