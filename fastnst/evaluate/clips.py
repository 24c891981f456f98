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
from fastnst.video.sources import open_source

from .models import Model, Row
from .pictures import STRIDE, Pixels

FRAMES = 16
SIDE = 256
"""Short side of frames in pixels, unless they are smaller."""


def read_frames(clip: Path, count: int = FRAMES) -> list[Pixels]:
    """The first ``count`` frames, resized, sides cut to what all models keep.

    Raises:
        ImageError: it cannot be read.
        ValueError: it has one frame only.
    """
    with closing(open_source(clip)) as source:
        coding = source.format.coding
        frames = [_prepared(coding.to_rgb(frame.planes)) for frame in islice(source.frames(), count)]
    if len(frames) < 2:
        raise ValueError(f"{clip}: two frames or more are needed to measure how steady it is")
    return frames


def _prepared(pixels: Pixels) -> Pixels:
    picture = Image.fromarray(pixels)
    if min(picture.size) > SIDE:
        picture = resize_short_side(Picture(picture, None), SIDE).rgb
    width, height = (side // STRIDE * STRIDE for side in picture.size)
    return np.array(np.asarray(picture)[:height, :width], order="C")  # Pillow's own memory is not writable: PyTorch warns


def warping_errors(
    models: Sequence[Row], clip: Path, style: Pixels, palette: float, advance: Callable[[], None]
) -> dict[str, float]:
    """Of each model's pictures by its name, and of the clip itself as ``untouched``; ``advance`` is called after each row.

    Every frame is stylized as a picture of its own, palette step included: what ``--smooth`` adds in videos is not measured.
    """
    frames = read_frames(clip)
    motion = flows(frames)
    errors = {"untouched": warping_error(frames, motion)}
    for model in models:
        if isinstance(model, Model):
            errors[model.name] = warping_error(stylized(model, frames, style, palette), motion)
        advance()
    return errors


def stylized(model: Model, frames: Sequence[Pixels], style: Pixels, palette: float) -> list[Pixels]:
    """Every frame as a picture of its own, with the palette step of strength ``palette`` behind it."""
    step = Palette(colors_of(style), palette)
    made = [model(frame, style) for frame in frames]
    for picture in made:
        step.apply(picture, 1)
    return made
