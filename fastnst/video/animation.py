"""Pictures that move: GIF, animated WebP and animated PNG, which hold no sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fastnst.video.checkpoint import Checkpoint
from fastnst.video.container import pyav
from fastnst.video.encoder import LOSSLESS
from fastnst.video.frames import UNKNOWN_RATE, Format, VideoError
from fastnst.video.segments import SegmentedTarget

if TYPE_CHECKING:
    import av

_BEST, _USUAL = 100, 10  # quality numbers: libwebp's best, and how far the usual one is from it
WITH_ALPHA = (".webp", ".apng")
"""Those that hold frames of any transparency."""
_SIDE = {".gif": 65535, ".webp": 16383}
"""The largest that a format can say."""


def checked_quality(output: Path, quality: int | None) -> int:
    """The quality number of an animation, 0 is the best: of WebP alone.

    Raises:
        VideoError: the format has none, or none so large.
    """
    if quality is None:
        return _USUAL
    if output.suffix.lower() != ".webp":
        raise VideoError(f"{output}: {output.suffix.lower()[1:].upper()} has no quality to choose")
    if quality > _BEST:
        raise VideoError(f"{output}: the quality of WebP is at most {_BEST}, not {quality}")
    return quality


class AnimationTarget(SegmentedTarget):
    """An animation to write: the segments are lossless, and are encoded when all are there.

    Args:
        video: the format of the frames, 4:4:4 in full range.
        left_out: what of the source the output does not hold.
        holds_alpha: whether frames may be transparent.

    Raises:
        VideoError: the format cannot hold a picture of this size.
    """

    def __init__(self, checkpoint: Checkpoint, video: Format, quality: int, left_out: Sequence[str], holds_alpha: bool) -> None:
        output = checkpoint.output
        most = _SIDE.get(output.suffix.lower())
        if most and max(video.width, video.height) > most:
            raise VideoError(f"{output}: has sides of {most} pixels at most, not {video.width} x {video.height}")
        super().__init__(checkpoint, video, LOSSLESS.keeping_alpha() if holds_alpha else LOSSLESS, 0, None, left_out)
        self._written_quality = quality

    def _join(self, file: BinaryIO, paths: Sequence[Path]) -> None:
        suffix = self._checkpoint.output.suffix.lower()
        if suffix == ".gif":
            frames = _in_palette(lambda: self._frames(paths), self._video)
            _encode(file, "gif", "gif", "pal8", frames, self._video, {"loop": "0"}, {})
        elif suffix == ".webp":
            options = {"quality": str(_BEST - self._written_quality)}
            frames = (frame.reformat(format="bgra") for frame in self._frames(paths))
            _encode(file, "webp", "libwebp_anim", "bgra", frames, self._video, {"loop": "0"}, options)
        else:
            pixels = "rgba" if self.holds_alpha else "rgb24"
            _encode(file, "apng", "apng", pixels, self._frames(paths), self._video, {"plays": "0"}, {})

    def _frames(self, paths: Sequence[Path]) -> Iterator[av.VideoFrame]:
        """The stylized frames in RGB, by our own arithmetic, and their transparency."""
        av = pyav()
        for path in paths:
            with av.open(str(path)) as segment:
                for stored in segment.decode(video=0):
                    planes = []
                    for plane in stored.planes:
                        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
                        planes.append(np.ascontiguousarray(rows[: stored.height, : stored.width]))
                    rgb = self._video.coding.to_rgb(tuple(planes[:3]))
                    if self.holds_alpha:
                        frame = av.VideoFrame.from_ndarray(np.dstack([rgb, planes[3]]), format="rgba")
                    else:
                        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
                    base = self._video.time_base
                    frame.pts, frame.time_base = round(stored.pts * stored.time_base / base), base
                    yield frame


def _in_palette(frames: Any, video: Format) -> Iterator[av.VideoFrame]:
    """All frames in one palette of 256 colours, which is chosen over all of them; ``frames`` is called twice."""
    from av.filter import Graph

    def source(graph: Graph) -> Any:
        picture = pyav().VideoFormat("rgb24")
        return graph.add_buffer(width=video.width, height=video.height, format=picture, time_base=video.time_base)

    choose = Graph()
    pictures, chosen, sink = source(choose), choose.add("palettegen"), choose.add("buffersink")
    pictures.link_to(chosen)
    chosen.link_to(sink)
    choose.configure()
    for frame in frames():
        pictures.push(frame)
    pictures.push(None)
    palette: Any = choose.pull()

    use = Graph()
    pictures, both, sink = source(use), use.add("paletteuse"), use.add("buffersink")
    colors = use.add_buffer(width=palette.width, height=palette.height, format=palette.format, time_base=video.time_base)
    pictures.link_to(both, 0, 0)
    colors.link_to(both, 0, 1)
    both.link_to(sink)
    use.configure()
    palette.pts, palette.time_base = 0, video.time_base
    colors.push(palette)
    colors.push(None)
    for frame in frames():
        pictures.push(frame)
        yield from _pulled(use)
    pictures.push(None)
    yield from _pulled(use)


def _pulled(graph: Any) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.pull()
        except (BlockingIOError, EOFError):
            return


def _encode(
    file: BinaryIO,
    container: str,
    codec: str,
    pixels: str,
    frames: Iterable[av.VideoFrame],
    video: Format,
    container_options: dict[str, str],
    options: dict[str, str],
) -> None:
    with pyav().open(file, "w", format=container, options=container_options) as output:
        stream = output.add_stream(codec, rate=video.rate or UNKNOWN_RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, pixels
        stream.codec_context.time_base = Fraction(1, 100) if container == "gif" else Fraction(1, 1000)
        for frame in frames:
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
