"""Frames, and the interfaces of what reads and writes videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from fastnst.images import ImageError, Mask
from fastnst.video.color import Coding, Plane

UNKNOWN_RATE = Fraction(25)
"""Frames per second of a video that does not tell, as players assume."""


class VideoError(ImageError):
    """A video that cannot be read or written; the message is one line that says which file and why."""


@dataclass(frozen=True)
class Format:
    """The properties that all frames of a video share."""

    width: int
    height: int
    coding: Coding
    time_base: Fraction  # the unit of time, in seconds
    rate: Fraction | None = None  # frames per second on average, if known
    aspect: Fraction | None = None  # width of a pixel divided by its height, if known


@dataclass(frozen=True)
class Frame:
    """One picture.

    Attributes:
        planes: Y, or Y, Cb and Cr.
        time: at which it is shown, in units of the video's ``time_base``.
        alpha: how opaque each pixel is, [H, W], where that is kept apart; None = opaque, or blended with white.
        masks: those of the frame where masks move, in the order of ``Options.mask_clips``.
    """

    planes: tuple[Plane, ...]
    time: int
    alpha: Plane | None = None
    masks: tuple[Mask, ...] = ()

    def looks_like(self, other: Frame) -> bool:
        """Whether every byte is the same, those of transparency and masks included."""
        mine, its = ((*each.planes, *(mask.values for mask in each.masks)) for each in (self, other))
        if (self.alpha is None) != (other.alpha is None) or len(mine) != len(its):
            return False
        if self.alpha is not None and not np.array_equal(self.alpha, other.alpha):  # type: ignore[arg-type]
            return False
        return all(map(np.array_equal, mine, its))


class Source(Protocol):
    """A video to read."""

    format: Format
    count: int | None  # the number of frames, an estimate; None if unknown
    origin: float  # when its clock begins, in seconds: 0 but in formats for broadcasting
    warnings: list[str]  # problems that did not stop the reading; each is a line that names the video

    @property
    def has_alpha(self) -> bool:
        """Whether frames may be transparent."""

    @property
    def transparent(self) -> bool:
        """Whether any frame so far was not opaque."""

    def frames(self, start: int = 0, keep_alpha: bool = False) -> Iterator[Frame]:
        """All frames from number ``start`` on. It can be called once.

        Args:
            keep_alpha: give transparency apart; without it frames are blended with white.

        Raises:
            VideoError: during the iteration, where the video is broken or not supported.
        """

    def close(self) -> None:
        """Close the file."""


class Target(Protocol):
    """A video to write, complete or not at all."""

    done: int  # the number of finished frames, those of an earlier run included
    state: Any  # that of the last checkpoint; None if there is none
    interval: int  # the number of frames between checkpoints
    holds_alpha: bool  # whether frames may be transparent

    @property
    def left_out(self) -> Sequence[str]:
        """What of the source the output cannot hold: streams by kind, tags by name. Complete after :meth:`finish`."""

    def write(self, frame: Frame) -> None:
        """Write the next frame."""

    def checkpoint(self, state: Any) -> None:
        """Save all frames so far, and ``state``, any JSON value, so that they survive a kill or a power cut."""

    def finish(self) -> None:
        """Complete the video under its final name, and delete the checkpoint."""

    def close(self) -> None:
        """Close the files. Unfinished work stays for the next run, up to the last checkpoint."""
