"""Steady pictures: AdaIN with content statistics that follow the frames slowly.

AdaIN divides each channel by its standard deviation in the same frame. A small object that enters the picture changes that
number, and with it the whole output. Here the content is normalised by an exponential moving average of mean and standard
deviation over the frames before, which starts again where the scene changes.
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
"""Measured on the shipped AdaIN models: where an object crosses a still scene, the rest of the picture changes 14 to 21 % less
from frame to frame (0.8: 25 to 30 %; mean squared difference, one scene); in pans and zooms the error of
:mod:`fastnst.metrics.warping` moves by 2 % at most (0.8: 10 %)."""
CUT = 0.45
"""A :func:`change` above this is a cut. Pans of 1/20 of the width per frame reach 0.29, pairs of photographs 0.64 or more."""


def smoothing_of(engine: Engine, options: Options) -> float:
    """The weight of the past in the moving average, 0..1: 0 for no smoothing, also by default where the engine cannot smooth.

    Raises:
        ValueError: smoothing is asked for, and the engine cannot do it.
    """
    if options.is_parted:
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
    """The moving averages after a frame, which it is normalised by, and its own statistics, to detect the next cut."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    last: Statistics
    begins: bool = False  # the frame is the first one of a scene
    colors: Colors | None = None  # the input of the palette step, if there is one

    @property
    def statistics(self) -> Statistics:
        """The statistics that the frame is normalised by."""
        return Statistics(self.mean, self.std)

    def as_json(self) -> dict[str, Any]:
        """The averages as a JSON value, exactly. ``begins`` is left out, because the next frame does not need it."""
        arrays = {"mean": self.mean, "std": self.std, "last_mean": self.last.mean, "last_std": self.last.std}
        if self.colors is not None:
            arrays |= {"colors_mean": self.colors.mean, "colors_covariance": self.colors.covariance}
        return {name: array.tolist() for name, array in arrays.items()}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Average:
        """The inverse of :meth:`as_json`."""
        arrays = {name: np.asarray(values, np.float64) for name, values in data.items()}
        colors = Colors(arrays["colors_mean"], arrays["colors_covariance"]) if "colors_mean" in arrays else None
        return Average(arrays["mean"], arrays["std"], Statistics(arrays["last_mean"], arrays["last_std"]), colors=colors)


def follow(before: Average | None, now: Statistics, smooth: float) -> Average:
    """The average after a frame with statistics ``now``: smooth * before + (1 - smooth) * now, or ``now`` after a cut.

    Args:
        before: the average after the previous frame; ``None`` for the first frame.
        smooth: 0..1; 0 = only this frame counts, 1 = only the first one of a scene.
    """
    if before is None or change(before.last, now) > CUT:
        return Average(now.mean, now.std, now, begins=True)
    mean = smooth * before.mean + (1 - smooth) * now.mean
    return Average(mean, smooth * before.std + (1 - smooth) * now.std, now)


def follow_colors(before: Colors | None, now: Colors, smooth: float) -> Colors:
    """The same for the colours of a decoded frame; ``before`` is None where a scene begins."""
    return now if before is None else Colors.mix([before, now], [smooth, 1 - smooth])


def change(a: Statistics, b: Statistics) -> float:
    """How much two frames differ: the L1 distances of their means and of their stds, divided by the sum of the first's stds."""
    return float((np.abs(a.mean - b.mean).sum() + np.abs(a.std - b.std).sum()) / a.std.sum())


class Following:
    """Smooths the statistics of frames that are stylized one after the other; see :class:`fastnst.steps.Follower`."""

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
