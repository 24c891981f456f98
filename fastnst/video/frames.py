"""What videos are made of, whatever they are read from and written to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from fastnst.images import ImageError
from fastnst.video.color import Coding, Plane

UNKNOWN_RATE = Fraction(25)
"""Frames per second where a video does not say, as players take it."""


class VideoError(ImageError):
    """A video that cannot be read or written; the message is one line that says which and why."""


@dataclass(frozen=True)
class Format:
    """What all frames of a video have in common."""

    width: int
    height: int
    coding: Coding
    time_base: Fraction  # seconds
    rate: Fraction | None = None  # frames per second on average, where the video says
    aspect: Fraction | None = None  # width of a pixel by its height, where the video says


@dataclass(frozen=True)
class Frame:
    """One picture: Y, or Y, Cb and Cr, and when it is shown, in units of the video's ``time_base``."""

    planes: tuple[Plane, ...]
    time: int

    def looks_like(self, other: Frame) -> bool:
        """Whether every byte is the same."""
        return all(np.array_equal(mine, its) for mine, its in zip(self.planes, other.planes, strict=True))


class Source(Protocol):
    """A video to read."""

    format: Format
    count: int | None  # of frames, where it can be known; a guess
    warnings: list[str]  # what was met while reading that did not stop it; each is a line that names the video

    @property
    def transparent(self) -> bool:
        """Whether a frame so far was not opaque."""

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """All frames from number ``start`` on. To be called once.

        Raises:
            VideoError: while iterating, at what is broken or not supported.
        """

    def close(self) -> None:
        """Let the file go."""


class Target(Protocol):
    """A video to write, complete or not at all."""

    done: int  # frames that an earlier run left, which need not be written again
    state: Any  # what was handed to the ``checkpoint`` after the last of them; None at the beginning
    interval: int  # frames after which a checkpoint is due

    @property
    def left_out(self) -> Sequence[str]:
        """What the output does not hold of the source: streams by kind, tags by name. Complete when it is finished."""

    def write(self, frame: Frame) -> None:
        """The next frame."""

    def checkpoint(self, state: Any) -> None:
        """Make all frames so far survive a kill or a power cut, and with them ``state``, which JSON can hold."""

    def finish(self) -> None:
        """Give the video its name. Nothing is left beside it."""

    def close(self) -> None:
        """Let go; what is not finished stays for the next run as far as its last checkpoint."""
