"""Three paintings drawn by arithmetic, so that the demonstration has styles of its own: swirls, stained glass, dabs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Field = NDArray[np.float64]

NIGHT = ((16, 24, 72), (28, 62, 140), (70, 130, 190), (180, 200, 170), (246, 206, 72), (252, 240, 190))
GLASS = ((150, 24, 36), (214, 120, 30), (240, 200, 70), (40, 110, 90), (30, 60, 130), (120, 60, 120), (236, 226, 200))
MEADOW = ((52, 84, 40), (110, 140, 60), (196, 190, 110), (226, 150, 150), (150, 170, 210), (240, 230, 220), (90, 60, 110))


def shade(level: Field, palette: tuple[tuple[int, int, int], ...]) -> Field:
    """Colours along a palette: level 0..1 [H, W] to RGB [H, W, 3]."""
    stops = np.linspace(0, 1, len(palette))
    return np.stack([np.interp(level, stops, [colour[c] for colour in palette]) for c in range(3)], axis=-1)


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Field:
    """Noise 0..1 [size, size] that varies over ``cells`` cells a side."""
    grid = rng.random((cells + 2, cells + 2))
    at = np.linspace(0, cells, size, endpoint=False)
    i, f = at.astype(int), at % 1
    f = f * f * (3 - 2 * f)
    rows = grid[i] * (1 - f)[:, None] + grid[i + 1] * f[:, None]
    return rows[:, i] * (1 - f) + rows[:, i + 1] * f


def swirls(size: int, seed: int = 1) -> Image:
    """Brush strokes along a field of vortices: noise averaged along the lines of flow."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size
    drift = smooth_noise(rng, size, 3) * 2
    across, down = np.cos(drift), np.sin(drift)
    light = 0.55 * smooth_noise(rng, size, 4)
    for cx, cy, radius in zip(rng.random(7), rng.random(7), rng.uniform(0.08, 0.22, 7), strict=True):
        pull = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * radius**2))
        distance = np.hypot(x - cx, y - cy) + 1e-3
        across, down = across - 4 * pull * (y - cy) / distance, down + 4 * pull * (x - cx) / distance
        light += 0.75 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (0.35 * radius**2))
    speed = np.hypot(across, down) + 1e-3
    across, down = across / speed, down / speed
    strokes, noise = np.zeros((size, size)), smooth_noise(rng, size, size // 4)
    for direction in (1, -1):
        px, py = x * size, y * size
        for _ in range(size // 28):
            i, j = py.astype(int) % size, px.astype(int) % size
            strokes += noise[i, j]
            px, py = px + direction * 1.4 * across[i, j], py + direction * 1.4 * down[i, j]
    strokes = (strokes - strokes.mean()) / strokes.std()
    return np.clip(shade(np.clip(light + 0.13 * strokes, 0, 1), NIGHT) + 14 * strokes[..., None], 0, 255).astype(np.uint8)


def stained_glass(size: int, seed: int = 2) -> Image:
    """Cells around random points, with dark leads between them and light falling through."""
    rng = np.random.default_rng(seed)
    points = rng.random((150, 2)) * size
    y, x = np.mgrid[0:size, 0:size]
    nearest, second, owner = np.full((size, size), np.inf), np.full((size, size), np.inf), np.zeros((size, size), int)
    for k, (py, px) in enumerate(points):
        distance = np.hypot(y - py, x - px)
        closer = distance < nearest
        second = np.where(closer, nearest, np.minimum(second, distance))
        nearest, owner = np.where(closer, distance, nearest), np.where(closer, k, owner)
    colours = np.array(GLASS, float)[rng.integers(len(GLASS), size=len(points))]
    light = 0.75 + 0.5 * smooth_noise(rng, size, 6) - 0.1 * smooth_noise(rng, size, size // 6)
    lead = np.clip((second - nearest) / (size / 110) - 0.6, 0, 1)
    return np.clip(colours[owner] * (light * lead)[..., None] + 18 * (1 - lead[..., None]), 0, 255).astype(np.uint8)


def dabs(size: int, seed: int = 3) -> Image:
    """Short strokes of broken colour, one over the other."""
    rng = np.random.default_rng(seed)
    canvas = shade(smooth_noise(rng, size, 3), MEADOW)
    ground, lean = smooth_noise(rng, size, 5), smooth_noise(rng, size, 3) * np.pi
    for _ in range(9000):
        cx, cy = rng.integers(size, size=2)
        length, width = size * rng.uniform(0.012, 0.03), size * rng.uniform(0.004, 0.009)
        reach = int(length) + 1
        top, left = max(cy - reach, 0), max(cx - reach, 0)
        v, u = np.mgrid[top : min(cy + reach, size), left : min(cx + reach, size)]
        angle = lean[cy, cx] + rng.normal(0, 0.3)
        along = (u - cx) * np.cos(angle) + (v - cy) * np.sin(angle)
        across = (v - cy) * np.cos(angle) - (u - cx) * np.sin(angle)
        inside = (along / length) ** 2 + (across / width) ** 2 < 1
        colour = shade(np.array([[np.clip(ground[cy, cx] + rng.normal(0, 0.16), 0, 1)]]), MEADOW)[0, 0]
        patch = canvas[top : top + inside.shape[0], left : left + inside.shape[1]]
        patch[inside] = 0.15 * patch[inside] + 0.85 * (colour + rng.normal(0, 10))
    return np.clip(canvas, 0, 255).astype(np.uint8)


PAINTINGS: dict[str, Callable[[int], Image]] = {"swirls": swirls, "stained-glass": stained_glass, "dabs": dabs}
