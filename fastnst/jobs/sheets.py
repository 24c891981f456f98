"""Sheets: small pictures in rows and columns, with names below them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from fastnst.images import ImageError, open_picture
from fastnst.jobs.plans import Task

_CELL, _GAP, _TEXT = 240, 8, 18
_SMALLEST = 30
_MOST = 20_000_000  # pixels of a sheet

Cell = tuple[Image.Image | None, str]


def sheet(rows: Sequence[Sequence[Cell]]) -> Image.Image:
    """Pictures and their names, in rows of any lengths; a picture that is None stays white."""
    columns, cell = max(map(len, rows)), _CELL
    while cell > _SMALLEST and columns * len(rows) * (cell + _GAP) ** 2 > _MOST:
        cell //= 2
    across, down = cell + _GAP, cell + _GAP + _TEXT
    result = Image.new("RGB", (columns * across + _GAP, len(rows) * down + _GAP), "white")
    draw, font = ImageDraw.Draw(result), ImageFont.load_default(_TEXT - 5)
    for y, row in enumerate(rows):
        for x, (image, name) in enumerate(row):
            left, top = _GAP + x * across, _GAP + y * down
            if image is not None:
                small = ImageOps.contain(image, (cell, cell), Image.Resampling.LANCZOS)
                result.paste(small, (left + (cell - small.width) // 2, top + (cell - small.height) // 2))
            text = "".join(each if each.isprintable() else "?" for each in name)
            while text and draw.textlength(text, font) > cell:
                text = text[:-1]
            draw.text((left, top + cell + 2), text, "black", font)
    return result


def sheet_of_tasks(tasks: Sequence[Task]) -> Image.Image:
    """The results of a run that are there: styles across, contents down."""
    contents = list(dict.fromkeys(task.content for task in tasks))
    styles = list(dict.fromkeys(task.styles for task in tasks))
    made = {(task.content, task.styles): _small(task.output) for task in tasks}
    names = ["+".join(style.stem for style in each) for each in styles]
    top: list[Cell] = [(None, ""), *((_small(each[0]), name) for each, name in zip(styles, names, strict=True) if each)]
    return sheet([top, *([(_small(content), content.name), *((made.get((content, style)), "") for style in styles)]
                         for content in contents)])  # fmt: skip


def _small(path: Path) -> Image.Image | None:
    """A picture file for a sheet; None if it is none, such as a video or a look."""
    try:
        picture = open_picture(path).flattened()
    except ImageError:
        return None
    picture.thumbnail((2 * _CELL, 2 * _CELL), Image.Resampling.LANCZOS)
    return picture
