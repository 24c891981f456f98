"""Encoders for videos in containers, through PyAV: which one by the output's suffix, and how it is set up."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from fastnst.video.color import Plane
from fastnst.video.container import Tags, pyav
from fastnst.video.frames import UNKNOWN_RATE, Format, Frame, VideoError

THREADS = 4  # the same on every machine, because the output of libx264 depends on it
SEGMENT = 120  # frames; each segment starts with a key frame, and the one being written is lost if the process is killed
_MATRICES = {"bt601": 6, "bt709": 1, "bt2020": 9}
_UNSAID = 2


@dataclass(frozen=True)
class Codec:
    """An encoder of FFmpeg.

    Attributes:
        name: FFmpeg's name of it.
        worst: the largest quality number; 0 is the best.
        usual: the number without ``--video-quality``.
        even: width and height must be even.
        square: cannot store that pixels are not square.
        lossless: stores 4:4:4 in full range, for what is encoded again; otherwise 4:2:0.
    """

    name: str
    worst: int
    usual: int
    even: bool
    square: bool = False
    lossless: bool = False

    @property
    def pixels(self) -> str:
        """FFmpeg's name of the pixel format."""
        return "yuv444p" if self.lossless else "yuv420p"

    def options(self, quality: int) -> dict[str, str]:
        """FFmpeg's options for constant quality."""
        if self.lossless:
            return {}
        if self.name == "libx264":
            return {"crf": str(quality), "preset": "veryfast"}
        if self.name == "libvpx-vp9":
            return {"crf": str(quality), "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"}
        return {"qmin": str(max(1, quality)), "qmax": str(max(1, quality))}


_H264 = Codec("libx264", 51, 18, even=True)
_MPEG4 = Codec("mpeg4", 31, 3, even=False)
LOSSLESS = Codec("ffv1", 0, 0, even=False, square=True, lossless=True)
_VP9 = Codec("libvpx-vp9", 63, 24, even=False, square=True)
CONTAINERS = {
    ".mp4": ("mp4", (_H264, _MPEG4)),
    ".mov": ("mov", (_H264, _MPEG4)),
    ".mkv": ("matroska", (_H264, _MPEG4)),
    ".webm": ("webm", (_VP9,)),
}
"""FFmpeg's name of the container of each suffix, and the encoders for it; the first that there is, is taken."""


def choose(path: Path, quality: int | None) -> tuple[Codec, int]:
    """The encoder for an output, and its quality.

    Raises:
        VideoError: there is none, or it knows no such quality.
    """
    available = pyav().codecs_available
    codec = next((each for each in CONTAINERS[path.suffix.lower()][1] if each.name in available), None)
    if codec is None:
        raise VideoError(f"{path}: this PyAV has no encoder for {path.suffix.lower()}")
    if quality is not None and quality > codec.worst:
        raise VideoError(f"{path}: the quality of {codec.name} is at most {codec.worst}, not {quality}")
    return codec, codec.usual if quality is None else quality


def encoded_format(source: Format, width: int, height: int, codec: Codec) -> Format:
    """The encoded format of frames of ``source`` at another size: 4:2:0 with chroma on the left, which all players can show; or
    what a lossless codec stores.

    Where the codec needs square pixels, frames are stretched in width or height.
    """
    coding = replace(source.coding.in_yuv(height, width), subsampling="420", centred=False, top=False)
    if codec.lossless:
        coding = replace(coding, subsampling="444", full=True)
    video = replace(source, width=width, height=height, coding=coding)
    if not codec.square or not source.aspect:
        return video
    stretched = round(width * max(source.aspect, Fraction(1))), round(height / min(source.aspect, Fraction(1)))
    return replace(video, width=stretched[0], height=stretched[1], aspect=Fraction(1))


class Segment:
    """Encodes frames to a NUT file in memory, a format that keeps every time base exactly.

    Args:
        video: the format of the frames. Where the codec needs even sides, the last row and column are repeated.
        tags: of the source, where it is a container.
    """

    def __init__(self, video: Format, codec: Codec, quality: int, tags: Tags | None) -> None:
        av = pyav()
        self._av, self._codec, self._base = av, codec, video.time_base
        self._file = io.BytesIO()
        self._container = av.open(self._file, "w", format="nut")
        self._stream = self._container.add_stream(codec.name, rate=video.rate or UNKNOWN_RATE, options=codec.options(quality))
        context = self._stream.codec_context
        context.width, context.height = video.width, video.height
        if codec.even:
            context.width, context.height = video.width + video.width % 2, video.height + video.height % 2
        context.pix_fmt = codec.pixels
        context.time_base = self._stream.time_base = video.time_base
        # Without B-frames packets come in the order in which they are shown, so that segments can be joined.
        context.max_b_frames = 0
        context.gop_size = SEGMENT
        context.thread_count = THREADS
        if video.aspect:
            context.sample_aspect_ratio = video.aspect
        context.colorspace = _MATRICES[video.coding.matrix]
        context.color_range = 2 if video.coding.full else 1
        context.color_primaries = tags.primaries if tags else _UNSAID
        context.color_trc = tags.transfer if tags else _UNSAID

    def write(self, frame: Frame) -> None:
        """Encode one frame."""
        planes = frame.planes
        if self._codec.even and any(side % 2 for side in planes[0].shape):
            height, width = planes[0].shape
            planes = (np.pad(planes[0], ((0, height % 2), (0, width % 2)), "edge"), *planes[1:])
        picture = self._av.VideoFrame(planes[0].shape[1], planes[0].shape[0], self._codec.pixels)
        for to, plane in zip(picture.planes, planes, strict=True):
            to.update(_with_line_size(plane, to.line_size))
        picture.pts, picture.time_base = frame.time, self._base
        self._container.mux(self._stream.encode(picture))

    def finish(self) -> bytes:
        """The complete file."""
        self._container.mux(self._stream.encode())
        self._container.close()
        return self._file.getvalue()


def _with_line_size(plane: Plane, line_size: int) -> Any:
    if plane.shape[1] == line_size:
        return np.ascontiguousarray(plane)
    lines = np.zeros((plane.shape[0], line_size), np.uint8)
    lines[:, : plane.shape[1]] = plane
    return lines
