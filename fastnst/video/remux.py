"""Videos in containers, written segment by segment and joined with the source's sound at the end."""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from fastnst.images import atomic_output
from fastnst.video.container import ContainerSource, named_errors, pyav
from fastnst.video.encoder import CONTAINERS, SEGMENT, Codec, Segment
from fastnst.video.frames import Format, Frame, VideoError
from fastnst.video.parts import Parts

_ABOUT_THE_FILE = ("major_brand", "minor_version", "compatible_brands", "encoder")
_OF_A_STREAM = ("language", "title", "handler_name")


class ContainerTarget:
    """A container to write. Until it is finished, every ``SEGMENT`` frames are a file of ``parts``.

    Args:
        video: what is encoded: 4:2:0.
        source: whose chapters and tags are copied; None where it is no container.
        copied: indices of its streams that are copied, packet by packet.
    """

    interval = SEGMENT

    def __init__(
        self, parts: Parts, video: Format, codec: Codec, quality: int, source: ContainerSource | None, copied: Sequence[int]
    ) -> None:
        self._parts, self._video, self._codec, self._quality, self._source = parts, video, codec, quality, source
        self._container = CONTAINERS[parts.output.suffix.lower()][0]
        self.done, self.state = parts.frames, parts.state
        self._segment: Segment | None = None
        self._copied = copied

    def write(self, frame: Frame) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        if self._segment is None:
            self._segment = Segment(self._video, self._codec, self._quality, self._source.tags if self._source else None)
        self._segment.write(frame)
        self.done += 1

    def checkpoint(self, state: Any) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        if self._segment is None:
            return
        with atomic_output(self._paths()[-1]) as file:
            file.write(self._segment.finish())
        self._segment = None
        self._parts.record(self.done, state)

    def finish(self) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        with atomic_output(self._parts.output) as file, named_errors(self._parts.output, "cannot be written"):
            self._join(file)
        self._parts.remove()

    def close(self) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        self._parts.close()

    def _paths(self) -> list[Path]:
        # Every segment but the last one is full.
        return [self._parts.folder / f"{index:06}.nut" for index in range(-(-self.done // SEGMENT))]

    def _join(self, file: BinaryIO) -> None:
        av = pyav()
        paths = self._paths()
        with av.open(file, "w", format=self._container) as output, av.open(str(paths[0])) as first:
            video = output.add_stream_from_template(first.streams.video[0])
            if self._source is None:
                for packet in _video_packets(paths, video, None):
                    output.mux(packet)
                return
            if self._source.tags.display_matrix:
                video.set_display_matrix(self._source.tags.display_matrix)
            with av.open(str(self._source.path)) as source:
                original = source.streams[self._source.index]
                _copy_facts(original, video)
                output.metadata.update({k: v for k, v in source.metadata.items() if k not in _ABOUT_THE_FILE})
                output.set_chapters(source.chapters())
                others = _other_packets(source, output, self._copied)
                for packet in heapq.merge(_video_packets(paths, video, _end(original)), others, key=_seconds):
                    output.mux(packet)


def sort_streams(source: ContainerSource, output: Path) -> tuple[list[int], list[str]]:
    """Indices of the streams beside the video that ``output`` can hold, and kinds of those that it cannot.

    Raises:
        VideoError: it cannot hold the sound.
    """
    container = CONTAINERS[output.suffix.lower()][0]
    with pyav().open(io.BytesIO(), "w", format=container) as probe:
        holds = probe.supported_codecs
    copied, left_out = [], []
    for stream in source.container.streams:
        if stream.index == source.index:
            continue
        codec = stream.codec.canonical_name if stream.type in ("audio", "video", "subtitle") and stream.codec else None
        if codec in holds or (stream.type == "attachment" and container == "matroska"):
            copied.append(stream.index)
        elif stream.type == "audio":
            raise VideoError(f"{output}: {output.suffix.lower()} cannot hold the sound of {source.path} ({codec}): take .mkv")
        else:
            left_out.append(stream.type)
    return copied, left_out


def _end(stream: Any) -> Fraction | None:
    """When the last frame ends, in seconds, where the container says."""
    if stream.start_time is None or stream.duration is None:
        return None
    return Fraction((stream.start_time + stream.duration) * stream.time_base)


def _copy_facts(source: Any, to: Any) -> None:
    to.metadata.update({key: source.metadata[key] for key in _OF_A_STREAM if key in source.metadata})
    to.disposition = source.disposition


def _video_packets(paths: Sequence[Path], stream: Any, end: Fraction | None) -> Iterator[Any]:
    """All packets of all segments, each as long as until the next one; the last one until ``end``, or as the encoder thinks."""
    held = None
    for path in paths:
        with pyav().open(str(path)) as segment:
            for packet in segment.demux(video=0):
                if packet.pts is None:  # stands for the end
                    continue
                if held is not None:
                    held.duration = packet.pts - held.pts
                    held.stream = stream
                    yield held
                held = packet
    if held is not None:
        if end is not None:
            held.duration = max(1, round(end / held.time_base) - held.pts)
        held.stream = stream
        yield held


def _other_packets(source: Any, output: Any, indices: Sequence[int]) -> Iterator[Any]:
    streams = {}
    for index in indices:
        streams[index] = output.add_stream_from_template(source.streams[index])
        _copy_facts(source.streams[index], streams[index])
    return _copied_packets(source, streams)


def _copied_packets(source: Any, streams: dict[int, Any]) -> Iterator[Any]:
    wanted = [source.streams[index] for index in streams if source.streams[index].type != "attachment"]
    for packet in source.demux(wanted) if wanted else ():
        if packet.dts is not None or packet.pts is not None:
            packet.stream = streams[packet.stream.index]
            yield packet


def _seconds(packet: Any) -> float:
    return float((packet.pts if packet.dts is None else packet.dts) * packet.time_base)
