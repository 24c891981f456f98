"""The contact sheet: a row per pair, a column for the content, the style and each model, with their names above."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from .pictures import Pixels

ROWS = 6
HEIGHT, GAP, FONT_SIZE = 256, 6, 18


def chosen(pairs: int) -> set[int]:
    """Which of so many pairs are shown: at most :data:`ROWS`, spread evenly."""
    rows = min(ROWS, pairs)
    return {i * pairs // rows for i in range(rows)}


def thumbnail(pixels: Pixels) -> Image.Image:
    """At the height of a row."""
    width = max(1, round(pixels.shape[1] * HEIGHT / pixels.shape[0]))
    return Image.fromarray(pixels).resize((width, HEIGHT), Image.Resampling.LANCZOS)


def contact_sheet(titles: Sequence[str], rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Thumbnails below their titles, black on white; columns are as wide as their widest picture or title."""
    font = ImageFont.load_default(FONT_SIZE)
    widths = [
        max(*(picture.width for picture in column), round(font.getlength(title)))
        for title, column in zip(titles, zip(*rows, strict=True), strict=True)
    ]
    lefts = [GAP + sum(widths[:i]) + GAP * i for i in range(len(widths))]
    top = 2 * GAP + FONT_SIZE
    page = Image.new("RGB", (lefts[-1] + widths[-1] + GAP, top + (HEIGHT + GAP) * len(rows)), "white")
    draw = ImageDraw.Draw(page)
    for left, title in zip(lefts, titles, strict=True):
        draw.text((left, GAP), title, "black", font)
    for y, row in enumerate(rows):
        for left, picture in zip(lefts, row, strict=True):
            page.paste(picture, (left, top + y * (HEIGHT + GAP)))
    return page
