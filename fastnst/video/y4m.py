"""Raw video as YUV4MPEG2 (y4m), in files and pipes, with NumPy alone.

A line of tags, then for each frame the line ``FRAME`` and its planes; see mjpegtools' yuv4mpeg(5). Depth is 8 bits. Chroma of
``C420`` and ``C420jpeg`` is centred, that of ``C420mpeg2`` and ``C422`` on the left column, that of ``C420paldv`` on the left
column and the upper row, as FFmpeg reads and writes it. FFmpeg's tag ``XCOLORRANGE`` names the range, limited by default. There
is no tag for the matrix, which is chosen by the size (:func:`fastnst.video.color.usual_matrix`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from fastnst.images import MAX_PIXELS
from fastnst.video.checkpoint import Checkpoint
from fastnst.video.color import Coding, usual_matrix
from fastnst.video.frames import UNKNOWN_RATE, Format, Frame, VideoError

_MAGIC = b"YUV4MPEG2"
_LONGEST_LINE = 4096
_CHROMA = {
    "420": Coding("420", centred=True), "420jpeg": Coding("420", centred=True), "420mpeg2": Coding("420"),
    "420paldv": Coding("420", top=True), "422": Coding("422"), "444": Coding("444"), "mono": Coding("mono"),
}  # fmt: skip
_FRAME = b"FRAME\n"


class Y4mSource:
    """A y4m file or pipe to read.

    Raises:
        VideoError: no y4m, or one that is not supported: interlaced, or with more than 8 bits a sample.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self.warnings: list[str] = []
        self.origin = 0.0
        self.transparent = self.has_alpha = False
        line = file.readline(_LONGEST_LINE)
        if line.split(b" ")[0].strip() != _MAGIC or not line.endswith(b"\n"):
            raise VideoError(f"{name}: not a y4m video: it does not begin with the line {_MAGIC.decode()} ...")
        try:
            self.format = parse_header(line.decode("latin-1"))
        except ValueError as error:
            raise VideoError(f"{name}: {error}") from None
        self._shapes = self.format.coding.shapes(self.format.height, self.format.width)
        self._bytes = sum(height * width for height, width in self._shapes)
        self.count = None
        if file.seekable():
            self.count = (file.seek(0, os.SEEK_END) - len(line)) // (len(_FRAME) + self._bytes)
            file.seek(len(line))

    def frames(self, start: int = 0, keep_alpha: bool = False) -> Iterator[Frame]:  # noqa: ARG002 - y4m is opaque
        """See :class:`fastnst.video.frames.Source`."""
        number = 0
        while line := self._file.readline(_LONGEST_LINE):
            if line.split(b" ")[0].strip() != b"FRAME" or not line.endswith(b"\n"):
                raise VideoError(f"{self._name}: broken y4m: no frame where frame {number} should begin")
            if number < start:
                self._file.seek(self._bytes, os.SEEK_CUR)
            else:
                yield Frame(self._planes(number), number)
            number += 1

    def _planes(self, number: int) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], ...]:
        data = self._file.read(self._bytes)
        if len(data) < self._bytes:
            raise VideoError(f"{self._name}: broken y4m: it ends within frame {number}")
        planes, offset = [], 0
        for height, width in self._shapes:
            planes.append(np.frombuffer(data, np.uint8, height * width, offset).reshape(height, width))
            offset += height * width
        return tuple(planes)

    def close(self) -> None:
        """See :class:`fastnst.video.frames.Source`."""
        self._file.close()


def parse_header(line: str) -> Format:
    """The format that a header line describes.

    Raises:
        ValueError: a tag is broken or has a value that is not supported; one line.
    """
    tags = {tag[0]: tag[1:] for tag in line.split()[1:] if tag[0] != "X"}
    try:
        width, height = int(tags["W"]), int(tags["H"])
    except (KeyError, ValueError):
        raise ValueError("broken y4m: no width or no height") from None
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ValueError(f"broken y4m: {width} x {height} is not a size, or is more than {MAX_PIXELS // 10**6} megapixels")
    if tags.get("I", "p") not in ("p", "?"):
        raise ValueError("interlaced video is not supported: deinterlace it first")
    chroma = tags.get("C", "420jpeg")
    if chroma not in _CHROMA:
        raise ValueError(f"y4m of kind C{chroma} is not supported, only 8 bits as {', '.join('C' + each for each in _CHROMA)}")
    coding = replace(_CHROMA[chroma], matrix=usual_matrix(height, width), full="XCOLORRANGE=FULL" in line.split())
    rate, aspect = _ratio(tags.get("F", "0:0")), _ratio(tags.get("A", "0:0"))
    return Format(width, height, coding, 1 / (rate or UNKNOWN_RATE), rate, aspect)


