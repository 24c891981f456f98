"""Stylize photographs that come with scikit-image and scikit-learn in the styles of three drawn paintings.

``python examples/demo.py FOLDER`` writes every picture and ``sheet.jpg`` with all of them side by side.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image
from sklearn.datasets import load_sample_images

import fastnst
from paintings import PAINTINGS

CELL, GAP = 320, 8


def photographs() -> dict[str, np.ndarray]:
    """Name to uint8 [H, W, 3]."""
    temple, dahlia = load_sample_images().images
    return {
        "temple": temple,
        "cat": skimage.data.chelsea(),
        "astronaut": skimage.data.astronaut(),
        "dahlia": dahlia,
    }


def cell(pixels: np.ndarray) -> Image.Image:
    """The middle of a picture as a square of the sheet."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return Image.fromarray(pixels[top : top + side, left : left + side]).resize((CELL, CELL), Image.Resampling.LANCZOS)


def sheet(rows: list[list[np.ndarray | None]]) -> Image.Image:
    """Rows of pictures on white; None leaves a place empty."""
    step = CELL + GAP
    page = Image.new("RGB", (step * len(rows[0]) + GAP, step * len(rows) + GAP), "white")
    for y, row in enumerate(rows):
        for x, pixels in enumerate(row):
            if pixels is not None:
                page.paste(cell(pixels), (GAP + x * step, GAP + y * step))
    return page


def main(folder: Path) -> None:
    """Write the pictures and the sheet; say where they are and how long the engine took."""
    folder.mkdir(parents=True, exist_ok=True)
    stylizer = fastnst.Stylizer()
    paintings = {name: paint(512) for name, paint in PAINTINGS.items()}
    looks = {name: stylizer.encode_style(painting) for name, painting in paintings.items()}
    rows: list[list[np.ndarray | None]] = [[None, *paintings.values()]]
    for title, photograph in photographs().items():
        row: list[np.ndarray | None] = [photograph]
        for style, look in looks.items():
            started = time.perf_counter()
            styled = stylizer(photograph, look)
            milliseconds = (time.perf_counter() - started) * 1e3
            path = folder / f"{title}-{style}.png"
            Image.fromarray(styled).save(path)
            print(f"{path}  {styled.shape[1]}x{styled.shape[0]}  {milliseconds:.1f} ms")
            row.append(styled)
        rows.append(row)
    sheet(rows).save(folder / "sheet.jpg", quality=92)
    print(f"side by side: {folder / 'sheet.jpg'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
