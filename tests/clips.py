"""Small clips that tests make themselves."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastnst.video.color import Coding, usual_matrix
from fastnst.video.frames import Format, Frame
from fastnst.video.y4m import Y4mSource, header, write_frame

Pixels = NDArray[np.uint8]


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
