"""Pictures of styles that fastnst draws itself: the looks inside the package are made of them.

``DRAWINGS`` has them by name; each takes a side in pixels and gives an RGB image, always the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Field = NDArray[np.float64]  # [side, side]
Color = tuple[int, int, int]
Palette = Sequence[Color]

_FINE = 2  # drawn so many times as large, and shrunk: that smooths edges


# ---- what drawings are made of ----------------------------------------------------------------------------------------------


def _noise(side: int, cells: int, rng: np.random.Generator, octaves: int = 3) -> Field:
    """Smooth noise, 0..1, with about so many bumps along a side, and finer and weaker ones on them."""
    total = np.zeros((side, side))
    for octave in range(octaves):
        grid = rng.random((cells * 2**octave + 3,) * 2).astype(np.float32)
        total += np.asarray(Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC), np.float64) / 2**octave
    low, high = np.percentile(total, (1, 99))
    return np.asarray(np.clip((total - low) / (high - low), 0, 1))


def _grid(side: int) -> tuple[Field, Field]:
    """Down and across, 0..1."""
    y, x = np.mgrid[:side, :side] / side
    return y, x


def _between(palette: Palette, field: Field) -> Field:
    """Colours, [side, side, 3], of 0..1: those of the palette in order, and what lies between them."""
    places = np.linspace(0, 1, len(palette))
    colors = np.array(palette, float)
    return np.stack([np.interp(field, places, colors[:, channel]) for channel in range(3)], axis=-1)


def _image(colors: Field) -> Image.Image:
    return Image.fromarray(np.clip(colors, 0, 255).astype(np.uint8))


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    return image.resize((side, side), Image.Resampling.LANCZOS)


def _paper(image: Image.Image, rng: np.random.Generator, strength: float = 8) -> Image.Image:
    """Grain of a paper or canvas."""
    side = image.width
    grain = rng.normal(0, strength, (side, side, 1)) + strength * (_noise(side, side // 6, rng, 1)[..., None] - 0.5)
    return _image(np.asarray(image, float) + grain)


def _strokes(
    colors: Field,
    angles: Field,
    rng: np.random.Generator,
    sizes: Sequence[tuple[int, int, int]],
    ground: Color,
    jitter: float = 22,
    bristles: int = 3,
) -> Image.Image:
    """Strokes of a brush along a field of angles, in the colours below them; ``sizes``: how many, how long, how wide."""
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


def _cells(side: int, count: int, rng: np.random.Generator, regular: float = 0.6) -> tuple[NDArray[np.int64], Field]:
    """The nearest of points for every pixel, and how much farther the second is: 0 on the borders."""
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


def _lines(field: Field, count: float, width: Field | float) -> Field:
    """1 on lines of equal height of a field, ``count`` of them from 0 to 1, and 0 between them; ``width`` is their part."""
    away = np.abs((field * count) % 1 - 0.5) * 2
    return np.asarray(np.clip((np.asarray(width) - away) * 6 + 0.5, 0, 1))


def _mix(below: Field, above: Field | Color, cover: Field) -> Field:
    return below * (1 - cover[..., None]) + np.asarray(above, float) * cover[..., None]


# ---- drawings ---------------------------------------------------------------------------------------------------------------


def swirl(side: int) -> Image.Image:
    """Thick oil strokes that turn around lights in a night sky."""
    rng, big = np.random.default_rng(1), side * _FINE
    y, x = _grid(big)
    angles = np.full((big, big), 0.3) + 1.2 * (_noise(big, 3, rng) - 0.5)
    tone = 0.15 + 0.5 * _noise(big, 5, rng)
    for px, py, size in ((0.25, 0.25, 0.16), (0.72, 0.2, 0.12), (0.5, 0.6, 0.2), (0.85, 0.7, 0.14), (0.12, 0.8, 0.12)):
        away = np.hypot(x - px, y - py) / size
        pull = np.exp(-(away**2))
        angles = angles * (1 - pull) + (np.arctan2(y - py, x - px) + np.pi / 2) * pull
        tone = tone + 0.75 * np.exp(-((away * 1.6) ** 2))
    colors = _between([(10, 18, 60), (22, 60, 140), (60, 120, 190), (150, 190, 190), (240, 205, 90), (255, 240, 180)], tone)
    return _shrunk(_strokes(colors, angles, rng, [(900, 100, 34), (2200, 70, 20), (1800, 44, 12)], (12, 25, 70)), side)


def points(side: int) -> Image.Image:
    """Dots of pure colours side by side."""
    rng, big = np.random.default_rng(2), side * _FINE
    hue = _noise(big, 3, rng)
    colors = _between([(40, 80, 140), (70, 150, 120), (210, 190, 80), (235, 140, 60), (200, 70, 90), (120, 60, 140)], hue)
    image = Image.new("RGB", (big, big), (245, 238, 220))
    draw = ImageDraw.Draw(image)
    pure = np.array([(230, 60, 50), (250, 200, 40), (40, 90, 180), (60, 160, 90), (250, 240, 220), (140, 60, 150)])
    for x, y in rng.random((14_000, 2)) * big:
        color = colors[int(y), int(x)]
        if rng.random() < 0.35:
            color = 0.35 * color + 0.65 * pure[rng.integers(len(pure))]
        color, r = color + rng.normal(0, 14, 3), rng.uniform(5, 9)
        draw.ellipse((x - r, y - r, x + r, y + r), tuple(int(each) for each in np.clip(color, 0, 255)))
    return _shrunk(image, side)


def woodcut(side: int) -> Image.Image:
    """Black lines cut into wood, thicker in the shadows."""
    rng, big = np.random.default_rng(3), side * _FINE
    y, x = _grid(big)
    warp, tone = _noise(big, 3, rng), _noise(big, 4, rng)
    ink = _lines(y + 0.28 * warp + 0.08 * np.sin(7 * x), 34, 0.15 + 0.75 * tone)
    ink = np.maximum(ink, np.clip((tone - 0.86) * 12, 0, 1)) * np.clip((tone + 0.12) * 5, 0, 1)
    return _shrunk(_image(_mix(np.full((big, big, 3), (238, 226, 200.0)), (24, 20, 18), ink)), side)


def mosaic(side: int) -> Image.Image:
    """Small stones with light joints, in bands of colour."""
    rng, big = np.random.default_rng(4), side * _FINE
    cells, border = _cells(big, 1600, rng, 0.72)
    tone = _noise(big, 3, rng, 2)
    palette = _between([(28, 60, 90), (40, 120, 130), (220, 190, 110), (190, 90, 50), (110, 40, 40), (235, 225, 200)], tone)
    count = cells.max() + 1
    area = np.maximum(np.bincount(cells.ravel(), minlength=count), 1)
    means = np.stack([np.bincount(cells.ravel(), palette[..., c].ravel(), count) / area for c in range(3)], axis=-1)
    stones = (means + rng.normal(0, 16, (count, 1)) + rng.normal(0, 7, (count, 3)))[cells]
    shade = np.clip(border / 10, 0, 1)
    return _shrunk(_paper(_image(_mix(np.full((big, big, 3), (206, 200, 186.0)), stones, shade)), rng, 5), side)


def washes(side: int) -> Image.Image:
    """Watercolour: thin layers with dark edges on white paper."""
    rng, big = np.random.default_rng(5), side * _FINE
    colors = np.full((big, big, 3), (250, 247, 240.0))
    inks = [(70, 150, 205), (240, 150, 140), (250, 205, 110), (130, 195, 150), (160, 140, 210), (90, 130, 190), (250, 170, 150)]
    for layer in range(14):
        shape = _noise(big, int(rng.integers(2, 5)), rng, 4)
        level = rng.uniform(0.5, 0.85)
        inside = np.clip((shape - level) * 40, 0, 1)
        edge = np.exp(-(((shape - level) * 55) ** 2)) * inside
        cover = inside * (0.18 + 0.45 * _noise(big, 5, rng, 4)) + 0.45 * edge
        ink = np.array(inks[layer % len(inks)], float)
        colors *= 1 - np.clip(cover, 0, 1)[..., None] * (1 - ink / 255)
    return _shrunk(_paper(_image(colors), rng, 7), side)


def glass(side: int) -> Image.Image:
    """Stained glass: clear colours between leads."""
    rng, big = np.random.default_rng(6), side * _FINE
    cells, border = _cells(big, 170, rng, 0.35)
    choice = np.array(
        [
            (200, 30, 40),
            (20, 70, 170),
            (240, 180, 30),
            (30, 130, 80),
            (110, 40, 140),
            (230, 110, 30),
            (120, 180, 220),
            (240, 230, 200),
        ]
    )
    glow = 0.72 + 0.5 * _noise(big, 5, rng, 4)
    panes = choice[rng.integers(len(choice), size=cells.max() + 1)][cells] * glow[..., None]
    return _shrunk(_image(_mix(panes, (14, 14, 18), 1 - np.clip((border - 9) / 4, 0, 1))), side)


def hatching(side: int) -> Image.Image:
    """Ink lines in four directions, one over the other where it is dark."""
    rng, big = np.random.default_rng(7), side * _FINE
    y, x = _grid(big)
    tone, shake = _noise(big, 4, rng), 0.015 * _noise(big, 14, rng)
    paper = np.full((big, big, 3), (244, 240, 228.0))
    for level, angle in ((0.25, 0.8), (0.45, -0.75), (0.62, 0.05), (0.78, 1.5)):
        along = x * np.cos(angle) + y * np.sin(angle) + shake
        ink = _lines(along, 70, 0.34) * np.clip((tone - level) * 10, 0, 1)
        paper = _mix(paper, (36, 34, 48), 0.9 * ink)
    return _shrunk(_image(paper), side)


def halftone(side: int) -> Image.Image:
    """Four screens of dots, as cheap comics are printed."""
    rng, big = np.random.default_rng(8), side * _FINE
    y, x = _grid(big)
    colors = np.full((big, big, 3), (250, 244, 228.0))
    for ink, angle in (((250, 220, 0), 0.0), ((220, 20, 110), 1.31), ((0, 150, 210), 0.26), ((20, 20, 24), 0.785)):
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        dots = (np.cos(2 * np.pi * 46 * u) + np.cos(2 * np.pi * 46 * v)) / 4 + 0.5
        amount = _noise(big, 3, rng, 2) * (0.45 if ink == (20, 20, 24) else 0.9)
        cover = np.clip((amount - dots) * 12, 0, 1)
        colors *= 1 - cover[..., None] * (1 - np.array(ink) / 255)
    return _shrunk(_image(colors), side)


def marbling(side: int) -> Image.Image:
    """Colours floated on water and drawn out with a comb."""
    rng, big = np.random.default_rng(9), side * _FINE
    y, x = _grid(big)
    one, two = _noise(big, 3, rng, 4), _noise(big, 4, rng, 4)
    bands = (x + 0.55 * one + 0.06 * np.sin(26 * y + 9 * two)) * 7 + 2.2 * two
    palette = [(22, 34, 64), (190, 60, 50), (238, 222, 190), (40, 110, 130), (226, 160, 70), (240, 236, 220), (22, 34, 64)]
    colors = _between(palette, (bands % len(palette)) / len(palette))
    veins = _lines(bands / 7, 7 * 3, 0.2)
    return _shrunk(_image(_mix(colors, (250, 240, 210), 0.6 * veins)), side)


def embers(side: int) -> Image.Image:
    """Short strokes of fire on a dark ground."""
    rng, big = np.random.default_rng(10), side * _FINE
    tone = np.clip(1.3 * _noise(big, 4, rng) - 0.15, 0, 1) ** 1.4
    colors = _between([(20, 8, 12), (80, 14, 20), (190, 40, 20), (245, 120, 30), (255, 200, 80), (255, 245, 200)], tone)
    angles = -np.pi / 2 + 1.8 * (_noise(big, 5, rng) - 0.5)
    return _shrunk(_strokes(colors, angles, rng, [(900, 110, 26), (2600, 80, 13), (2000, 50, 7)], (18, 8, 10), 18, 2), side)


def waves(side: int) -> Image.Image:
    """Scales of waves, printed in three blues."""
    rng, big = np.random.default_rng(11), side * _FINE
    image = Image.new("RGB", (big, big), (236, 226, 200))
    draw = ImageDraw.Draw(image)
    r = big // 11
    inks = ((24, 54, 104), (236, 226, 200), (58, 104, 150), (236, 226, 200), (130, 170, 190), (24, 54, 104))
    for row in range(-1, 28):
        y = row * r * 0.5
        for column in range(-1, 8):
            x = column * 2 * r + (row % 2) * r + rng.normal(0, 2)
            for ring, ink in enumerate(inks):
                size = r * (1 - 0.165 * ring) + rng.normal(0, 1.5)
                draw.ellipse((x - size, y - size, x + size, y + size), ink)
    foam = np.clip((_noise(big, 7, rng, 4) - 0.82) * 14, 0, 1)
    return _shrunk(_paper(_image(_mix(np.asarray(image, float), (246, 240, 224), foam)), rng, 5), side)


def facets(side: int) -> Image.Image:
    """Flat triangles, lit from one side."""
    rng, big = np.random.default_rng(12), side * _FINE
    image = Image.new("RGB", (big, big))
    draw, count = ImageDraw.Draw(image), 13
    nodes = np.stack(np.meshgrid(*[np.arange(-1, count + 2)] * 2), axis=-1) + rng.uniform(
        -0.38, 0.38, (count + 3, count + 3, 2)
    )
    nodes = nodes * big / count
    tone = _noise(big, 3, rng, 2)
    colors = _between([(30, 40, 80), (70, 60, 130), (190, 80, 120), (245, 150, 100), (250, 220, 160), (120, 190, 180)], tone)
    for i in range(count + 2):
        for j in range(count + 2):
            a, b, c, d = nodes[i, j], nodes[i, j + 1], nodes[i + 1, j], nodes[i + 1, j + 1]
            for corners in ((a, b, c), (b, c, d)) if rng.random() < 0.5 else ((a, b, d), (a, c, d)):
                x, y = np.clip(np.mean(corners, axis=0), 0, big - 1).astype(int)
                color = colors[y, x] * rng.uniform(0.75, 1.2)
                draw.polygon([tuple(corner) for corner in corners], tuple(int(each) for each in np.clip(color, 0, 255)))
    return _shrunk(image, side)


def pastel(side: int) -> Image.Image:
    """Soft chalk on tinted paper."""
    rng, big = np.random.default_rng(13), side * _FINE
    colors = _between(
        [(150, 180, 210), (200, 210, 200), (245, 215, 190), (240, 180, 180), (200, 170, 210)], _noise(big, 3, rng)
    )
    angles = 0.9 + 0.5 * (_noise(big, 3, rng) - 0.5)
    image = _strokes(colors, angles, rng, [(1000, 130, 40), (2400, 90, 22)], (196, 188, 176), 14, 4)
    chalk = np.asarray(image.filter(ImageFilter.GaussianBlur(2)), float)
    holes = np.clip((_noise(big, big // 8, rng, 2) - 0.62) * 6, 0, 1)
    return _shrunk(_image(_mix(chalk, (150, 140, 130), 0.5 * holes)), side)


def contours(side: int) -> Image.Image:
    """Lines of equal height of a map, on tints of land and water."""
    rng, big = np.random.default_rng(14), side * _FINE
    height = _noise(big, 4, rng, 4)
    tints = [
        (60, 120, 160),
        (140, 190, 200),
        (222, 226, 190),
        (170, 196, 130),
        (216, 180, 120),
        (170, 110, 80),
        (250, 246, 240),
    ]
    steps = np.floor(height * 14) / 14
    colors = _mix(_between(tints, steps), (70, 50, 40), 0.75 * _lines(height, 14, 0.1))
    return _shrunk(_paper(_image(colors), rng, 4), side)


def weave(side: int) -> Image.Image:
    """Threads over and under one another."""
    rng, big = np.random.default_rng(15), side * _FINE
    y, x = _grid(big)
    threads = 52
    warp, weft = (_between([(120, 30, 40), (220, 180, 120), (40, 60, 90), (200, 90, 60), (235, 225, 205)], field)
                  for field in (rng.random(threads), rng.random(threads)))  # fmt: skip
    bent = 0.004 * (_noise(big, 5, rng) - 0.5)
    i, j = (((each + bent) * threads).astype(int) % threads for each in (x, y))
    over = (i + 2 * (j // 2)) % 4 < 2
    across, down = ((each * threads) % 1 for each in (x + bent, y + bent))
    round_ = np.where(over, np.sin(np.pi * across), np.sin(np.pi * down))
    colors = np.where(over[..., None], warp[i], weft[j]) * (0.45 + 0.6 * round_[..., None])
    return _shrunk(_paper(_image(colors), rng, 9), side)


def charcoal(side: int) -> Image.Image:
    """Smudges and strokes of charcoal on rough paper."""
    rng, big = np.random.default_rng(16), side * _FINE
    tone = _noise(big, 4, rng, 4)
    colors = _between([(32, 30, 30), (90, 86, 84), (170, 166, 160), (232, 228, 220)], tone)
    angles = 2.2 + 1.6 * (_noise(big, 2, rng) - 0.5)
    image = _strokes(colors, angles, rng, [(700, 160, 28), (1600, 110, 10), (1500, 60, 4)], (226, 222, 214), 26, 2)
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(3)), float)
    grain = np.clip((_noise(big, big // 5, rng, 1) - 0.55) * 5, 0, 1)
    return _shrunk(_image(_mix(0.5 * soft + 0.5 * np.asarray(image, float), (236, 232, 224), 0.45 * grain)), side)


def neon(side: int) -> Image.Image:
    """Glowing curves in the dark."""
    rng, big = np.random.default_rng(17), side * _FINE
    one, two = _noise(big, 3, rng, 3), _noise(big, 4, rng, 2)
    total = np.full((big, big, 3), (10, 8, 26.0))
    for ink, field, count in (((255, 40, 160), one, 7), ((40, 220, 255), two, 6), ((255, 200, 60), (one + two) / 2, 5)):
        away = np.abs((field * count) % 1 - 0.5) * 2
        light = np.exp(-((away * 16) ** 2)) + 0.4 * np.exp(-((away * 4.5) ** 2))
        total += np.array(ink) * light[..., None] + 200 * (np.exp(-((away * 34) ** 2)))[..., None]
    return _shrunk(_image(total), side)


def paper_cut(side: int) -> Image.Image:
    """Layers of coloured paper, each with its shadow on the one below."""
    rng, big = np.random.default_rng(18), side * _FINE
    height = _noise(big, 3, rng, 2)
    papers = [(250, 240, 220), (250, 200, 120), (240, 130, 90), (200, 70, 90), (110, 50, 100), (50, 40, 90), (24, 28, 60)]
    colors = np.full((big, big, 3), papers[0], float)
    for level, paper in enumerate(papers[1:], 1):
        cut = np.clip((height - level / len(papers)) * 220, 0, 1)
        shadow = np.asarray(
            Image.fromarray((255 * np.roll(cut, (10, 10), (0, 1))).astype(np.uint8)).filter(ImageFilter.GaussianBlur(9))
        )
        colors = _mix(colors * (1 - 0.45 * (shadow / 255.0)[..., None]), paper, cut)
    return _shrunk(_paper(_image(colors), rng, 4), side)


DRAWINGS: dict[str, Callable[[int], Image.Image]] = {
    "brush-swirl": swirl,
    "charcoal": charcoal,
    "comic-dots": halftone,
    "contour-map": contours,
    "cut-paper": paper_cut,
    "embers": embers,
    "facets": facets,
    "ink-hatching": hatching,
    "marbling": marbling,
    "mosaic": mosaic,
    "neon": neon,
    "pastel": pastel,
    "pointillism": points,
    "stained-glass": glass,
    "watercolour": washes,
    "wave-scales": waves,
    "weave": weave,
    "woodcut": woodcut,
}
"""By the names of their looks."""
