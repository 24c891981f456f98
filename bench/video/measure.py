"""Measures videos end to end without a codec: y4m from memory through :mod:`fastnst.video` to a pipe that discards it.

The time includes parsing, conversion of colours in both directions, the engine, ordering, and smoothing with its default.
Frames are crops that move over a photograph, so that none repeats; the style is encoded in advance.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from PIL import Image

from fastnst.engine import Pixels
from fastnst.options import Options
from fastnst.stylize import Stylizer
from fastnst.video.color import Coding, usual_matrix
from fastnst.video.frames import Format, Frame
from fastnst.video.pipeline import Pipeline
from fastnst.video.stability import DEFAULT_SMOOTH
from fastnst.video.y4m import Y4mPipe, Y4mSource, header, output_format, write_frame

from .. import pictures
from ..interleave import Bystanders, wait_until_quiet
from ..machine import cores, system

MODELS = ("adain-nano", "adain-16x")
SIZES = ((512, 288), (1280, 720))
ROUNDS, LESS_ROUNDS = 7, 3
PIXELS = 12_000_000
"""The number of pixels in a clip; clips of small frames have more frames."""


@dataclass(frozen=True)
class Case:
    """A shipped model and a size of frames."""

    model: str
    width: int
    height: int

    @property
    def name(self) -> str:
        return f"{self.model}, {self.width} x {self.height}"

    @property
    def frames(self) -> int:
        return PIXELS // (self.width * self.height)


@dataclass
class Result:
    """Seconds per frame of every sample, and the share of the cores that other processes used meanwhile."""

    seconds: list[float] = field(default_factory=list)
    foreign_share: float = 0.0


def cases(quick: bool) -> list[Case]:
    return [Case(model, *size) for model in MODELS[: 1 if quick else None] for size in SIZES]


class Forgetful(io.RawIOBase):
    """A file that discards everything."""

    def write(self, data: Any) -> int:
        return memoryview(data).nbytes


def clip(case: Case) -> bytes:
    """A y4m of 4:2:0, as a camera or FFmpeg would send it."""
    coding = Coding("420", False, usual_matrix(case.height, case.width))
    video = Format(case.width, case.height, coding, Fraction(1, 30), Fraction(30), Fraction(1))
    still = np.asarray(moving_ground(case))
    file = io.BytesIO()
    file.write(header(video))
    for number in range(case.frames):
        crop = still[number : number + case.height, 2 * number : 2 * number + case.width]
        write_frame(file, Frame(coding.from_rgb(np.ascontiguousarray(crop)), number))
    return file.getvalue()


def moving_ground(case: Case) -> Image.Image:
    """A photograph that is large enough for the motion of the crops."""
    content, _ = pictures.pair(512)
    return Image.fromarray(content).resize((case.width + 2 * case.frames, case.height + case.frames), Image.Resampling.BICUBIC)


def sample(stylizer: Stylizer, style: Pixels, data: bytes) -> float:
    """Seconds per frame for one clip."""
    options = Options(look=stylizer.encode_style(style), smoothing=DEFAULT_SMOOTH)
    start = time.perf_counter()
    source = Y4mSource(io.BytesIO(data), "clip")
    video = output_format(source.format, source.format.width, source.format.height)
    target = Y4mPipe(Forgetful(), video)  # type: ignore[arg-type]
    count = 0
    size = (video.width, video.height)
    for done in Pipeline(stylizer, options, source.format.coding, video.coding, size).run(source):
        target.write(done.frame)
        count += 1
    target.finish()
    return (time.perf_counter() - start) / count


def measure(case: Case, rounds: int, patience: float) -> Result:
    """Measure a case ``rounds`` times, after a first sample that only warms up."""
    stylizer = Stylizer(case.model, cores())
    _, style = pictures.pair(256)
    data, result = clip(case), Result()
    wait_until_quiet(patience)
    others = Bystanders()
    for number in range(rounds + 1):
        seconds = sample(stylizer, style, data)
        if number:
            result.seconds.append(seconds)
    result.foreign_share = others.share()
    return result


def facts(case: Case, result: Result) -> dict[str, Any]:
    """The facts about a case, for the JSON file."""
    return {
        "case": case.name,
        "model": case.model,
        "width": case.width,
        "height": case.height,
        "frames": case.frames,
        "threads": cores(),
        "visits_seconds": result.seconds,
        "foreign_share": result.foreign_share,
        **system(),
    }
