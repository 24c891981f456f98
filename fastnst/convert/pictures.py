"""The pictures that ranges and roundings are fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from fastnst.images import READ_SUFFIXES, open_picture

PICTURES = 32
"""Content and style pictures used at most, of each. Of every one a map or two are held: :mod:`fastnst.convert.maps`."""
SHORT_SIDE = 256
LONGEST = 512
STRIDE = 8
"""What an AdaIN encoder divides sides by."""


def evenly(items: Sequence[Path], count: int) -> list[Path]:
    """At most ``count`` of ``items``, evenly spaced."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def read_picture(path: Path, stride: int = STRIDE) -> Tensor:
    """A picture as uint8 [1, 3, H, W]: short side 256, cropped around the middle to whole strides."""
    rgb = open_picture(path).flattened()
    factor = SHORT_SIDE / min(rgb.size)
    width, height = (min(round(side * factor), LONGEST) // stride * stride for side in rgb.size)
    fitted = ImageOps.fit(rgb, (width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(fitted)).permute(2, 0, 1)[None]


def find_pictures(folder: Path) -> list[Path]:
    """The picture files of ``folder``, sorted by name.

    Raises:
        ValueError: there are none.
    """
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in READ_SUFFIXES and path.is_file())
    if not found:
        raise ValueError(f"{folder}: no pictures here to calibrate with")
    return found


def calibration_pairs(folder: Path, stride: int = STRIDE) -> tuple[list[Tensor], list[Tensor]]:
    """As many content as style pictures from ``folder/content`` and ``folder/style``, or all from ``folder`` itself.

    Raises:
        NotADirectoryError, FileNotFoundError: no such folder.
        ValueError: no pictures.
        ImageError: one that cannot be read.
    """
    if (folder / "content").is_dir() and (folder / "style").is_dir():
        contents, styles = (evenly(find_pictures(folder / kind), PICTURES) for kind in ("content", "style"))
    else:
        contents = evenly(find_pictures(folder), PICTURES)
        styles = contents[len(contents) // 2 :] + contents[: len(contents) // 2]
    count = max(len(contents), len(styles))
    content, style = ([read_picture(paths[i % len(paths)], stride) for i in range(count)] for paths in (contents, styles))
    return content, style
