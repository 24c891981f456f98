"""Further drawings, see :mod:`drawings`: of things that are made rather than painted."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from drawings import pens

FINE = 2  # drawn so many times as large, and shrunk: that smooths edges


def blueprint(side: int) -> Image.Image:
    """White plans on blue paper: a grid, circles, walls and dashed axes."""
    rng, big = np.random.default_rng(31), side * FINE
    shade = pens.noise(big, 4, rng)
    image = pens.rendered(pens.between([(18, 50, 110), (28, 72, 145)], shade))
    draw = ImageDraw.Draw(image)
    step = big // 32
    for at in range(0, big, step):
        color, width = ((88, 128, 190), 3) if at // step % 4 == 0 else ((48, 90, 160), 2)
        draw.line([(at, 0), (at, big)], color, width)
        draw.line([(0, at), (big, at)], color, width)
    pale = (226, 236, 250)
    for _ in range(34):
        x, y = (int(each) * step for each in rng.integers(0, 32, 2))
        w, h = (int(each) * step for each in rng.integers(2, 9, 2))
        kind = rng.integers(4)
        if kind == 0:
            for r in (h, h - step // 2):
                draw.ellipse((x - r, y - r, x + r, y + r), outline=pale, width=5)
            draw.line([(x - h - step, y), (x + h + step, y)], pale, 3)
            draw.line([(x, y - h - step), (x, y + h + step)], pale, 3)
        elif kind == 1:
            draw.rectangle((x, y, x + w, y + h), outline=pale, width=6)
            draw.rectangle((x + 14, y + 14, x + w - 14, y + h - 14), outline=pale, width=3)
        elif kind == 2:
            for part in range(0, w * 2, 36):
                draw.line([(x + part, y), (x + part + 22, y)], pale, 4)
        else:
            draw.arc((x - w, y - w, x + w, y + w), int(rng.integers(0, 360)), int(rng.integers(60, 400)), pale, 5)
    return pens.shrunk(pens.paper(image, rng, 5), side)


def batik(side: int) -> Image.Image:
    """Dyed cloth: rings and leaves in wax, crackled, on indigo and brown."""
    rng, big = np.random.default_rng(32), side * FINE
    y, x = pens.grid(big)
    tone = pens.noise(big, 3, rng)
    cloth = pens.between([(28, 30, 78), (46, 52, 120), (120, 70, 40), (150, 92, 48)], tone)
    wax = np.zeros((big, big))
    for px, py in rng.random((26, 2)):
        away, turn = np.hypot(x - px, y - py), np.arctan2(y - py, x - px)
        size = rng.uniform(0.05, 0.12)
        petals = size * (0.7 + 0.3 * np.cos(turn * int(rng.integers(5, 9)) + rng.uniform(0, 6)))
        wax = np.maximum(wax, np.clip((petals - away) * 240, 0, 1) * pens.lines(away / size, 3, 0.55))
    wax = np.maximum(wax, pens.lines(x + 0.06 * np.sin(9 * y), 9, 0.05))
    _, border = pens.cells(big, 900, rng, 0.15)
    cracks = np.clip(1 - border / 3.5, 0, 1) * (pens.noise(big, 4, rng) > 0.45)
    colors = pens.mix(cloth, (240, 224, 188), wax * (1 - 0.8 * cracks))
    return pens.shrunk(pens.paper(pens.rendered(colors), rng, 7), side)


def terrazzo(side: int) -> Image.Image:
    """Chips of marble of many colours in a light ground."""
    rng, big = np.random.default_rng(33), side * FINE
    chips = np.array(
        [(226, 130, 110), (60, 92, 110), (240, 190, 90), (120, 160, 140), (90, 60, 66), (250, 246, 240), (180, 90, 70)]
    )
    image = Image.new("RGB", (big, big), (236, 228, 216))
    draw = ImageDraw.Draw(image)
    for size, count in ((30, 900), (70, 260), (110, 110)):
        for px, py in rng.random((count, 2)) * big:
            corners = int(rng.integers(4, 8))
            turns = np.sort(rng.random(corners)) * 2 * np.pi
            radii = size * rng.uniform(0.5, 1, corners)
            color = chips[rng.integers(len(chips))] + rng.normal(0, 9, 3)
            points = [(px + r * np.cos(t), py + r * np.sin(t)) for r, t in zip(radii, turns, strict=True)]
            draw.polygon(points, tuple(int(each) for each in np.clip(color, 0, 255)))
    veins = 10 * (pens.noise(big, 12, rng, 3)[..., None] - 0.5)
    return pens.shrunk(pens.paper(pens.rendered(np.asarray(image, float) + veins), rng, 5), side)


def scratchboard(side: int) -> Image.Image:
    """Colours that shine through where black was scratched away."""
    rng, big = np.random.default_rng(34), side * FINE
    y, x = pens.grid(big)
    hue = (0.7 * x + 0.5 * y + 0.5 * pens.noise(big, 3, rng)) % 1
    rainbow = [(250, 60, 90), (255, 170, 40), (250, 240, 90), (70, 210, 120), (40, 160, 240), (170, 80, 230), (250, 60, 90)]
    colors = pens.between(rainbow, hue)
    angles = 6 * pens.noise(big, 3, rng, 2)
    scratched = Image.new("L", (big, big))
    draw = ImageDraw.Draw(scratched)
    tone = pens.noise(big, 4, rng)
    for px, py in rng.random((5200, 2)) * (big - 1):
        if rng.random() > tone[int(py), int(px)] ** 2 * 1.6:
            continue
        points, length = [(px, py)], rng.uniform(30, 120)
        for _ in range(5):
            at = (min(max(int(points[-1][1]), 0), big - 1), min(max(int(points[-1][0]), 0), big - 1))
            points.append((points[-1][0] + length / 5 * np.cos(angles[at]), points[-1][1] + length / 5 * np.sin(angles[at])))
        draw.line(points, 255, int(rng.integers(3, 7)))
    bare = np.asarray(scratched, float) / 255
    return pens.shrunk(pens.rendered(pens.mix(np.full((big, big, 3), (14, 13, 16.0)), colors, bare)), side)


def ink_wash(side: int) -> Image.Image:
    """Grey washes of ink on rice paper, mountains one behind the other, and a few strokes."""
    rng, big = np.random.default_rng(35), side * FINE
    y, x = pens.grid(big)
    colors = np.full((big, big, 3), (241, 236, 224.0))
    for layer in range(7):
        ridge = 0.12 + 0.125 * layer + 0.16 * (pens.noise(big, 3 + layer, rng, 4)[big // 2][None, :] - 0.5)
        depth = y - ridge
        inside = np.clip(depth * 60, 0, 1) * np.exp(-np.clip(depth, 0, 1) * 7)
        cover = inside * (0.25 + 0.09 * layer) * (0.6 + 0.8 * pens.noise(big, 6, rng, 4))
        colors = pens.mix(colors, (34, 36, 42), np.clip(cover, 0, 1))
    image = pens.rendered(colors)
    draw = ImageDraw.Draw(image)
    for px, py in rng.random((26, 2)) * big:
        points = [(px, py)]
        for _ in range(7):
            points.append((points[-1][0] + rng.normal(10, 22), points[-1][1] - rng.uniform(12, 44)))
        for (ax, ay), (bx, by), width in zip(points, points[1:], range(18, 3, -2), strict=False):
            draw.line([(ax, ay), (bx, by)], (26, 26, 30), width)
    del x
    return pens.shrunk(pens.paper(image, rng, 9), side)


def impasto(side: int) -> Image.Image:
    """Thick oil laid on with a knife, in the colours of autumn, with light on its ridges."""
    rng, big = np.random.default_rng(36), side * FINE
    tone = pens.noise(big, 4, rng)
    colors = pens.between([(70, 30, 24), (150, 50, 30), (222, 110, 34), (240, 180, 60), (120, 130, 60), (60, 92, 100)], tone)
    angles = 3.2 * pens.noise(big, 3, rng, 2)
    image = pens.strokes(colors, angles, rng, [(700, 110, 64), (1500, 80, 40), (900, 60, 26)], (110, 60, 36), 26, 5)
    height = np.asarray(image.convert("L"), float) + 40 * pens.noise(big, 60, rng, 2)
    light = np.clip((height - np.roll(height, (3, 3), (0, 1))) * 0.9, -46, 46)
    return pens.shrunk(pens.rendered(np.asarray(image, float) + light[..., None]), side)
