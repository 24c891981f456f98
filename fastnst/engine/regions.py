"""Regions of a picture that have styles of their own; ``csrc/engine/regions.h`` says how masks are scaled and blended."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastnst import _engine
from fastnst.engine.base import Look, Pixels
from fastnst.pictures.masks import Mask


@dataclass(frozen=True, eq=False)
class Regions:
    """What masks of a picture are painted with.

    Args:
        masks: where each region is; what no mask covers is the rest.
        looks: one for each.
        strength: how far the features go to the style, by place, times ``alpha``; None = all the way.
        paints_rest: whether the rest has a style, or else stays as it is.
    """

    masks: tuple[Mask, ...]
    looks: tuple[Look, ...]
    strength: Mask | None = None
    paints_rest: bool = True

    @cached_property
    def compiled(self) -> _engine.Regions:
        """As the compiled engine has it, without the looks."""
        strength = None if self.strength is None else self.strength.values
        return _engine.Regions([mask.values for mask in self.masks], strength, self.paints_rest)

    def keep_rest(self, height: int, first: int, content: Pixels, result: Pixels, threads: int) -> None:
        """Put the content where that stays as it is into ``result``, rows of a picture of ``height`` from ``first`` on, in
        place; both uint8 [n, W, 3]."""
        if not self.paints_rest:
            self.compiled.keep_rest(height, first, np.ascontiguousarray(content), result, threads)
