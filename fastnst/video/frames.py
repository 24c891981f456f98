"""Frames, and the interfaces of what reads and writes videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from fastnst.images import ImageError
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
    """One picture: the planes Y, or Y, Cb and Cr, and the time at which it is shown, in units of the video's ``time_base``."""

    planes: tuple[Plane, ...]
    time: int

    def looks_like(self, other: Frame) -> bool:
        """Whether every byte is the same."""
        return all(np.array_equal(mine, its) for mine, its in zip(self.planes, other.planes, strict=True))


class Source(Protocol):
    """A video to read."""

    format: Format
    count: int | None  # the number of frames, an estimate; None if unknown
    origin: float  # when its clock begins, in seconds: 0 but in formats for broadcasting
    warnings: list[str]  # problems that did not stop the reading; each is a line that names the video

    @property
    def transparent(self) -> bool:
        """Whether any frame so far was not opaque."""

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """All frames from number ``start`` on. It can be called once.

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
