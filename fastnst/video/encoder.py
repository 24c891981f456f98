"""Encoders for videos in containers, through PyAV: which one by the output's suffix, and how it is set up."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnst.video.color import SUBSAMPLING
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
        pixels: FFmpeg's name of the pixel format.
        worst: the largest quality number; 0 is the best. None: there is no such number.
        usual: the number without ``--video-quality``.
        even: width and height must be even; FFmpeg's ProRes 422 spoils the last column of chroma else.
        square: cannot store that pixels are not square.
        segments: FFmpeg's name of the format that it is kept in until the video is joined.
        with_alpha: the pixel format that holds transparency; None: it cannot.
    """

    name: str
    pixels: str
    worst: int | None
    usual: int
    even: bool = False
    square: bool = False
    segments: str = "nut"
    with_alpha: str | None = None

    @property
    def holds_alpha(self) -> bool:
        """Whether its frames are transparent."""
        return self.pixels == self.with_alpha

    @property
    def lossless(self) -> bool:
        """Whether it is for what is encoded again, in full range."""
        return self.name == "ffv1"

    @property
    def deep(self) -> bool:
        """Whether samples have 10 bits."""
        return self.pixels.endswith("10le")

    @property
    def subsampling(self) -> str:
        """A key of :data:`fastnst.video.color.SUBSAMPLING`."""
        return next(each for each in SUBSAMPLING if each in self.pixels)

    def options(self, quality: int) -> dict[str, str]:
        """FFmpeg's options for constant quality."""
        if self.lossless:
            return {}
        if self.name == "libx264":
            return {"crf": str(quality), "preset": "veryfast"}
        if self.name == "libvpx-vp9":
            return {"crf": str(quality), "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"}
        if self.name == "prores_ks":
            return {"profile": "4444" if self.holds_alpha else "hq"}
        return {"qmin": str(max(1, quality)), "qmax": str(max(1, quality))}

    def keeping_alpha(self) -> Codec:
        """The same for frames that may be transparent; of ``with_alpha``, odd sides are no trouble."""
        # NUT drops the transparency of VP9, which lies beside each packet.
        segments = "matroska" if self.name == "libvpx-vp9" else self.segments
        return replace(self, pixels=self.with_alpha or self.pixels, even=False, segments=segments)


_MPEG4 = Codec("mpeg4", "yuv420p", 31, 3)
LOSSLESS = Codec("ffv1", "yuv444p", 0, 0, square=True, with_alpha="yuva444p")
CODECS = {
    "h264": (Codec("libx264", "yuv420p", 51, 18, even=True), _MPEG4),
    "vp9": (Codec("libvpx-vp9", "yuv420p", 63, 24, square=True, with_alpha="yuva420p"),),
    "prores": (Codec("prores_ks", "yuv422p10le", None, 0, even=True, segments="mov", with_alpha="yuva444p10le"),),
}
"""The encoders by the names that users have for them; the first that there is, is taken."""
CONTAINERS = {
    ".mp4": ("mp4", ("h264",)),
    ".mov": ("mov", ("h264", "prores")),
    ".mkv": ("matroska", ("h264", "vp9", "prores")),
    ".webm": ("webm", ("vp9",)),
}
"""FFmpeg's name of the container of each suffix, and what it is written with; the first is the usual one."""


def choose(path: Path, quality: int | None, name: str | None = None, alpha: bool = False) -> tuple[Codec, int]:
    """The encoder for an output, and its quality.

    Args:
        name: a key of ``CODECS``; without it the usual one of the suffix, or the first that holds transparency.
        alpha: whether frames may be transparent.

    Raises:
        VideoError: there is none, or it knows no such quality.
    """
    suffix = path.suffix.lower()
    names = CONTAINERS[suffix][1]
    if name is not None and name not in names:
        raise VideoError(f"{path}: --codec {name} is not for {suffix}, which is written with {' or '.join(names)}")
    there = [each for key in ([name] if name else names) for each in CODECS[key] if each.name in pyav().codecs_available]
    if not there:
        raise VideoError(f"{path}: this PyAV has no encoder for {name or suffix}")
    codec = next((each.keeping_alpha() for each in there if alpha and each.with_alpha), there[0])
    if quality is not None and codec.worst is None:
        raise VideoError(f"{path}: ProRes has no quality to choose")
    if quality is not None and codec.worst is not None and quality > codec.worst:
        raise VideoError(f"{path}: the quality of {codec.name} is at most {codec.worst}, not {quality}")
    return codec, codec.usual if quality is None else quality


def encoded_format(source: Format, width: int, height: int, codec: Codec) -> Format:
    """The encoded format of frames of ``source`` at another size: chroma on the left, as all players show it.

    Where the codec needs square pixels, frames are stretched in width or height.
    """
    coding = replace(source.coding.in_yuv(height, width), subsampling=codec.subsampling, centred=False, top=False)
    if codec.lossless or codec.deep:
        coding = replace(coding, full=codec.lossless)
    video = replace(source, width=width, height=height, coding=coding)
    if not codec.square or not source.aspect:
        return video
    stretched = round(width * max(source.aspect, Fraction(1))), round(height / min(source.aspect, Fraction(1)))
    return replace(video, width=stretched[0], height=stretched[1], aspect=Fraction(1))


class Segment:
    """Encodes frames to a file in memory, where it can in NUT, a format that keeps every time base exactly.

    Args:
        video: the format of the frames. Where the codec needs even sides, the last row and column are repeated.
        tags: of the source, where it is a container.
    """

    def __init__(self, video: Format, codec: Codec, quality: int, tags: Tags | None) -> None:
        av = pyav()
        self._av, self._codec, self._base = av, codec, video.time_base
        self._file = io.BytesIO()
        # MOV says when the first frame is shown in a unit of its own.
        unit = {"movie_timescale": str(video.time_base.denominator)} if codec.segments == "mov" else {}
        self._container = av.open(self._file, "w", format=codec.segments, container_options=unit)
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
        planes: tuple[NDArray[Any], ...] = frame.planes
        if self._codec.deep:
            planes = tuple(plane.astype("<u2") << 2 for plane in planes)
        if self._codec.holds_alpha:
            planes = (*planes, self._alpha(frame))
        context = self._stream.codec_context
        picture = self._av.VideoFrame(context.width, context.height, self._codec.pixels)
        for tag in ("colorspace", "color_range", "color_primaries", "color_trc"):  # ProRes writes those of its frames
            setattr(picture, tag, getattr(context, tag))
        for to, plane in zip(picture.planes, planes, strict=True):
            missing = (0, to.height - plane.shape[0]), (0, to.width - plane.shape[1])
            to.update(_with_line_size(np.pad(plane, missing, "edge"), to.line_size))
        picture.pts, picture.time_base = frame.time, self._base
        self._container.mux(self._stream.encode(picture))

    def _alpha(self, frame: Frame) -> NDArray[Any]:
        alpha = np.full_like(frame.planes[0], 255) if frame.alpha is None else frame.alpha
        return ((alpha.astype(np.uint32) * 1023 + 127) // 255).astype("<u2") if self._codec.deep else alpha

    def finish(self) -> bytes:
        """The complete file."""
        self._container.mux(self._stream.encode())
        self._container.close()
        return self._file.getvalue()


def _with_line_size(samples: NDArray[Any], line_size: int) -> Any:
    plane = np.ascontiguousarray(samples).view(np.uint8)
    if plane.shape[1] == line_size:
        return plane
    lines = np.zeros((plane.shape[0], line_size), np.uint8)
    lines[:, : plane.shape[1]] = plane
    return lines
