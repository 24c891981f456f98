"""TIFFs of every layout, with the colours that a viewer should show."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

Array = NDArray[Any]
HEIGHT, WIDTH = 37, 43  # no multiple of a tile, nor of 8

COLORS = {
    "grey": ("minisblack", 1, None),
    "inverted": ("miniswhite", 1, None),
    "rgb": ("rgb", 3, None),
    "cmyk": ("separated", 4, None),
    "grey+alpha": ("minisblack", 1, "unassalpha"),
    "rgb+alpha": ("rgb", 3, "unassalpha"),
    "grey+associated": ("minisblack", 1, "assocalpha"),
    "rgb+associated": ("rgb", 3, "assocalpha"),
    "rgb+extra": ("rgb", 3, "unspecified"),
    "cmyk+alpha": ("separated", 4, "unassalpha"),
}
PACKED = (None, "zlib", "lzw", "packbits")


@dataclass(frozen=True)
class Kind:
    """How a file is laid out; ``depth`` is a dtype's name."""

    colors: str
    depth: str
    planar: bool
    tiled: bool
    order: str
    big: bool
    packed: str | None
    predictor: bool = False

    @property
    def name(self) -> str:
        words = [self.colors, self.depth, "planar" if self.planar else "together", "tiles" if self.tiled else "strips"]
        words += [{"<": "II", ">": "MM"}[self.order], "big" if self.big else "classic", self.packed or "raw"]
        return " ".join([*words, *(["predictor"] if self.predictor else [])])


def smooth(channels: int) -> Array:
    """Values in 0..1, [HEIGHT, WIDTH, channels], each channel another slope."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = [
        (x * (c + 1) + y * (channels - c)) / ((WIDTH - 1) * (c + 1) + (HEIGHT - 1) * (channels - c)) for c in range(channels)
    ]
    return np.stack(planes, axis=-1)


def stored(values: Array, depth: str) -> Array:
    dtype = np.dtype(depth)
    return values.astype(dtype) if dtype.kind == "f" else np.rint(values * np.iinfo(dtype).max).astype(dtype)


def plain_kinds() -> Iterator[Kind]:
    """Of 8 and 16 bits; every second one is a BigTIFF, and so that all pairs of other properties meet both."""
    for number, (colors, depth, planar, tiled, order, packed) in enumerate(
        itertools.product(COLORS, ("uint8", "uint16"), (False, True), (False, True), "<>", PACKED)
    ):
        if not (planar and colors in ("grey", "inverted")):
            yield Kind(colors, depth, planar, tiled, order, number.bit_count() % 2 == 1, packed)


def other_kinds() -> Iterator[Kind]:
    """Floats, and predictors of all that have them."""
    for colors, depth, planar, tiled, order, packed in itertools.product(
        ("rgb", "grey+alpha"),
        ("float16", "float32", "float64", "uint8", "uint16"),
        (False, True),
        (False, True),
        "<>",
        PACKED[:3],
    ):
        if packed or depth.startswith("float"):
            yield Kind(colors, depth, planar, tiled, order, False, packed, predictor=packed is not None)


def write(path: Path, kind: Kind) -> tuple[Array, Array | None]:
    """Write a file of ``kind``; the RGB and the transparency that a viewer should show, in 0..255 as floats."""
    photometric, count, extra = COLORS[kind.colors]
    color = smooth(count)
    alpha = None if extra is None else 0.25 + 0.75 * smooth(2)[..., 1:]
    numbers = color
    if extra == "assocalpha":
        numbers = color * alpha
    elif kind.colors == "inverted":
        numbers = 1 - color
    samples = stored(numbers if alpha is None else np.concatenate([numbers, alpha], axis=2), kind.depth)
    data = np.moveaxis(samples, 2, 0) if kind.planar else samples
    options: dict[str, Any] = {"tile": (16, 32)} if kind.tiled else {"rowsperstrip": 11}
    if kind.planar:
        options["planarconfig"] = "separate"
    elif samples.shape[2] == 1:
        data = samples[..., 0]
    elif count == 1:
        options["planarconfig"] = "contig"
    tifffile.imwrite(
        path,
        data,
        photometric=photometric,
        extrasamples=None if extra is None else [extra],
        byteorder=kind.order,
        bigtiff=kind.big,
        compression=kind.packed,
        predictor=kind.predictor,
        metadata=None,
        **options,
    )
    shown = (
        (1 - color[..., :3]) * (1 - color[..., 3:])
        if photometric == "separated"
        else np.broadcast_to(color, (HEIGHT, WIDTH, 3))
    )
    return shown * 255, None if alpha is None or extra == "unspecified" else alpha[..., 0] * 255
