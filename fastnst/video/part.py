"""A part of a video: its frames between two moments, and what belongs to them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

from fastnst.options import Clip
from fastnst.video.frames import Format, Frame, Source, VideoError


class Part:
    """The frames of ``source`` that are shown between two moments; their times begin where the part does.

    Args:
        clip: the moments, in seconds from the beginning of the video.
        name: of the video, for messages.

    Attributes:
        skipped: how many frames are shown before the part; known once its first frame is read.
    """

    def __init__(self, source: Source, clip: Clip, name: str) -> None:
        self.source, self.clip, self.name = source, clip, name
        self.format: Format = source.format
        self.warnings = source.warnings
        self.origin = source.origin
        self.count = self._expected()
        self.skipped = 0

    @property
    def transparent(self) -> bool:
        """See :class:`fastnst.video.frames.Source`."""
        return self.source.transparent

    @property
    def has_alpha(self) -> bool:
        """See :class:`fastnst.video.frames.Source`."""
        return self.source.has_alpha

    def frames(self, start: int = 0, keep_alpha: bool = False) -> Iterator[Frame]:
        """See :class:`fastnst.video.frames.Source`.

        Raises:
            VideoError: no frame is shown between the two moments.
        """
        base = self.format.time_base
        begin = _exact(self.source.origin + self.clip.start)
        end = None if self.clip.end is None else _exact(self.source.origin + self.clip.end)
        shift = math.floor(_exact(self.clip.start) / base)
        number, last = 0, Fraction(0)
        for frame in self.source.frames(0, keep_alpha):
            last = frame.time * base
            if end is not None and last >= end:
                break
            if last < begin:
                self.skipped += 1
                continue
            if number >= start:
                yield replace(frame, time=frame.time - shift)
            number += 1
        if not number:
            after = f"its last frame is at {float(last - _exact(self.source.origin)):.2f} s"
            raise VideoError(f"{self.name}: shows no frame from {self.clip.start:g} s on: {after}")

    def close(self) -> None:
        """See :class:`fastnst.video.frames.Source`."""
        self.source.close()

    def _expected(self) -> int | None:
        if self.format.rate is None or (self.source.count is None and self.clip.end is None):
            return None
        ends = [float(self.source.count / self.format.rate)] if self.source.count is not None else []
        ends += [self.clip.end] if self.clip.end is not None else []
        return max(0, round((min(ends) - self.clip.start) * self.format.rate))


class Cut:
    """Which packets and chapters of a container belong to a part of it, and when they are shown in that.

    Args:
        origin: that of the source.
    """

    def __init__(self, clip: Clip, origin: float) -> None:
        self.begin = origin + clip.start
        self.end = None if clip.end is None else origin + clip.end
        self.shift = clip.start

    def holds(self, seconds: float) -> bool:
        """Whether what is shown then is in the part."""
        return seconds >= self.begin and (self.end is None or seconds < self.end)

    def move(self, each: Any) -> None:
        """Give a packet or a frame its time in the part."""
        ticks = round(self.shift / each.time_base)
        each.pts = None if each.pts is None else each.pts - ticks
        if each.dts is not None:
            each.dts -= ticks

    def chapters(self, chapters: list[Any]) -> list[Any]:
        """Those that the part is in, as far as it is."""
        found = []
        for chapter in chapters:
            base = Fraction(chapter["time_base"])
            first, last = float(chapter["start"] * base), float(chapter["end"] * base)
            if last <= self.begin or (self.end is not None and first >= self.end):
                continue
            last = last if self.end is None else min(last, self.end)
            times = {"start": round((max(first, self.begin) - self.shift) / base), "end": round((last - self.shift) / base)}
            found.append({**chapter, **times})
        return found


def _exact(seconds: float) -> Fraction:
    return Fraction(seconds).limit_denominator(10**6)
