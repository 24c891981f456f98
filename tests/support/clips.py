"""Small clips that tests make themselves."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnst.video.color import Coding, usual_matrix
from fastnst.video.frames import Format, Frame
from fastnst.video.y4m import Y4mSource, header, write_frame

Pixels = NDArray[np.uint8]
BASE = Fraction(1, 90000)
TIMES = [3000 * index + 500 * (index % 3) for index in range(30)]  # no constant rate


def moving_square(frames: int, height: int = 48, width: int = 64) -> list[Pixels]:
    """A noisy picture with a bright square that goes from left to right, uint8 [H, W, 3] each."""
    ground = np.random.default_rng(5).integers(0, 120, (height, width, 3), dtype=np.uint8)
    clip = []
    for index in range(frames):
        picture = ground.copy()
        left = index * 3 % (width - 8)
        picture[8:20, left : left + 8] = (250, 30 + index % 200, 90)
        clip.append(picture)
    return clip


def y4m_format(height: int, width: int, subsampling: str = "420", centred: bool = False, full: bool = False) -> Format:
    coding = Coding(subsampling, centred, usual_matrix(height, width), full)
    rate = Fraction(30000, 1001)
    return Format(width, height, coding, 1 / rate, rate, Fraction(1))


def y4m_bytes(pictures: list[Pixels], video: Format | None = None) -> bytes:
    """The pictures as a y4m."""
    video = video or y4m_format(*pictures[0].shape[:2])
    file = io.BytesIO()
    mono = video.coding.subsampling == "mono"
    file.write(header(video))
    for index, picture in enumerate(pictures):
        planes = video.coding.from_rgb(picture)
        write_frame(file, Frame(planes[:1] if mono else planes, index))
    return file.getvalue()


def write_y4m(path: Path, pictures: list[Pixels], video: Format | None = None) -> Path:
    path.write_bytes(y4m_bytes(pictures, video))
    return path


def read_y4m(path: Path) -> tuple[Format, list[Pixels]]:
    """The pictures of a y4m."""
    with path.open("rb") as file:
        source = Y4mSource(file, str(path))
        return source.format, [source.format.coding.to_rgb(frame.planes) for frame in source.frames()]


def in_matrix(video: Format, matrix: str) -> Format:
    return replace(video, coding=replace(video.coding, matrix=matrix))


def write_clip(
    path: Path,
    pictures: list[Pixels],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    sound: str | None = None,
    prepare: Callable[[Any], None] = lambda _stream: None,
    times: Sequence[int] = TIMES,
    more: Callable[[Any], None] = lambda _container: None,
    kind: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A clip with irregular times and, with ``sound``, a tone; in PyAV, as are the functions below."""
    import av

    with av.open(str(path), "w", format=kind, options=options or {}) as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height = pictures[0].shape[1], pictures[0].shape[0]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = stream.time_base = BASE
        prepare(stream)
        tone = container.add_stream(sound, rate=48000) if sound else None
        container.metadata["title"] = "a clip"
        more(container)
        for time, picture in zip(times, pictures, strict=False):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = time, BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if tone is not None:
            samples = np.sin(np.arange(48000, dtype=np.float32) / 20)[None]
            for start in range(0, 48000, 960):
                frame = av.AudioFrame.from_ndarray(samples[:, start : start + 960], format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 48000, start
                container.mux(tone.encode(frame))
            container.mux(tone.encode())
    return path


def packets(path: Path, kind: str) -> list[tuple[Fraction, Fraction, bytes]]:
    """Time, length and content of each packet of the first stream of a kind."""
    import av

    with av.open(str(path)) as container:
        found = container.demux(**{kind: 0})
        return [(p.pts * p.time_base, p.duration * p.time_base, bytes(p)) for p in found if p.pts is not None]


def frames(path: Path) -> list[Any]:
    import av

    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def pictures_of(path: Path) -> list[NDArray[np.uint8]]:
    return [frame.to_ndarray(format="rgb24") for frame in frames(path)]
