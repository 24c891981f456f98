"""AdaIN: one encoder and one decoder, with the mean and the deviation of every channel of the features set to the style's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastnst._engine import AdainFeatures, AdainModel, Passage, Tiling
from fastnst.engine.base import (
    Array,
    Features,
    Kind,
    LayerTime,
    Look,
    PaletteStep,
    Pixels,
    Statistics,
    mixed_colors,
    weighted,
)
from fastnst.engine.palette import Colors


@dataclass(frozen=True)
class AdainLook(Look):
    """What AdaIN keeps of a style: mean and standard deviation of each feature channel, float64 [C]."""

    mean: Array
    std: Array
    colors: Colors | None = None

    def arrays(self) -> list[NDArray[np.generic]]:
        return [self.mean, self.std]

    def mixed(self, others: Sequence[Look], weights: Sequence[float]) -> AdainLook:
        looks = [self, *(look for look in others if isinstance(look, AdainLook))]
        if len(looks) != 1 + len(others):
            raise ValueError("looks of an AdaIN and of a WCT model cannot be mixed")
        mean, std = (weighted([getattr(look, name) for look in looks], weights) for name in ("mean", "std"))
        return AdainLook(mean, std, mixed_colors(looks, weights))


def steady_look(style: AdainLook, content: Statistics, normalised_by: Statistics) -> AdainLook:
    """The look that makes the engine normalise a content by other statistics than its own, which are ``content``.

    The engine computes ``(f - mean_c) / std_c * std + mean`` of a feature f. With the result of this function in the place of
    the style that is ``(f - mean_n) / std_n * std_s + mean_s``.
    """
    gain = style.std / normalised_by.std
    return AdainLook(style.mean + (content.mean - normalised_by.mean) * gain, content.std * gain, style.colors)


class AdainEngine(Kind):
    """An AdaIN model."""

    name = "an AdaIN model"
    smoothable = True

    def __init__(self, model: AdainModel) -> None:
        self._model = model

    with_levels = Kind.no_levels
    translate = Kind.needs_style

    def working_bytes(self, height: int, width: int, threads: int) -> int:
        return self._model.working_bytes(height, width, threads)

    def tiling(self, height: int, width: int, threads: int, budget: int, decodes: bool) -> Tiling:
        return self._model.tiling(height, width, threads, budget, decodes)

    def encode(self, image: Pixels, threads: int) -> AdainFeatures:
        return self._model.encode(image, threads)

    def look(self, image: Pixels, threads: int, colors: Callable[[], Colors]) -> AdainLook:
        return AdainLook(*self._model.encode(image, threads).statistics(), colors())

    def decode(self, content: Features, look: Look, alpha: float, threads: int, normalised_by: Statistics | None) -> Pixels:
        if not isinstance(look, AdainLook) or not isinstance(content, AdainFeatures):
            raise ValueError("this is an AdaIN model: it takes features and looks of AdaIN models")
        if normalised_by is not None:
            look = steady_look(look, Statistics(*content.statistics()), normalised_by)
        return self._model.decode(content, look.mean, look.std, alpha, threads)

    def stylize_tiled(
        self, passage: Passage, look: Look, alpha: float, tiling: Tiling, folder: bytes, palette: PaletteStep | None
    ) -> None:
        if not isinstance(look, AdainLook):
            raise ValueError("this is an AdaIN model: it takes looks of AdaIN models")
        self._model.stylize_tiled(passage, look.mean, look.std, alpha, tiling, folder, palette)

    def look_tiled(self, passage: Passage, tiling: Tiling, colors: Callable[[], Colors]) -> AdainLook:
        mean, std = self._model.look_tiled(passage, tiling)
        return AdainLook(mean, std, colors())

    def layer_times(self, height: int, width: int, threads: int, repeats: int) -> list[LayerTime]:
        return [LayerTime(*each) for each in self._model.layer_times(height, width, threads, repeats)]
