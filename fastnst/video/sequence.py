"""Videos as pictures with numbers, such as ``frame_0001.png``, read and written by a pattern such as ``frame_%04d.png``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fastnst.images import Picture, Saving, open_picture, save_picture
from fastnst.video.checkpoint import Checkpoint
from fastnst.video.color import RGB
from fastnst.video.frames import Format, Frame, VideoError
from fastnst.video.kinds import SEQUENCE

USUAL_RATE = Fraction(25)


def numbered(pattern: Path, number: int) -> Path:
    """The file of a number."""
    return pattern.with_name(SEQUENCE.sub(lambda match: f"{number:{match[1] or ''}d}", pattern.name, count=1))


def numbers(pattern: Path) -> list[int]:
    """The numbers of the files that there are, in order."""
    before, after = SEQUENCE.split(pattern.name, maxsplit=1)[::2]
    name = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    found = (name.fullmatch(path.name) for path in pattern.parent.iterdir()) if pattern.parent.is_dir() else ()
    known = sorted({int(match[1]) for match in found if match})
    return [number for number in known if numbered(pattern, number).is_file()]


class SequenceSource:
    """The pictures of a pattern, from the smallest number on, one after the other.

    Args:
        pattern: a path whose name has one ``%d``, ``%04d`` or the like.
        rate: pictures a second.

    Raises:
        VideoError: there is none, or a number is missing among them.
        ImageError: the first one cannot be read.
    """

    def __init__(self, pattern: Path, rate: Fraction = USUAL_RATE) -> None:
        self._pattern, self._numbers = pattern, numbers(pattern)
        if not self._numbers:
            raise VideoError(f"{pattern}: no picture has such a name")
        first, last = self._numbers[0], self._numbers[-1]
        if last - first + 1 != len(self._numbers):
            gone = next(number for number in range(first, last) if number not in self._numbers)
            raise VideoError(f"{numbered(pattern, gone)}: is missing between {first} and {last}")
        self.transparent = False
        width, height = self._picture(first).rgb.size
        self.format = Format(width, height, RGB, 1 / rate, rate, Fraction(1))
        self.count: int | None = len(self._numbers)
        self.origin = 0.0
        self.warnings: list[str] = []

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """See :class:`fastnst.video.frames.Source`."""
        size = (self.format.width, self.format.height)
        for at, number in enumerate(self._numbers[start:], start):
            picture = self._picture(number)
            if picture.rgb.size != size:
                is_size = "{} x {}".format(*picture.rgb.size)
                raise VideoError(f"{numbered(self._pattern, number)}: is {is_size}, and those before it {size[0]} x {size[1]}")
            self.transparent = self.transparent or picture.alpha is not None
            yield Frame(RGB.from_rgb(np.asarray(picture.flattened())), at)

    def close(self) -> None:
        """See :class:`fastnst.video.frames.Source`."""

    def _picture(self, number: int) -> Picture:
        return open_picture(numbered(self._pattern, number))

    @property
    def first(self) -> int:
        """The number of the first picture."""
        return self._numbers[0]

    @property
    def paths(self) -> list[Path]:
        """The files."""
        return [numbered(self._pattern, number) for number in self._numbers]


class SequenceTarget:
    """Pictures with numbers to write: each in the checkpoint first, and moved to its name when all are there.

    Args:
        checkpoint: of the pattern.
        video: the format of the frames.
        first: the number of the first picture.
        left_out: what of the source the output does not hold.
    """

    interval = 16

    def __init__(self, checkpoint: Checkpoint, video: Format, first: int, left_out: Sequence[str]) -> None:
        self._checkpoint, self._video, self._first, self.left_out = checkpoint, video, first, left_out
        self._saving = Saving.by(checkpoint.output.suffix)
        self.done, self.state = checkpoint.frames, checkpoint.state

    def write(self, frame: Frame) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        pixels = self._video.coding.to_rgb(frame.planes)
        save_picture(Picture(Image.fromarray(pixels)), self._unfinished(self.done), self._saving)
        self.done += 1

    def checkpoint(self, state: Any) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        self._checkpoint.record(self.done, state)

    def finish(self) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        for index in range(self.done):
            if (unfinished := self._unfinished(index)).exists():  # a run that was killed here has moved some
                unfinished.replace(numbered(self._checkpoint.output, self._first + index))
        self._checkpoint.remove()

    def close(self) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        self._checkpoint.close()

    def _unfinished(self, index: int) -> Path:
        return self._checkpoint.folder / f"{index:06}{self._checkpoint.output.suffix}"
