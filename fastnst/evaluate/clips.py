"""How steady models are on a video: the warping error of its first frames, each stylized on its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from fastnst.engine.palette import Palette, colors_of
from fastnst.images import Picture, resize_short_side
from fastnst.metrics.flow import flows, warping_error
from fastnst.video.job import open_source

from .models import Model
from .pictures import STRIDE, Pixels

FRAMES = 16
SIDE = 256
"""Short side of frames in pixels, unless they are smaller."""


def read_frames(clip: Path) -> list[Pixels]:
    """The first frames, resized, sides cut to what all models keep.

    Raises:
        ImageError: it cannot be read.
        ValueError: it has one frame only.
    """
    with closing(open_source(clip)) as source:
        coding = source.format.coding
        frames = [_prepared(coding.to_rgb(frame.planes)) for frame in islice(source.frames(), FRAMES)]
    if len(frames) < 2:
        raise ValueError(f"{clip}: two frames or more are needed to measure how steady it is")
    return frames


def _prepared(pixels: Pixels) -> Pixels:
    picture = Image.fromarray(pixels)
    if min(picture.size) > SIDE:
        picture = resize_short_side(Picture(picture, None), SIDE).rgb
    width, height = (side // STRIDE * STRIDE for side in picture.size)
    return np.ascontiguousarray(np.asarray(picture)[:height, :width])


def warping_errors(
    models: Sequence[Model], clip: Path, style: Pixels, palette: float, advance: Callable[[], None]
) -> dict[str, float]:
    """Of each model's pictures by its name, and of the clip itself as ``untouched``; ``advance`` is called after each.

    Every frame is stylized as a picture of its own, palette step included: what ``--smooth`` adds in videos is not measured.
    """
    frames = read_frames(clip)
    motion = flows(frames)
    errors = {"untouched": warping_error(frames, motion)}
    step = Palette(colors_of(style), palette)
    for model in models:
        stylized = [model(frame, style) for frame in frames]
        for picture in stylized:
            step.apply(picture, 1)
        errors[model.name] = warping_error(stylized, motion)
        advance()
    return errors
