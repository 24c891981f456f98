"""Steady pictures: AdaIN with content statistics that follow the frames slowly.

AdaIN divides each channel by its own deviation in this very frame. A small thing that enters the picture changes that number,
and with it the whole output. Here the mean and the deviation that the content is normalised by are an exponential average over
the frames before, which begins anew where the scene changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnst.engine import Engine, Statistics
from fastnst.engine.palette import Colors
from fastnst.options import Options

DEFAULT_SMOOTH = 0.5
"""Measured on the shipped AdaIN models: where a thing crosses a still scene, the rest of the picture changes 14 to 21 % less
from frame to frame (0.8: 25 to 30 %; mean squared difference, one scene); in pans and zooms the error of
:mod:`fastnst.metrics.warping` moves by 2 % at most (0.8: 10 %)."""
CUT = 0.45
"""A :func:`change` that is a cut. Pans of 1/20 of the width a frame reach 0.29, two photographs are 0.64 apart or more."""


def smoothing_of(engine: Engine, options: Options) -> float:
    """How slowly the statistics follow the frames.

    Raises:
        ValueError: they cannot, and are asked to.
    """
    if options.parted is not None:
        if options.smoothing:
            raise ValueError("--smooth follows statistics of whole frames, and regions have their own: leave it away")
        return 0.0
    if options.smoothing is None:
        return DEFAULT_SMOOTH if engine.smoothable else 0.0
    if options.smoothing and not engine.smoothable:
        raise ValueError("--smooth is for AdaIN models: WCT computes the content's statistics anew at every level")
    return options.smoothing


@dataclass(frozen=True)
class Average:
    """After a frame: the averages that it is normalised by, and its own statistics, which tell a cut."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    last: Statistics
    begins: bool = False  # a scene
    colors: Colors | None = None  # those that the palette step started from, where there is one

    @property
    def statistics(self) -> Statistics:
        """Those that the frame is normalised by."""
        return Statistics(self.mean, self.std)

    def as_json(self) -> dict[str, Any]:
        """Exactly, in JSON's types; ``begins`` is of no use to the next frame."""
        arrays = {"mean": self.mean, "std": self.std, "last_mean": self.last.mean, "last_std": self.last.std}
        if self.colors is not None:
            arrays |= {"colors_mean": self.colors.mean, "colors_covariance": self.colors.covariance}
        return {name: array.tolist() for name, array in arrays.items()}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Average:
        """The inverse."""
        arrays = {name: np.asarray(values, np.float64) for name, values in data.items()}
        colors = Colors(arrays["colors_mean"], arrays["colors_covariance"]) if "colors_mean" in arrays else None
        return Average(arrays["mean"], arrays["std"], Statistics(arrays["last_mean"], arrays["last_std"]), colors=colors)


def follow(before: Average | None, now: Statistics, smooth: float) -> Average:
    """The average after a frame with statistics ``now``: ``smooth`` of the average before it and the rest of ``now``.

    Args:
        before: after the frame before; None for the first one.
        smooth: 0 = only this frame counts, 1 = only the first one of a scene.
    """
    if before is None or change(before.last, now) > CUT:
        return Average(now.mean, now.std, now, begins=True)
    mean = smooth * before.mean + (1 - smooth) * now.mean
    return Average(mean, smooth * before.std + (1 - smooth) * now.std, now)


def follow_colors(before: Colors | None, now: Colors, smooth: float) -> Colors:
    """The same for the colours of a decoded frame; ``before`` is None where a scene begins."""
    return now if before is None else Colors.mix([before, now], [smooth, 1 - smooth])


def change(a: Statistics, b: Statistics) -> float:
    """How far the statistics of two frames are apart: sums over channels of |mean - mean| and |std - std| by that of std."""
    return float((np.abs(a.mean - b.mean).sum() + np.abs(a.std - b.std).sum()) / a.std.sum())


class Following:
    """Statistics that follow frames which come one after the other; see :class:`fastnst.steps.Follower`."""

    def __init__(self, smoothing: float) -> None:
        self._smoothing = smoothing
        self._average: Average | None = None

    def statistics(self, now: Statistics) -> Statistics:
        self._average = follow(self._average, now, self._smoothing)
        return self._average.statistics

    def colors(self, now: Colors) -> Colors:
        assert self._average is not None
        past = None if self._average.begins else self._average.colors
        colors = follow_colors(past, now, self._smoothing)
        self._average = replace(self._average, colors=colors)
        return colors
