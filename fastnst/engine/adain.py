"""AdaIN: one encoder and one decoder, between which every channel gets the style's mean and deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnst.engine.base import Array, Kind, Look, Parts, Statistics, mixed_colors, mixed_models, stored_colors, weighted
from fastnst.engine.palette import Colors
from fastnst.format.lookfile import LookError, StoredLook, required


@dataclass(frozen=True, eq=False)
class AdainLook(Look):
    """What AdaIN keeps of a style: mean and standard deviation of each feature channel, float64 [C]."""

    mean: Array
    std: Array
    colors: Colors | None = None
    model: tuple[str, str] | None = None

    kind: ClassVar[str] = "adain"

    def parts(self) -> Parts:
        return [(0, self.mean, self.std)]

    def arrays(self) -> list[NDArray[np.generic]]:
        return [self.mean, self.std]

    def named_arrays(self) -> dict[str, Array]:
        return {"mean": self.mean, "std": self.std}

    @classmethod
    def stored(cls, stored: StoredLook) -> AdainLook:
        """The look of a file.

        Raises:
            LookError: it lacks something.
        """
        mean, std = required(stored, "mean", "std")
        if mean.ndim != 1 or mean.shape != std.shape:
            raise LookError("its arrays are not of the lengths that they should have")
        return cls(mean, std, stored_colors(stored), (stored.model, stored.model_name))

    def mixed(self, others: Sequence[Look], weights: Sequence[float]) -> AdainLook:
        looks = [self, *(look for look in others if isinstance(look, AdainLook))]
        if len(looks) != 1 + len(others):
            raise ValueError("looks of an AdaIN and of a WCT model cannot be mixed")
        mean, std = (weighted([getattr(look, name) for look in looks], weights) for name in ("mean", "std"))
        return AdainLook(mean, std, mixed_colors(looks, weights), mixed_models(looks))


def steady_look(style: AdainLook, content: Statistics, normalised_by: Statistics) -> AdainLook:
    """The look that makes the engine normalise a content by other statistics than its own, which are ``content``.

    The engine computes ``(f - mean_c) / std_c * std + mean`` of a feature f. With the result of this function in the place of
    the style that is ``(f - mean_n) / std_n * std_s + mean_s``.
    """
    gain = style.std / normalised_by.std
    return AdainLook(style.mean + (content.mean - normalised_by.mean) * gain, content.std * gain, style.colors, style.model)


class AdainEngine(Kind):
    """AdaIN models."""

    smoothable = True
    region_bytes = 1 << 17

    def look_of(self, parts: Parts, colors: Colors, model: tuple[str, str]) -> AdainLook:
        _, mean, std = parts[0]
        return AdainLook(mean, std, colors, model)

    def steadied(self, look: Look, content: Statistics, normalised_by: Statistics) -> Look:
        if not isinstance(look, AdainLook):
            raise ValueError("this is an AdaIN model: it takes features and looks of AdaIN models")
        return steady_look(look, content, normalised_by)
