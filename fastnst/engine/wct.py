"""WCT: a cascade of encoders and decoders, one pair for each level, that give features the covariance of the style's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastnst.engine.base import Array, Kind, Look, Parts, mixed_colors, mixed_models, stored_colors, weighted
from fastnst.engine.palette import Colors
from fastnst.format.lookfile import LookError, StoredLook, required


class Coloring(NamedTuple):
    """What WCT keeps of a style at one level: mean, float64 [C], and symmetric root of the covariance, float64 [C, C]."""

    mean: Array
    root: Array


@dataclass(frozen=True, eq=False)
class WctLook(Look):
    """What WCT keeps of a style at every level that it was encoded at."""

    levels: Mapping[int, Coloring]
    colors: Colors | None = None
    model: tuple[str, str] | None = None

    kind: ClassVar[str] = "wct"

    def parts(self) -> Parts:
        return [(level, coloring.mean, coloring.root) for level, coloring in self.levels.items()]

    def arrays(self) -> list[NDArray[np.generic]]:
        return [array for level, each in self.levels.items() for array in (np.array([level]), each.mean, each.root)]

    def named_arrays(self) -> dict[str, Array]:
        parts = [(str(level), each) for level, each in self.levels.items()]
        return {f"{name}.{level}": getattr(each, name) for level, each in parts for name in ("mean", "root")}

    @classmethod
    def stored(cls, stored: StoredLook) -> WctLook:
        """The look of a file.

        Raises:
            LookError: it lacks something.
        """
        levels = {}
        for level in (name.removeprefix("mean.") for name in stored.arrays if name.startswith("mean.")):
            mean, root = required(stored, f"mean.{level}", f"root.{level}")
            if not level.isdecimal() or mean.ndim != 1 or root.shape != 2 * mean.shape:
                raise LookError("its arrays are not of the lengths that they should have")
            levels[int(level)] = Coloring(mean, root)
        if not levels:
            raise LookError("it has no levels")
        return cls(levels, stored_colors(stored), (stored.model, stored.model_name))

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
        return WctLook(levels, mixed_colors(looks, weights), mixed_models(looks))


class WctEngine(Kind):
    """WCT models."""

    region_bytes = 1 << 21

    def look_of(self, parts: Parts, colors: Colors, model: tuple[str, str]) -> WctLook:
        return WctLook({level: Coloring(mean, root) for level, mean, root in parts}, colors, model)

    def steadied(self, *_: object) -> NoReturn:
        raise ValueError("this is a WCT model: it computes the content's statistics anew at every level")
