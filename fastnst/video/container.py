"""Videos in containers (MP4, Matroska, WebM, ...), read through PyAV."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnst.images import MAX_PIXELS
from fastnst.options import Clip
from fastnst.video.filters import DEINTERLACE, HLG, PQ, Step, filtered, peak_of, tone_mapping
from fastnst.video.frames import UNKNOWN_RATE, Format, Frame, VideoError
from fastnst.video.kinds import lacks_index
from fastnst.video.pixels import Unpacker

if TYPE_CHECKING:
    import av

_HDR = {PQ: "PQ", HLG: "HLG"}
_OWN_CLOCK = frozenset(("mpegts", "mpeg"))
"""FFmpeg's names of formats whose times do not begin near zero."""
_BT709 = 1  # primaries and transfer characteristics of ITU-T H.273
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders for streams with transparency, which FFmpeg's default decoders ignore."""
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_TIMES_LOOKED_AT = 4096  # packets, to find the first one with a time
_READERS = (
    "aiff,apng,asf,avi,dv,flv,gif,gxf,h264,hevc,ivf,m4v,matroska,mov,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,rm,vc1,wtv,yuv4mpegpipe,"
    "mp3,flac,wav,aac"
)
"""The demuxers of FFmpeg that are used: of files that hold videos, and of files with sound alone, so that the message can say
so. Playlists and other formats that name further files are left out."""


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
    """Turn PyAV's errors into a :class:`VideoError` about ``path``."""
    try:
        yield
    except pyav().FFmpegError as error:
        raise VideoError(f"{path}: {doing}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)


def open_container(path: Path) -> Any:
    """Open a file for reading. No other file is opened, whatever its content names.

    Raises:
        VideoError: FFmpeg cannot read it.
    """
    # A name with a colon would be taken for an address.
    options = {"protocol_whitelist": "file", "format_whitelist": _READERS}
    try:
        with named_errors(path, "not a video that can be read"):
            return pyav().open(f"file:{path}", options=options, metadata_errors="replace")
    except VideoError:
        if lacks_index(path):
            raise VideoError(
                f"{path}: was cut off before its index (moov) was written, without which nothing can be read"
            ) from None
        raise


@dataclass(frozen=True)
class Tags:
    """Colour primaries and transfer characteristics, by number in ITU-T H.273, and the 3 x 3 display matrix, row by row."""

    primaries: int
    transfer: int
    display_matrix: tuple[int, ...] | None


class ContainerSource:
    """The video of a file in a container. Rotation is not applied: the output gets the same tag.

    The file is read once, from its beginning and without seeking: recordings that were cut off have no index.

    Args:
        clip: whether its frames are deinterlaced and tone-mapped.

    Attributes:
        path: the file.
        container: PyAV's input container.
        index: the index of the video among the container's streams.
        tags: those of its first frame.
        ends_early: the video continues in another size or pixel format, which was not read.
        damaged: something could not be read; known once all frames have been read.
        has_gap: frames before the last one that was read may be missing, because a packet before it could not be read.

    Raises:
        VideoError: there is no video, or one that is not supported: with a matrix other than those of BT.601, BT.709 and
            BT.2020, or, unless ``clip`` says what to do with it, interlaced or of high dynamic range.
    """

    def __init__(self, path: Path, clip: Clip | None = None) -> None:
        self.path = path
        self.warnings: list[str] = []
        self.ends_early = False
        self.damaged = self.has_gap = False
        self.container = open_container(path)
        try:
            self._stream = self._video_stream()
            self.index: int = self._stream.index
            self._context = self._decoder()
            self._broken = 0  # packets
            self._lost: int | None = None  # when the first of them was to be shown
            self._error: BaseException | None = None
            self._end = 0.0  # of what was read, in seconds
            self._decoded = self._decode()
            first = self._first_frame()
            self._decoded = itertools.chain([first], self._decoded)
            self.tags = Tags(first.color_primaries, first.color_trc, _display_matrix(first))
            with TemporaryDirectory(prefix="fastnst-") as folder:
                if steps := self._steps(first, clip or Clip(), Path(folder)):
                    self._decoded = filtered(self._decoded, steps, self._stream.time_base)
                    first = self._first_frame()
                    self._decoded = itertools.chain([first], self._decoded)
            self._shape = (first.width, first.height, first.format.name)
            self.format = self._format(first)
            self._period = max(1, round(1 / ((self.format.rate or UNKNOWN_RATE) * self.format.time_base)))
            self._first_time = 0 if first.pts is not None else self._counted_back()
        except BaseException:
            self.container.close()
            raise
        self.count: int | None = self._stream.frames or self._expected()
        clock = self.container.start_time if self.container.format.name in _OWN_CLOCK else None
        self.origin = (clock or 0) / 1e6

    @property
    def transparent(self) -> bool:
        """Whether any frame read so far was not opaque."""
        return self._unpacker.transparent

    @property
    def has_alpha(self) -> bool:
        """See :class:`fastnst.video.frames.Source`."""
        return self._unpacker.may_be_transparent

    def frames(self, start: int = 0, keep_alpha: bool = False) -> Iterator[Frame]:
        """See :class:`fastnst.video.frames.Source`. Frames before ``start`` are decoded too, because no index can be relied on.

        The frames end where the size or the pixel format changes. That, and any damage, is added to ``warnings``.
        """
        time = None
        for number, frame in enumerate(self._decoded):
            shape = (frame.width, frame.height, frame.format.name)
            if shape != self._shape:
                self.ends_early = True
                change = f"changes from {_described(self._shape)} to {_described(shape)}"
                self.warnings.append(f"{self.path}: {change} at frame {number}; what follows is left out")
                return
            expected = self._first_time if time is None else time + self._period
            given = frame.pts
            time = expected if given is None or (time is not None and given <= time) else given
            self.has_gap = self.has_gap or (self._lost is not None and time > self._lost)
            if number >= start or self._unpacker.may_be_transparent:
                planes, alpha = self._unpacker.picture(frame, keep_alpha)
                if number >= start:
                    yield Frame(planes, time, alpha)
        if damage := self._damage():
            self.damaged = True
            self.warnings.append(f"{self.path}: is cut off or damaged: {damage}")

    def close(self) -> None:
        """See :class:`fastnst.video.frames.Source`."""
        self.container.close()

    def _damage(self) -> str | None:
        """A description of the damage, once all has been read; ``None`` if there is none."""
        if self._broken:
            packets = "a packet" if self._broken == 1 else f"{self._broken} packets"
            return f"{packets} of its video could not be read whole"
        clock = _CLOCK.fullmatch(self._stream.metadata.get("DURATION", ""))  # Matroska's
        said = sum(float(part) * unit for part, unit in zip(clock.groups(), (3600, 60, 1), strict=True)) if clock else 0.0
        if said - self._end > max(0.05 * said, float(2 * self._period * self.format.time_base)):
            return f"it should go on until {said:.2f} s and ends at {self._end:.2f} s"
        return None

    def _video_stream(self) -> Any:
        pictures = [stream for stream in self.container.streams.video if not is_cover(stream)]
        if pictures:  # an animated AVIF has a still picture before what moves
            return next((stream for stream in pictures if stream.frames > 1), pictures[0])
        kinds = {"a cover picture" if stream.type == "video" else stream.type for stream in self.container.streams}
        held = [name for kind, name in (("audio", "sound"), ("a cover picture", "a cover picture")) if kind in kinds]
        raise VideoError(f"{self.path}: holds no video" + (f", only {' and '.join(held)}" if held else ""))

    def _decoder(self) -> Any:
        context = self._stream.codec_context
        if context is None:
            raise VideoError(f"{self.path}: its video is of a kind that this PyAV cannot decode")
        other = _WITH_ALPHA.get(context.name)
        if self._stream.metadata.get("alpha_mode") == "1" and other in pyav().codecs_available:
            return pyav().CodecContext.create(other, "r")
        # Threads for a frame each would lose the last frames together when one is damaged, and PyAV would not say so.
        self._stream.thread_type = "SLICE"
        return context

    def _decode(self) -> Iterator[av.VideoFrame]:
        """All frames that can be decoded. Counts packets that cannot, a truncated last one included."""
        error_kind = pyav().FFmpegError
        packets = self.container.demux(self._stream)
        ended = False
        while not ended:
            try:
                packet = next(packets, None)
            except error_kind as error:
                self._broken, self._error, packet = self._broken + 1, error, None
            ended = packet is None or (packet.size == 0 and packet.pts is None)  # PyAV ends every stream with such a packet
            if packet is not None and packet.pts is not None:
                self._end = max(self._end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet is not None and packet.size == 0 and not ended:
                continue  # means "repeat the last frame"; a decoder would take it for the end
            damaged = packet is not None and packet.is_corrupt
            try:
                decoded = self._context.decode(None if ended else packet)
            except EOFError:
                decoded = []
            except error_kind as error:
                decoded, damaged, self._error = [], True, error
            self._broken += damaged
            if damaged and self._lost is None and packet is not None and not ended:
                self._lost = packet.pts or 0
            yield from decoded

    def _expected(self) -> int | None:
        """The number of frames by duration and rate, where the container has both."""
        if self.format.rate and self.container.duration:
            return round(float(self.container.duration * self.format.rate) / 1e6)
        return None

    def _first_frame(self) -> av.VideoFrame:
        frame: av.VideoFrame | None = next(self._decoded, None)
        if frame is None and self._error is not None:
            raise VideoError(f"{self.path}: broken video: {_reason(self._error)}") from self._error
        if frame is None:
            raise VideoError(f"{self.path}: its video has no frames")
        return frame

    def _counted_back(self) -> int:
        """The time of a first frame without one: counted back, a frame at a time, from the first packet that has a time."""
        with open_container(self.path) as container:
            packets = container.demux(container.streams[self.index])
            times = [packet.pts for packet in itertools.islice(packets, _TIMES_LOOKED_AT) if packet.size]
        known = [time for time in times if time is not None]
        # Packets come in decoding order; the first one that is shown is among the first few.
        return min(known[:16]) - (len(times) - len(known)) * self._period if known else 0

    def _steps(self, first: av.VideoFrame, clip: Clip, folder: Path) -> list[Step]:
        """What has to be done to the frames, of which the first one tells."""
        if first.interlaced_frame and not clip.deinterlace:
            raise VideoError(f"{self.path}: interlaced video: --deinterlace makes whole frames of it")
        if first.color_trc in _HDR and not clip.tone_map:
            raise VideoError(
                f"{self.path}: high dynamic range ({_HDR[first.color_trc]}): --tone-map brings it to the standard one"
            )
        steps = [DEINTERLACE] if clip.deinterlace else []
        if first.color_trc in _HDR:
            steps += tone_mapping(first.color_trc, peak_of(first), folder)
            self.tags = replace(self.tags, primaries=_BT709, transfer=_BT709)
        return steps

    def _format(self, frame: av.VideoFrame) -> Format:
        width, height = frame.width, frame.height
        if width * height > MAX_PIXELS:
            raise VideoError(f"{self.path}: {width} x {height} is more than {MAX_PIXELS // 10**6} megapixels")
        try:
            self._unpacker = Unpacker(frame, self._stream.codec_context.name)
        except ValueError as error:
            raise VideoError(f"{self.path}: {error}") from None
        aspect, rate = self._stream.sample_aspect_ratio, self._stream.average_rate
        return Format(width, height, self._unpacker.coding, self._stream.time_base, rate or None, aspect or None)


def is_cover(stream: Any) -> bool:
    """Whether a video stream is a cover picture, a single picture that stands for an album or a film."""
    from av.stream import Disposition

    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def _described(shape: tuple[int, int, str]) -> str:
    width, height, pixels = shape
    return f"{width}x{height} ({pixels})"


def _display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    return None if data is None else tuple(np.frombuffer(memoryview(data), np.int32).tolist())