def _ratio(text: str) -> Fraction | None:
    """The value of a ratio such as ``30000:1001``; ``None`` for ``0:0``, which means unknown."""
    above, _, below = text.partition(":")
    if not (above.isdecimal() and below.isdecimal()):
        raise ValueError(f"broken y4m: {text!r} is not a ratio")
    return Fraction(int(above), int(below)) if int(above) and int(below) else None


def output_format(source: Format, width: int, height: int) -> Format:
    """The format of frames of ``source`` at another size: the same coding, but 4:2:0 where the source is grey."""
    coding = replace(source.coding.in_yuv(height, width), matrix=usual_matrix(height, width))
    if coding.subsampling == "mono":
        coding = replace(coding, subsampling="420", centred=True)
    return replace(source, width=width, height=height, coding=coding)


def header(video: Format) -> bytes:
    """The first line of a y4m with frames of this format."""

    def ratio(value: Fraction | None) -> str:
        return f"{value.numerator}:{value.denominator}" if value else "0:0"

    coding = video.coding
    chroma = coding.subsampling
    if chroma == "420":
        chroma += "jpeg" if coding.centred else "paldv" if coding.top else "mpeg2"
    span = "FULL" if coding.full else "LIMITED"
    tags = f"W{video.width} H{video.height} F{ratio(video.rate)} Ip A{ratio(video.aspect)} C{chroma} XCOLORRANGE={span}"
    return b"%s %s\n" % (_MAGIC, tags.encode())


def write_frame(file: BinaryIO, frame: Frame) -> None:
    """Append one frame."""
    file.write(_FRAME)
    for plane in frame.planes:
        file.write(np.ascontiguousarray(plane).data)


class Y4mPipe:
    """Writes a y4m to a pipe. There is nothing to resume and nothing to clean up."""

    done, state, interval, holds_alpha = 0, None, 1, False

    def __init__(self, file: BinaryIO, video: Format, left_out: Sequence[str] = ()) -> None:
        self._file, self.left_out = file, left_out
        file.write(header(video))

    def write(self, frame: Frame) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        write_frame(self._file, frame)

    def checkpoint(self, state: Any) -> None:  # noqa: ARG002
        """Flush the pipe; nothing is saved."""
        self._file.flush()

    def finish(self) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        self._file.flush()

    def close(self) -> None:
        """Leave the pipe open, because it is the caller's."""


class Y4mTarget:
    """A y4m file to write. Until it is finished, its frames are in a file of ``checkpoint``."""

    interval, holds_alpha = 64, False

    def __init__(self, checkpoint: Checkpoint, video: Format, left_out: Sequence[str] = ()) -> None:
        self._checkpoint, self.left_out = checkpoint, left_out
        self._path = checkpoint.folder / "frames.y4m"
        if not self._path.exists():
            checkpoint.restart()  # the last run was killed between renaming the finished file and removing the manifest
            self._path.touch()
        self.done, self.state = checkpoint.frames, checkpoint.state
        first = header(video)
        self._file = self._path.open("r+b")
        each = len(_FRAME) + sum(height * width for height, width in video.coding.shapes(video.height, video.width))
        kept = len(first) + self.done * each
        if self.done and os.fstat(self._file.fileno()).st_size < kept:
            raise VideoError(f"{self._path}: shorter than the {self.done} frames it should hold; delete its folder")
        self._file.write(first)
        # Frames after the last checkpoint may be incomplete.
        self._file.truncate(kept)
        self._file.seek(kept)

    def write(self, frame: Frame) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        write_frame(self._file, frame)
        self.done += 1

    def checkpoint(self, state: Any) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._checkpoint.record(self.done, state)

    def finish(self) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.replace(self._checkpoint.output)
        self._checkpoint.remove()

    def close(self) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        self._file.close()
        self._checkpoint.close()
