"""Tools for the drawings: noise, colours, strokes, cells and lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Field = NDArray[np.float64]  # [side, side]
Color = tuple[int, int, int]
Palette = Sequence[Color]


def noise(side: int, cells: int, rng: np.random.Generator, octaves: int = 3) -> Field:
    """Smooth noise, 0..1, with about ``cells`` bumps along a side, and finer and weaker ones in ``octaves``."""
    total = np.zeros((side, side))
    for octave in range(octaves):
        grid = rng.random((cells * 2**octave + 3,) * 2).astype(np.float32)
        total += np.asarray(Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC), np.float64) / 2**octave
    low, high = np.percentile(total, (1, 99))
    return np.asarray(np.clip((total - low) / (high - low), 0, 1))


def grid(side: int) -> tuple[Field, Field]:
    """Coordinates down and across, 0..1, [side, side] each."""
    y, x = np.mgrid[:side, :side] / side
    return y, x


def between(palette: Palette, field: Field) -> Field:
    """Colours [side, side, 3] for values 0..1: those of the palette in order, interpolated linearly."""
    places = np.linspace(0, 1, len(palette))
    colors = np.array(palette, float)
    return np.stack([np.interp(field, places, colors[:, channel]) for channel in range(3)], axis=-1)


def rendered(colors: Field) -> Image.Image:
    return Image.fromarray(np.clip(colors, 0, 255).astype(np.uint8))


def shrunk(image: Image.Image, side: int) -> Image.Image:
    return image.resize((side, side), Image.Resampling.LANCZOS)


def paper(image: Image.Image, rng: np.random.Generator, strength: float = 8) -> Image.Image:
    """Add the grain of paper or canvas."""
    side = image.width
    grain = rng.normal(0, strength, (side, side, 1)) + strength * (noise(side, side // 6, rng, 1)[..., None] - 0.5)
    return rendered(np.asarray(image, float) + grain)


def strokes(
    colors: Field,
    angles: Field,
    rng: np.random.Generator,
    sizes: Sequence[tuple[int, int, int]],
    ground: Color,
    jitter: float = 22,
    bristles: int = 3,
) -> Image.Image:
    """Draw brush strokes along a field of angles, in the colours of the picture; ``sizes``: their number, length and width."""
    side = len(colors)
    image = Image.new("RGB", (side, side), ground)
    draw = ImageDraw.Draw(image)
    for count, length, width in sizes:
        for x, y in rng.random((count, 2)) * side:
            color = colors[int(y), int(x)] + rng.normal(0, jitter) + rng.normal(0, jitter / 3, 3)
            points = [(x, y)]
            for _ in range(6):
                at = min(max(int(points[-1][1]), 0), side - 1), min(max(int(points[-1][0]), 0), side - 1)
                step = length / 6
                points.append((points[-1][0] + step * np.cos(angles[at]), points[-1][1] + step * np.sin(angles[at])))
            for bristle in range(bristles):
                shift = (bristle - (bristles - 1) / 2) * width / bristles
                normal = angles[int(y), int(x)] + np.pi / 2
                moved = [(px + shift * np.cos(normal), py + shift * np.sin(normal)) for px, py in points]
                shade = tuple(int(each) for each in np.clip(color + rng.normal(0, jitter / 2), 0, 255))
                draw.line(moved, shade, max(1, round(width / bristles) + 1))
    return image


def cells(side: int, count: int, rng: np.random.Generator, regular: float = 0.6) -> tuple[NDArray[np.int64], Field]:
    """For every pixel the index of the nearest of random points, and how much farther the second is: 0 on the borders."""
    across = round(count**0.5)
    base = np.stack(np.meshgrid(*[np.arange(-1, across + 1)] * 2), axis=-1).reshape(-1, 2) + 0.5
    points = (base + (rng.random(base.shape) - 0.5) * 2 * (1 - regular)) / across * side
    y, x = np.mgrid[:side, :side]
    first, second, nearest = (np.full((side, side), v) for v in (np.inf, np.inf, 0.0))
    for index, (px, py) in enumerate(points):
        near = max(4.0, 3.0 / across * side)
        rows, columns = (
            slice(max(0, int(py - near)), max(0, int(py + near))),
            slice(max(0, int(px - near)), max(0, int(px + near))),
        )
        distance = np.hypot(x[rows, columns] - px, y[rows, columns] - py)
        one, two = first[rows, columns], second[rows, columns]
        closer = distance < one
        second[rows, columns] = np.where(closer, one, np.minimum(two, distance))
        first[rows, columns] = np.where(closer, distance, one)
        nearest[rows, columns] = np.where(closer, index, nearest[rows, columns])
    return nearest.astype(np.int64), second - first


def lines(field: Field, count: float, width: Field | float) -> Field:
    """1 on ``count`` contour lines of a field of 0..1, and 0 between them; ``width`` is the share of the lines."""
    away = np.abs((field * count) % 1 - 0.5) * 2
    return np.asarray(np.clip((np.asarray(width) - away) * 6 + 0.5, 0, 1))


def mix(below: Field, above: Field | Color, cover: Field) -> Field:
    return below * (1 - cover[..., None]) + np.asarray(above, float) * cover[..., None]
