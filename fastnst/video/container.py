"""Videos in containers (MP4, Matroska, WebM, ...), read through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnst.images import MAX_PIXELS
from fastnst.video.color import Coding, Plane, usual_matrix
from fastnst.video.frames import UNKNOWN_RATE, Format, Frame, VideoError

if TYPE_CHECKING:
    import av

_DIRECT = {
    "yuv420p": "420", "yuvj420p": "420", "yuv422p": "422", "yuvj422p": "422", "yuv444p": "444", "yuvj444p": "444",
    "gray": "mono",
}  # fmt: skip
"""Pixel formats whose planes are taken as they are; others are brought to one of them first, by FFmpeg."""
_MATRICES = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 9: "bt2020"}
"""By number in ITU-T H.273. 4 is FCC's, whose luma is BT.601's to two digits."""
_UNSAID, _RGB = 2, 0
_FULL = 2
_HDR = {16: "PQ", 18: "HLG"}


def pyav() -> Any:
    """The module ``av``.

    Raises:
        VideoError: it is not installed.
    """
    try:
        import av
    except ModuleNotFoundError:
        raise VideoError("videos other than y4m need PyAV: pip install 'fastnst[video]'") from None
    return av


@contextmanager
def named_errors(path: Path, doing: str) -> Iterator[None]:
    """PyAV's errors as one line about ``path``."""
    try:
        yield
    except pyav().FFmpegError as error:
        raise VideoError(f"{path}: {doing}: {error.strerror or error}") from error


@dataclass(frozen=True)
class Tags:
    """What players are told about the picture, numbers of ITU-T H.273; ``matrix`` as a 3 x 3 display matrix, row by row."""

    primaries: int
    transfer: int
    display_matrix: tuple[int, ...] | None


class ContainerSource:
    """The video of a file in a container. Rotation is not applied: the output gets the same tag.

    Attributes:
        path: of the file.
        container: PyAV's.
        index: of the video among the container's streams.
        tags: what its first frame says.

    Raises:
        VideoError: no video, or one of a kind that is not supported: interlaced, of high dynamic range, or with a matrix other
            than BT.601, BT.709 and BT.2020's.
    """

    def __init__(self, path: Path) -> None:
        av = pyav()
        self.path = path
        with named_errors(path, "not a video that can be read"):
            self.container = av.open(str(path))
        try:
            self._stream = self._video_stream()
            self.index: int = self._stream.index
            self._stream.thread_type = "AUTO"
            first = self._first_frame()
            self._shape = (first.width, first.height, first.format.name)
            self.format = self._format(first)
            self.tags = Tags(first.color_primaries, first.color_trc, _display_matrix(first))
        except BaseException:
            self.container.close()
            raise
        self.count: int | None = self._stream.frames or self._expected()

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """See :class:`fastnst.video.frames.Source`. What comes before ``start`` is decoded, for no index can be relied on."""
        period = 1 / ((self.format.rate or UNKNOWN_RATE) * self.format.time_base)
        time = None
        with named_errors(self.path, "broken video"):
            self.container.seek(0, backward=True, any_frame=False)
            for number, frame in enumerate(self.container.decode(self._stream)):
                if (frame.width, frame.height, frame.format.name) != self._shape:
                    raise VideoError(f"{self.path}: changes its size or pixel format at frame {number}")
                expected = 0 if time is None else time + max(1, round(period))
                given = frame.pts
                time = expected if given is None or (time is not None and given <= time) else given
                if number >= start:
                    yield Frame(self._planes(frame), time)

    def close(self) -> None:
        """See :class:`fastnst.video.frames.Source`."""
        self.container.close()

    def _video_stream(self) -> Any:
        from av.stream import Disposition

        for stream in self.container.streams.video:
            if not stream.disposition & Disposition.attached_pic:  # the picture of an album
                return stream
        raise VideoError(f"{self.path}: holds no video")

    def _expected(self) -> int | None:
        """How many frames the duration has room for."""
        if self.format.rate and self.container.duration:
            return round(float(self.container.duration * self.format.rate) / 1e6)
        return None

    def _first_frame(self) -> av.VideoFrame:
        with named_errors(self.path, "broken video"):
            frame: av.VideoFrame | None = next(self.container.decode(self._stream), None)
        if frame is None:
            raise VideoError(f"{self.path}: its video has no frames")
        return frame

    def _format(self, frame: av.VideoFrame) -> Format:
        width, height = frame.width, frame.height
        if width * height > MAX_PIXELS:
            raise VideoError(f"{self.path}: {width} x {height} is more than {MAX_PIXELS // 10**6} megapixels")
        if frame.interlaced_frame:
            raise VideoError(f"{self.path}: interlaced video is not supported: deinterlace it first")
        if frame.color_trc in _HDR:
            raise VideoError(f"{self.path}: high dynamic range ({_HDR[frame.color_trc]}) is not supported: map its tones first")
        matrix = _MATRICES.get(frame.colorspace)
        if frame.colorspace in (_UNSAID, _RGB):
            matrix = usual_matrix(height, width)
        if matrix is None:
            raise VideoError(f"{self.path}: its colour matrix, number {frame.colorspace} of H.273, is not supported")
        planes = self._plain(frame)
        full = planes.color_range == _FULL or planes.format.name.startswith("yuvj")
        coding = Coding(_DIRECT[planes.format.name], False, matrix, full)
        aspect = self._stream.sample_aspect_ratio
        return Format(width, height, coding, self._stream.time_base, self._stream.average_rate, aspect or None)

    def _plain(self, frame: av.VideoFrame) -> av.VideoFrame:
        """``frame`` as planes of 8 bits."""
        if frame.format.name in _DIRECT:
            return frame
        if frame.format.is_rgb or len(frame.format.components) == 1:
            matrix = {"bt601": "itu601", "bt709": "itu709"}[usual_matrix(frame.height, frame.width)]
            return frame.reformat(format="yuv444p", dst_colorspace=matrix, dst_color_range="mpeg")
        chroma = frame.format.components[1]
        across, down = round(frame.width / chroma.width), round(frame.height / chroma.height)
        name = {(2, 2): "yuv420p", (2, 1): "yuv422p", (1, 1): "yuv444p"}.get((across, down))
        if name is None:
            raise VideoError(f"{self.path}: pixel format {frame.format.name} is not supported")
        return frame.reformat(format=name)

    def _planes(self, frame: av.VideoFrame) -> tuple[Plane, ...]:
        shapes = self.format.coding.shapes(self.format.height, self.format.width)
        planes = []
        for plane, (height, width) in zip(self._plain(frame).planes, shapes, strict=True):
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            planes.append(rows[:height, :width].copy())  # the decoder uses its memory again
        return tuple(planes)


def _display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    return None if data is None else tuple(np.frombuffer(memoryview(data), np.int32).tolist())
