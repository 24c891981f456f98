"""Videos in containers, written segment by segment and joined with the source's sound at the end."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from fastnst.video.checkpoint import Checkpoint
from fastnst.video.container import ContainerSource, is_cover, open_container, pyav
from fastnst.video.encoder import CONTAINERS, Codec
from fastnst.video.frames import UNKNOWN_RATE, Format
from fastnst.video.part import Cut
from fastnst.video.segments import SegmentedTarget
from fastnst.video.streams import Companions, Sound, add_cover, copy_facts, lost, own_tags


class ContainerTarget(SegmentedTarget):
    """A container to write.

    Args:
        video: the format of the frames.
        source: its chapters and tags are copied, or its sound alone; ``None`` if there is neither.
        companions: what happens to its other streams.
        cut: what of them belongs to the part that is taken; ``None``: all.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        video: Format,
        codec: Codec,
        quality: int,
        source: ContainerSource | Sound | None,
        companions: Companions,
        cut: Cut | None = None,
    ) -> None:
        tags = source.tags if isinstance(source, ContainerSource) else None
        super().__init__(checkpoint, video, codec, quality, tags, companions.left_out)
        self._container = CONTAINERS[checkpoint.output.suffix.lower()][0]
        self._source, self._companions, self._cut = source, companions, cut

    def finish(self) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        super().finish()
        if isinstance(self._source, ContainerSource):
            kept = [self._source.index, *sorted([*self._companions.copied, *self._companions.encoded])]
            self.left_out += lost(self._source.path, kept, self._checkpoint.output, self._cut)

    def _join(self, file: BinaryIO, paths: Sequence[Path]) -> None:
        av, source = pyav(), self._source
        with av.open(str(paths[0])) as first:
            template = first.streams.video[0]
            times, base = _times(paths), template.time_base
            rate = _rate(times, base, self._video.rate)
            if source is None:
                with av.open(file, "w", format=self._container) as output:
                    for packet in _video_packets(paths, self._video_stream(output, template, rate), None):
                        output.mux(packet)
                return
            if isinstance(source, Sound):
                with open_container(source.path) as again, av.open(file, "w", format=self._container) as output:
                    video = self._video_stream(output, template, rate)
                    others = _Others(again, output, self._companions, None).packets(float(times[-1] * base))
                    for packet in heapq.merge(_video_packets(paths, video, None), others, key=_seconds):
                        output.mux(packet)
                return
            with open_container(source.path) as again, _opened(file, self._container, source) as output:
                video, original = self._video_stream(output, template, rate), again.streams[source.index]
                if source.tags.display_matrix:
                    video.set_display_matrix(source.tags.display_matrix)
                copy_facts(original, video)
                output.metadata.update(own_tags(again.metadata))
                chapters = again.chapters()
                output.set_chapters(self._cut.chapters(chapters) if self._cut else chapters)
                # Where the video ends early, the other streams end with it.
                end = None if source.ends_early or source.damaged or self._cut else _end(original)
                last = float(times[-1] * base) if source.ends_early else None
                others = _Others(again, output, self._companions, self._cut).packets(last)
                for packet in heapq.merge(_video_packets(paths, video, end), others, key=_seconds):
                    output.mux(packet)

    def _video_stream(self, output: Any, template: Any, rate: Fraction) -> Any:
        stream = output.add_stream_from_template(template)
        stream.codec_context.framerate = rate
        if self._codec.holds_alpha:  # the template tells only of the opaque picture of VP9
            stream.codec_context.pix_fmt = self._codec.pixels
        if self._codec.segments == "mov":  # its tag says which kind of ProRes it is, and is not part of the template
            stream.codec_context.codec_tag = template.codec_context.codec_tag
        if self._video.aspect:
            stream.codec_context.sample_aspect_ratio = self._video.aspect
        return stream


def _opened(file: BinaryIO, container: str, source: ContainerSource) -> Any:
    """Open a container for writing. Times that do not begin near zero in the source are shifted to zero."""
    options = {"output_ts_offset": f"{-round(source.origin * 1e6)}us"} if source.origin else {}
    return pyav().open(file, "w", format=container, options=options)


