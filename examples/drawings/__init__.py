"""Style pictures that fastnst draws itself; the looks in the package are made from them.

``DRAWINGS`` has them by name. Each function takes a side in pixels and returns an RGB image, always the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from drawings import pens
from drawings.made import batik, blueprint, impasto, ink_wash, scratchboard, terrazzo

FINE = 2  # pictures are drawn at this multiple of their size and shrunk, which smooths edges


def swirl(side: int) -> Image.Image:
    """Thick oil strokes that turn around lights in a night sky."""
    rng, big = np.random.default_rng(1), side * FINE
    y, x = pens.grid(big)
    angles = np.full((big, big), 0.3) + 1.2 * (pens.noise(big, 3, rng) - 0.5)
    tone = 0.15 + 0.5 * pens.noise(big, 5, rng)
    for px, py, size in ((0.25, 0.25, 0.16), (0.72, 0.2, 0.12), (0.5, 0.6, 0.2), (0.85, 0.7, 0.14), (0.12, 0.8, 0.12)):
        away = np.hypot(x - px, y - py) / size
        pull = np.exp(-(away**2))
        angles = angles * (1 - pull) + (np.arctan2(y - py, x - px) + np.pi / 2) * pull
        tone = tone + 0.75 * np.exp(-((away * 1.6) ** 2))
    colors = pens.between([(10, 18, 60), (22, 60, 140), (60, 120, 190), (150, 190, 190), (240, 205, 90), (255, 240, 180)], tone)
    return pens.shrunk(pens.strokes(colors, angles, rng, [(900, 100, 34), (2200, 70, 20), (1800, 44, 12)], (12, 25, 70)), side)


def pointillism(side: int) -> Image.Image:
    """Dots of pure colours side by side."""
    rng, big = np.random.default_rng(2), side * FINE
    hue = pens.noise(big, 3, rng)
    colors = pens.between([(40, 80, 140), (70, 150, 120), (210, 190, 80), (235, 140, 60), (200, 70, 90), (120, 60, 140)], hue)
    image = Image.new("RGB", (big, big), (245, 238, 220))
    draw = ImageDraw.Draw(image)
    pure = np.array([(230, 60, 50), (250, 200, 40), (40, 90, 180), (60, 160, 90), (250, 240, 220), (140, 60, 150)])
    for x, y in rng.random((14_000, 2)) * big:
        color = colors[int(y), int(x)]
        if rng.random() < 0.35:
            color = 0.35 * color + 0.65 * pure[rng.integers(len(pure))]
        color, r = color + rng.normal(0, 14, 3), rng.uniform(5, 9)
        draw.ellipse((x - r, y - r, x + r, y + r), tuple(int(each) for each in np.clip(color, 0, 255)))
    return pens.shrunk(image, side)


def woodcut(side: int) -> Image.Image:
    """Black lines cut into wood, thicker in the shadows."""
    rng, big = np.random.default_rng(3), side * FINE
    y, x = pens.grid(big)
    warp, tone = pens.noise(big, 3, rng), pens.noise(big, 4, rng)
    ink = pens.lines(y + 0.28 * warp + 0.08 * np.sin(7 * x), 34, 0.15 + 0.75 * tone)
    ink = np.maximum(ink, np.clip((tone - 0.86) * 12, 0, 1)) * np.clip((tone + 0.12) * 5, 0, 1)
    return pens.shrunk(pens.rendered(pens.mix(np.full((big, big, 3), (238, 226, 200.0)), (24, 20, 18), ink)), side)


def mosaic(side: int) -> Image.Image:
    """Small stones with light joints, in bands of colour."""
    rng, big = np.random.default_rng(4), side * FINE
    cells, border = pens.cells(big, 1600, rng, 0.72)
    tone = pens.noise(big, 3, rng, 2)
    palette = pens.between([(28, 60, 90), (40, 120, 130), (220, 190, 110), (190, 90, 50), (110, 40, 40), (235, 225, 200)], tone)
    count = cells.max() + 1
    area = np.maximum(np.bincount(cells.ravel(), minlength=count), 1)
    means = np.stack([np.bincount(cells.ravel(), palette[..., c].ravel(), count) / area for c in range(3)], axis=-1)
    stones = (means + rng.normal(0, 16, (count, 1)) + rng.normal(0, 7, (count, 3)))[cells]
    shade = np.clip(border / 10, 0, 1)
    return pens.shrunk(
        pens.paper(pens.rendered(pens.mix(np.full((big, big, 3), (206, 200, 186.0)), stones, shade)), rng, 5), side
    )


def washes(side: int) -> Image.Image:
    """Watercolour: thin layers with dark edges on white paper."""
    rng, big = np.random.default_rng(5), side * FINE
    colors = np.full((big, big, 3), (250, 247, 240.0))
    inks = [(70, 150, 205), (240, 150, 140), (250, 205, 110), (130, 195, 150), (160, 140, 210), (90, 130, 190), (250, 170, 150)]
    for layer in range(14):
        shape = pens.noise(big, int(rng.integers(2, 5)), rng, 4)
        level = rng.uniform(0.5, 0.85)
        inside = np.clip((shape - level) * 40, 0, 1)
        edge = np.exp(-(((shape - level) * 55) ** 2)) * inside
        cover = inside * (0.18 + 0.45 * pens.noise(big, 5, rng, 4)) + 0.45 * edge
        ink = np.array(inks[layer % len(inks)], float)
        colors *= 1 - np.clip(cover, 0, 1)[..., None] * (1 - ink / 255)
    return pens.shrunk(pens.paper(pens.rendered(colors), rng, 7), side)


def glass(side: int) -> Image.Image:
    """Stained glass: clear colours between leads."""
    rng, big = np.random.default_rng(6), side * FINE
    cells, border = pens.cells(big, 170, rng, 0.35)
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
    glow = 0.72 + 0.5 * pens.noise(big, 5, rng, 4)
    panes = choice[rng.integers(len(choice), size=cells.max() + 1)][cells] * glow[..., None]
    return pens.shrunk(pens.rendered(pens.mix(panes, (14, 14, 18), 1 - np.clip((border - 9) / 4, 0, 1))), side)


def hatching(side: int) -> Image.Image:
    """Ink lines in four directions, one over the other where it is dark."""
    rng, big = np.random.default_rng(7), side * FINE
    y, x = pens.grid(big)
    tone, shake = pens.noise(big, 4, rng), 0.015 * pens.noise(big, 14, rng)
    paper = np.full((big, big, 3), (244, 240, 228.0))
    for level, angle in ((0.25, 0.8), (0.45, -0.75), (0.62, 0.05), (0.78, 1.5)):
        along = x * np.cos(angle) + y * np.sin(angle) + shake
        ink = pens.lines(along, 70, 0.34) * np.clip((tone - level) * 10, 0, 1)
        paper = pens.mix(paper, (36, 34, 48), 0.9 * ink)
    return pens.shrunk(pens.rendered(paper), side)


def halftone(side: int) -> Image.Image:
    """Four screens of dots, as cheap comics are printed."""
    rng, big = np.random.default_rng(8), side * FINE
    y, x = pens.grid(big)
    colors = np.full((big, big, 3), (250, 244, 228.0))
    for ink, angle in (((250, 220, 0), 0.0), ((220, 20, 110), 1.31), ((0, 150, 210), 0.26), ((20, 20, 24), 0.785)):
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        dots = (np.cos(2 * np.pi * 46 * u) + np.cos(2 * np.pi * 46 * v)) / 4 + 0.5
        amount = pens.noise(big, 3, rng, 2) * (0.45 if ink == (20, 20, 24) else 0.9)
        cover = np.clip((amount - dots) * 12, 0, 1)
        colors *= 1 - cover[..., None] * (1 - np.array(ink) / 255)
    return pens.shrunk(pens.rendered(colors), side)


def marbling(side: int) -> Image.Image:
    """Colours floated on water and drawn out with a comb."""
    rng, big = np.random.default_rng(9), side * FINE
    y, x = pens.grid(big)
    one, two = pens.noise(big, 3, rng, 4), pens.noise(big, 4, rng, 4)
    bands = (x + 0.55 * one + 0.06 * np.sin(26 * y + 9 * two)) * 7 + 2.2 * two
    palette = [(22, 34, 64), (190, 60, 50), (238, 222, 190), (40, 110, 130), (226, 160, 70), (240, 236, 220), (22, 34, 64)]
    colors = pens.between(palette, (bands % len(palette)) / len(palette))
    veins = pens.lines(bands / 7, 7 * 3, 0.2)
    return pens.shrunk(pens.rendered(pens.mix(colors, (250, 240, 210), 0.6 * veins)), side)


def embers(side: int) -> Image.Image:
    """Short strokes of fire on a dark ground."""
    rng, big = np.random.default_rng(10), side * FINE
    tone = np.clip(1.3 * pens.noise(big, 4, rng) - 0.15, 0, 1) ** 1.4
    colors = pens.between([(20, 8, 12), (80, 14, 20), (190, 40, 20), (245, 120, 30), (255, 200, 80), (255, 245, 200)], tone)
    angles = -np.pi / 2 + 1.8 * (pens.noise(big, 5, rng) - 0.5)
    return pens.shrunk(
        pens.strokes(colors, angles, rng, [(900, 110, 26), (2600, 80, 13), (2000, 50, 7)], (18, 8, 10), 18, 2), side
    )


def waves(side: int) -> Image.Image:
    """Scales of waves, printed in three blues."""
    rng, big = np.random.default_rng(11), side * FINE
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
    foam = np.clip((pens.noise(big, 7, rng, 4) - 0.82) * 14, 0, 1)
    return pens.shrunk(pens.paper(pens.rendered(pens.mix(np.asarray(image, float), (246, 240, 224), foam)), rng, 5), side)


def facets(side: int) -> Image.Image:
    """Flat triangles, lit from one side."""
    rng, big = np.random.default_rng(12), side * FINE
    image = Image.new("RGB", (big, big))
    draw, count = ImageDraw.Draw(image), 13
    nodes = np.stack(np.meshgrid(*[np.arange(-1, count + 2)] * 2), axis=-1) + rng.uniform(
        -0.38, 0.38, (count + 3, count + 3, 2)
    )
    nodes = nodes * big / count
    tone = pens.noise(big, 3, rng, 2)
    colors = pens.between(
        [(30, 40, 80), (70, 60, 130), (190, 80, 120), (245, 150, 100), (250, 220, 160), (120, 190, 180)], tone
    )
    for i in range(count + 2):
        for j in range(count + 2):
            a, b, c, d = nodes[i, j], nodes[i, j + 1], nodes[i + 1, j], nodes[i + 1, j + 1]
            for corners in ((a, b, c), (b, c, d)) if rng.random() < 0.5 else ((a, b, d), (a, c, d)):
                x, y = np.clip(np.mean(corners, axis=0), 0, big - 1).astype(int)
                color = colors[y, x] * rng.uniform(0.75, 1.2)
                draw.polygon([tuple(corner) for corner in corners], tuple(int(each) for each in np.clip(color, 0, 255)))
    return pens.shrunk(image, side)


def pastel(side: int) -> Image.Image:
    """Soft chalk on tinted paper."""
    rng, big = np.random.default_rng(13), side * FINE
    colors = pens.between(
        [(150, 180, 210), (200, 210, 200), (245, 215, 190), (240, 180, 180), (200, 170, 210)], pens.noise(big, 3, rng)
    )
    angles = 0.9 + 0.5 * (pens.noise(big, 3, rng) - 0.5)
    image = pens.strokes(colors, angles, rng, [(1000, 130, 40), (2400, 90, 22)], (196, 188, 176), 14, 4)
    chalk = np.asarray(image.filter(ImageFilter.GaussianBlur(2)), float)
    holes = np.clip((pens.noise(big, big // 8, rng, 2) - 0.62) * 6, 0, 1)
    return pens.shrunk(pens.rendered(pens.mix(chalk, (150, 140, 130), 0.5 * holes)), side)


def contours(side: int) -> Image.Image:
    """Lines of equal height of a map, on tints of land and water."""
    rng, big = np.random.default_rng(14), side * FINE
    height = pens.noise(big, 4, rng, 4)
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
    colors = pens.mix(pens.between(tints, steps), (70, 50, 40), 0.75 * pens.lines(height, 14, 0.1))
    return pens.shrunk(pens.paper(pens.rendered(colors), rng, 4), side)


def weave(side: int) -> Image.Image:
    """Threads over and under one another."""
    rng, big = np.random.default_rng(15), side * FINE
    y, x = pens.grid(big)
    threads = 52
    warp, weft = (pens.between([(120, 30, 40), (220, 180, 120), (40, 60, 90), (200, 90, 60), (235, 225, 205)], field)
                  for field in (rng.random(threads), rng.random(threads)))  # fmt: skip
    bent = 0.004 * (pens.noise(big, 5, rng) - 0.5)
    i, j = (((each + bent) * threads).astype(int) % threads for each in (x, y))
    over = (i + 2 * (j // 2)) % 4 < 2
    across, down = ((each * threads) % 1 for each in (x + bent, y + bent))
    round_ = np.where(over, np.sin(np.pi * across), np.sin(np.pi * down))
    colors = np.where(over[..., None], warp[i], weft[j]) * (0.45 + 0.6 * round_[..., None])
    return pens.shrunk(pens.paper(pens.rendered(colors), rng, 9), side)


def charcoal(side: int) -> Image.Image:
    """Smudges and strokes of charcoal on rough paper."""
    rng, big = np.random.default_rng(16), side * FINE
    tone = pens.noise(big, 4, rng, 4)
    colors = pens.between([(32, 30, 30), (90, 86, 84), (170, 166, 160), (232, 228, 220)], tone)
    angles = 2.2 + 1.6 * (pens.noise(big, 2, rng) - 0.5)
    image = pens.strokes(colors, angles, rng, [(700, 160, 28), (1600, 110, 10), (1500, 60, 4)], (226, 222, 214), 26, 2)
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(3)), float)
    grain = np.clip((pens.noise(big, big // 5, rng, 1) - 0.55) * 5, 0, 1)
    return pens.shrunk(
        pens.rendered(pens.mix(0.5 * soft + 0.5 * np.asarray(image, float), (236, 232, 224), 0.45 * grain)), side
    )


def neon(side: int) -> Image.Image:
    """Glowing curves in the dark."""
    rng, big = np.random.default_rng(17), side * FINE
    one, two = pens.noise(big, 3, rng, 3), pens.noise(big, 4, rng, 2)
    total = np.full((big, big, 3), (10, 8, 26.0))
    for ink, field, count in (((255, 40, 160), one, 7), ((40, 220, 255), two, 6), ((255, 200, 60), (one + two) / 2, 5)):
        away = np.abs((field * count) % 1 - 0.5) * 2
        light = np.exp(-((away * 16) ** 2)) + 0.4 * np.exp(-((away * 4.5) ** 2))
        total += np.array(ink) * light[..., None] + 200 * (np.exp(-((away * 34) ** 2)))[..., None]
    return pens.shrunk(pens.rendered(total), side)


def paper_cut(side: int) -> Image.Image:
    """Layers of coloured paper, each with its shadow on the one below."""
    rng, big = np.random.default_rng(18), side * FINE
    height = pens.noise(big, 3, rng, 2)
    papers = [(250, 240, 220), (250, 200, 120), (240, 130, 90), (200, 70, 90), (110, 50, 100), (50, 40, 90), (24, 28, 60)]
    colors = np.full((big, big, 3), papers[0], float)
    for level, paper in enumerate(papers[1:], 1):
        cut = np.clip((height - level / len(papers)) * 220, 0, 1)
        shadow = np.asarray(
            Image.fromarray((255 * np.roll(cut, (10, 10), (0, 1))).astype(np.uint8)).filter(ImageFilter.GaussianBlur(9))
        )
        colors = pens.mix(colors * (1 - 0.45 * (shadow / 255.0)[..., None]), paper, cut)
    return pens.shrunk(pens.paper(pens.rendered(colors), rng, 4), side)


DRAWINGS: dict[str, Callable[[int], Image.Image]] = {
    "batik": batik,
    "blueprint": blueprint,
    "brush-swirl": swirl,
    "charcoal": charcoal,
    "comic-dots": halftone,
    "contour-map": contours,
    "cut-paper": paper_cut,
    "embers": embers,
    "facets": facets,
    "impasto": impasto,
    "ink-hatching": hatching,
    "ink-wash": ink_wash,
    "marbling": marbling,
    "mosaic": mosaic,
    "neon": neon,
    "pastel": pastel,
    "pointillism": pointillism,
    "scratchboard": scratchboard,
    "stained-glass": glass,
    "terrazzo": terrazzo,
    "watercolour": washes,
    "wave-scales": waves,
    "weave": weave,
    "woodcut": woodcut,
}
"""The drawings by the names of their looks."""
