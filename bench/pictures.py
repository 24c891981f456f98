"""The pictures of the benchmark: scikit-image's astronaut as content, coffee as style, and crops of both to calibrate on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CALIBRATION_SIDE = 256
CALIBRATION_PAIRS = 8

Pixels = NDArray[np.uint8]  # [H, W, 3]


def _source(name: str) -> Image.Image:
    from skimage import data

    return Image.fromarray(getattr(data, name)())


def square(image: Image.Image, side: int) -> Pixels:
    """The central square of ``image``, resized to ``side`` x ``side``."""
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    box = (left, top, left + edge, top + edge)
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, box=box))


def pair(side: int) -> tuple[Pixels, Pixels]:
    """The content and the style that are timed."""
    return square(_source("astronaut"), side), square(_source("coffee"), side)


def calibration() -> list[tuple[Pixels, Pixels]]:
    """Pairs of content and style: the timed pair itself, which fits a rival's ranges best, then crops of three photographs."""
    photos = [_source(name) for name in ("astronaut", "coffee", "chelsea")]
    rng = np.random.default_rng(3)

    def crop(image: Image.Image) -> Pixels:
        edge = int(min(image.size) * rng.uniform(0.5, 1))
        left, top = (int(rng.integers(side - edge + 1)) for side in image.size)
        return square(image.crop((left, top, left + edge, top + edge)), CALIBRATION_SIDE)

    pairs = [(crop(photos[i % 3]), crop(photos[(i + 1) % 3])) for i in range(CALIBRATION_PAIRS - 1)]
    return [pair(CALIBRATION_SIDE), *pairs]


def to_floats(pixels: Pixels) -> NDArray[Any]:
    """[H, W, 3] of 0..255 as float32 [1, 3, H, W] of 0..1, the input of the rivals."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