class _Others:
    """The streams of ``output`` beside its video, copied or encoded from those of ``source``."""

    def __init__(self, source: Any, output: Any, companions: Companions, cut: Cut | None) -> None:
        self._source, self._cut = source, cut
        self._made: dict[int, Any] = {}
        self._resamplers: dict[int, Any] = {}
        self._sounded: dict[int, int] = {}  # the number of samples up to the end of the encoded sound
        for index in sorted([*companions.copied, *companions.encoded]):
            stream = source.streams[index]
            if index in companions.encoded:
                self._made[index] = _sound_encoder(output, companions.encoded[index], stream)
                codec = self._made[index].codec_context
                codec.open()  # then the number of samples per frame is known
                self._resamplers[index] = pyav().AudioResampler(
                    codec.format, codec.layout, codec.rate, codec.frame_size or None
                )
            else:
                self._made[index] = output.add_stream_from_template(stream, opaque=True)
            copy_facts(stream, self._made[index])
        for index in companions.attached:
            add_cover(output, source.streams[index], _cover(source, index))

    def packets(self, end: float | None) -> Iterator[Any]:
        """All packets, in the order of the source.

        Args:
            end: in seconds; packets after it are left out.
        """
        wanted = [self._source.streams[index] for index in self._made if self._source.streams[index].type != "attachment"]
        ends: dict[int, int] = {}
        shifts: dict[int, int] = {}
        for packet in self._source.demux(wanted) if wanted else ():
            index = packet.stream.index
            if index in self._resamplers:
                yield from self._encoded(packet, index, end)
                continue
            if is_cover(packet.stream) and packet.size:
                packet.pts = packet.dts = 0
            if packet.dts is None and packet.pts is None:
                continue
            if packet.stream.type in ("audio", "video") and packet.dts is not None:
                _go_on(packet, ends, shifts, index)
            still = is_cover(packet.stream)
            if self._cut and not still:
                if not self._cut.holds(_seconds(packet)):
                    continue
                self._cut.move(packet)
            if end is not None and _seconds(packet) > end:
                continue
            packet.stream = self._made[index]
            yield packet

    def _encoded(self, packet: Any, index: int, end: float | None) -> Iterator[Any]:
        """Sound, decoded and encoded again; what cannot be decoded is left out."""
        av = pyav()
        try:
            frames = packet.decode()
        except av.FFmpegError:
            frames = []
        if packet.size == 0:
            frames = [*frames, None]  # the end
        for frame in frames:
            if frame is not None and frame.time is not None:
                if self._cut:
                    if not self._cut.holds(frame.time):
                        continue
                    self._cut.move(frame)
                if end is not None and frame.time > end:
                    continue
            for sound in self._resamplers[index].resample(frame):
                if sound.pts is None or sound.time_base is None:  # it continues where the sound before it ended
                    sound.pts, sound.time_base = self._sounded.get(index, 0), Fraction(1, sound.sample_rate)
                self._sounded[index] = round(sound.pts * sound.time_base * sound.sample_rate) + sound.samples
                yield from self._made[index].encode(sound)
            if frame is None:
                yield from self._made[index].encode(None)


def _sound_encoder(output: Any, codec: str, stream: Any) -> Any:
    rate = stream.codec_context.sample_rate
    supported = pyav().Codec(codec, "w").audio_rates or [rate]
    made = output.add_stream(codec, rate=min(supported, key=lambda each: (each < rate, abs(each - rate))))
    made.codec_context.layout = "mono" if stream.codec_context.layout.nb_channels == 1 else "stereo"
    return made


def _cover(source: Any, index: int) -> bytes:
    """The bytes of a cover picture. They are read separately, because attachments are written before all packets."""
    with open_container(Path(source.name.removeprefix("file:"))) as again:
        return next((bytes(packet) for packet in again.demux(again.streams[index]) if packet.size), b"")


def _go_on(packet: Any, ends: dict[int, int], shifts: dict[int, int], index: int) -> None:
    """Where the times of a stream jump back, as in recordings that were joined, shift the rest to follow what came before."""
    shift = shifts.setdefault(index, 0)
    if index in ends and packet.dts + shift < ends[index] - (packet.duration or 0):
        shift = shifts[index] = ends[index] - packet.dts
    packet.dts += shift
    if packet.pts is not None:
        packet.pts += shift
    ends[index] = packet.dts + max(1, packet.duration or 1)


def _times(paths: Sequence[Path]) -> list[int]:
    """The times of the frames of all segments."""
    times = []
    for path in paths:
        with pyav().open(str(path)) as segment:
            times += [packet.pts for packet in segment.demux(video=0) if packet.pts is not None]
    return times


def _rate(times: Sequence[int], base: Fraction, said: Fraction | None) -> Fraction:
    """Frames per second, for the header: that of the source if it fits the times of the frames, or else the average."""
    gaps = [b - a for a, b in itertools.pairwise(times)]
    if not gaps:
        return said or UNKNOWN_RATE
    if said and min(gaps) * base * said < 2 and sum(gaps) * base * said > len(gaps) / Fraction(2):
        return said
    return (len(gaps) / (sum(gaps) * base)).limit_denominator(1001)


def _end(stream: Any) -> Fraction | None:
    """The end of the last frame in seconds, if the container tells."""
    if stream.start_time is None or stream.duration is None:
        return None
    return Fraction((stream.start_time + stream.duration) * stream.time_base)


def _video_packets(paths: Sequence[Path], stream: Any, end: Fraction | None) -> Iterator[Any]:
    """All packets of all segments. Each lasts until the next one; the last until ``end``, or as long as the one before it."""
    held, length = None, None
    for path in paths:
        with pyav().open(str(path)) as segment:
            for packet in segment.demux(video=0):
                if packet.pts is None:  # stands for the end
                    continue
                if held is not None:
                    held.duration = length = packet.pts - held.pts
                    held.stream = stream
                    yield held
                held = packet
    if held is not None:
        if end is not None:
            held.duration = max(1, round(end / held.time_base) - held.pts)
        elif length is not None:
            held.duration = length
        held.stream = stream
        yield held


def _seconds(packet: Any) -> float:
    return float((packet.pts if packet.dts is None else packet.dts) * packet.time_base)
