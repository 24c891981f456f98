"""WCT: a cascade of encoders and decoders, one pair for each level, that give features the covariance of the style's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastnst._engine import Passage, Tiling, WctFeatures, WctModel
from fastnst.engine.base import Array, Features, Kind, Look, PaletteStep, Pixels, Statistics, mixed_colors, weighted
from fastnst.engine.palette import Colors

_Levels = list[tuple[int, Array, Array]]


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


def _look_of(colorings: _Levels, colors: Colors) -> WctLook:
    return WctLook({level: Coloring(mean, root) for level, mean, root in colorings}, colors)


def _colorings_of(look: WctLook) -> _Levels:
    return [(level, coloring.mean, coloring.root) for level, coloring in look.levels.items()]


class WctEngine(Kind):
    """A WCT model at some of its levels, without ``levels`` at all."""

    name = "a WCT model"

    def __init__(self, model: WctModel, levels: Sequence[int] | None = None) -> None:
        self._model = model
        if levels is not None:
            model.working_bytes(1, 1, levels)  # says what is wrong with them
        self.levels = tuple(model.levels if levels is None else sorted(levels, reverse=True))

    def with_levels(self, levels: Sequence[int]) -> WctEngine:
        return WctEngine(self._model, list(levels))

    translate = Kind.needs_style
    layer_times = Kind.not_timed

    def working_bytes(self, height: int, width: int, threads: int) -> int:
        return self._model.working_bytes(height, width, self.levels, threads)

    def tiling(self, height: int, width: int, threads: int, budget: int, decodes: bool) -> Tiling:
        return self._model.tiling(height, width, self.levels, threads, budget, decodes)

    def encode(self, image: Pixels, threads: int) -> WctFeatures:
        return self._model.encode(image, self.levels, threads)

    def look(self, image: Pixels, threads: int, colors: Callable[[], Colors]) -> WctLook:
        return _look_of(self._model.look(image, self.levels, threads), colors())

    def decode(self, content: Features, look: Look, alpha: float, threads: int, normalised_by: Statistics | None) -> Pixels:
        if not isinstance(look, WctLook) or not isinstance(content, WctFeatures):
            raise ValueError("this is a WCT model: it takes features and looks of WCT models")
        if normalised_by is not None:
            raise ValueError("this is a WCT model: it takes statistics of the content at every level anew")
        return self._model.decode(content, _colorings_of(look), alpha, threads)

    def stylize_tiled(
        self, passage: Passage, look: Look, alpha: float, tiling: Tiling, folder: bytes, palette: PaletteStep | None
    ) -> None:
        if not isinstance(look, WctLook):
            raise ValueError("this is a WCT model: it takes looks of WCT models")
        self._model.stylize_tiled(passage, self.levels, _colorings_of(look), alpha, tiling, folder, palette)

    def look_tiled(self, passage: Passage, tiling: Tiling, colors: Callable[[], Colors]) -> WctLook:
        colorings = self._model.look_tiled(passage, self.levels, tiling)
        return _look_of(colorings, colors())
