"""Videos as pictures with numbers, such as ``frame_0001.png``, read and written by a pattern such as ``frame_%04d.png``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fastnst.images import READ_SUFFIXES, Picture, Saving, open_picture, save_picture
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


def numbered_pictures(path: Path) -> dict[int, Path]:
    """The pictures of a pattern, or of a folder by the last number in their names; by number, in order.

    Raises:
        VideoError: there is none, a number is missing among them, or in a folder one is there twice or a name has none.
    """
    found = _in_folder(path) if path.is_dir() else {number: numbered(path, number) for number in numbers(path)}
    if not found:
        raise VideoError(f"{path}: " + ("holds no picture" if path.is_dir() else "no picture has such a name"))
    first, last = min(found), max(found)
    if last - first + 1 != len(found):
        gone = next(number for number in range(first, last) if number not in found)
        which = f"{path}: number {gone}" if path.is_dir() else f"{numbered(path, gone)}:"
        raise VideoError(f"{which} is missing between {first} and {last}")
    return {number: found[number] for number in sorted(found)}


def _in_folder(folder: Path) -> dict[int, Path]:
    found = dict[int, Path]()
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in READ_SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        digits = re.findall(r"\d+", path.stem)
        if not digits:
            raise VideoError(f"{path}: has no number in its name, and a folder's pictures are in the order of their numbers")
        if (other := found.setdefault(int(digits[-1]), path)) != path:
            raise VideoError(f"{path}: has the number of {other.name}")
    return found


class SequenceSource:
    """The pictures of a pattern, from the smallest number on, one after the other.

    Args:
        pattern: a path whose name has one ``%d``, ``%04d`` or the like.
        rate: pictures a second.

    Attributes:
        first: the number of the first picture.
        paths: the files.
        has_alpha: the first picture may be transparent.

    Raises:
        VideoError: there is none, or a number is missing among them.
        ImageError: the first one cannot be read.
    """

    def __init__(self, pattern: Path, rate: Fraction = USUAL_RATE) -> None:
        pictures = numbered_pictures(pattern)
        self.first, self.paths = next(iter(pictures)), list(pictures.values())
        self.transparent = False
        first = open_picture(self.paths[0])
        self.has_alpha = first.alpha is not None
        self.format = Format(*first.rgb.size, RGB, 1 / rate, rate, Fraction(1))
        self.count: int | None = len(self.paths)
        self.origin = 0.0
        self.warnings: list[str] = []

    def frames(self, start: int = 0, keep_alpha: bool = False) -> Iterator[Frame]:
        """See :class:`fastnst.video.frames.Source`."""
        size = (self.format.width, self.format.height)
        for at, path in enumerate(self.paths[start:], start):
            picture = open_picture(path)
            if picture.rgb.size != size:
                is_size = "{} x {}".format(*picture.rgb.size)
                raise VideoError(f"{path}: is {is_size}, and those before it {size[0]} x {size[1]}")
            self.transparent = self.transparent or picture.alpha is not None
            if keep_alpha and picture.alpha is not None:
                yield Frame(RGB.from_rgb(np.asarray(picture.rgb)), at, np.asarray(picture.alpha))
            else:
                yield Frame(RGB.from_rgb(np.asarray(picture.flattened())), at)

    def close(self) -> None:
        """See :class:`fastnst.video.frames.Source`."""


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
        self.holds_alpha = self._saving.holds_alpha
        self.done, self.state = checkpoint.frames, checkpoint.state

    def write(self, frame: Frame) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        pixels = Image.fromarray(self._video.coding.to_rgb(frame.planes))
        alpha = None if frame.alpha is None else Image.fromarray(frame.alpha)
        save_picture(Picture(pixels, alpha), self._unfinished(self.done), self._saving)
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
