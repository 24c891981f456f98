"""Make the pictures of the gallery in the documentation, with the models that ship inside the package.

``python examples/gallery.py FOLDER`` writes the JPEG files. Photographs come with scikit-image and scikit-learn, paintings are
drawn by ``paintings.py``; nothing is downloaded.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

import fastnst
from demo import photographs
from fastnst.stylize import shipped_look
from paintings import PAINTINGS

SIDE, GAP = 216, 6
MODELS = ("adain-16x", "adain-pruned", "adain-nano", "wct-16x")
GENERATOR = Path(__file__).parent / "photo2painting.fnst"

Pixels = NDArray[np.uint8]


def square(pixels: Pixels, side: int = 432) -> Pixels:
    """The middle of a picture as a square of ``side`` pixels."""
    height, width = pixels.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    middle = Image.fromarray(pixels[top : top + short, left : left + short])
    return np.asarray(middle.resize((side, side), Image.Resampling.LANCZOS))


def sheet(rows: list[list[Pixels]]) -> Image.Image:
    """Rows of square pictures on white."""
    step = SIDE + GAP
    page = Image.new("RGB", (step * len(rows[0]) - GAP, step * len(rows) - GAP), "white")
    for y, row in enumerate(rows):
        for x, pixels in enumerate(row):
            page.paste(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS), (x * step, y * step))
    return page


def in_regions(stylizer: fastnst.Stylizer, photo: Pixels, one: Pixels, other: Pixels) -> list[Pixels]:
    """A photograph; two styles alone; both, parted by a mask; the masked part alone; strength that grows from left to right."""
    y, x = np.mgrid[-1:1:432j, -1:1:432j]
    middle = np.clip(400 * (0.75 - np.hypot(x + 0.1, 0.8 * (y + 0.1))), 0, 255).astype(np.uint8)
    across = np.rint(127.5 * (x + 1)).astype(np.uint8)
    return [
        photo,
        stylizer(photo, one),
        stylizer(photo, other),
        stylizer(photo, one, regions=[(middle, other)]),
        stylizer(photo, regions=[(middle, other)]),
        stylizer(photo, one, alpha_map=across),
    ]


def sheets() -> dict[str, Image.Image]:
    """Name to sheet."""
    photos = {name: square(pixels) for name, pixels in photographs().items()}
    photos["coffee"] = square(skimage.data.coffee())
    swirls, glass, meadow = (paint(512) for paint in PAINTINGS.values())
    stylizers = {name: fastnst.Stylizer(name) for name in MODELS}
    default = stylizers[MODELS[0]]
    pairs = (("astronaut", glass), ("coffee", swirls), ("dahlia", meadow))
    looks = [default.encode_style(style) for style in (swirls, glass)]
    generator = fastnst.Stylizer(GENERATOR)
    names = fastnst.looks(MODELS[0])

    def shipped(photo: Pixels, name: str) -> Pixels:
        return default(photo, fastnst.load_look(shipped_look(name, MODELS[0])))

    return {
        "models": sheet(
            [[photos[name], *(stylize(photos[name], style) for stylize in stylizers.values())] for name, style in pairs]
        ),
        "alpha": sheet([[default(photos["temple"], looks[0], alpha=alpha) for alpha in (0.0, 0.25, 0.5, 0.75, 1.0)]]),
        "mixture": sheet([[default(photos["cat"], looks, weights=(1 - part, part)) for part in (0.0, 0.25, 0.5, 0.75, 1.0)]]),
        "color": sheet(
            [
                [photos[name], default(photos[name], style), default(photos[name], style, preserve_color=True)]
                for name, style in (("dahlia", swirls), ("coffee", glass))
            ]
        ),
        "color-modes": sheet(
            [
                [
                    photos[name],
                    default(photos[name], style),
                    *(default(photos[name], style, preserve_color=mode) for mode in ("luma", "lab", "match", "histogram")),
                ]
                for name, style in (("dahlia", swirls), ("coffee", glass))
            ]
        ),
        "regions": sheet([in_regions(default, photos["astronaut"], glass, meadow)]),
        "looks": sheet([[shipped(photos["cat"], name) for name in names[at : at + 6]] for at in range(0, len(names), 6)]),
        "levels": sheet([[stylizers["wct-16x"](photos["cat"], meadow, levels=range(1, top + 1)) for top in (1, 2, 3, 4, 5)]]),
        "generator": sheet([[photos["temple"], generator(photos["temple"]), photos["coffee"], generator(photos["coffee"])]]),
    }


def main(folder: Path) -> None:
    """Write the sheets."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in sheets().items():
        path = folder / f"{name}.jpg"
        page.save(path, quality=82, optimize=True)
        print(f"{path}  {page.width}x{page.height}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/gallery"))
