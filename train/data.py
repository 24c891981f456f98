"""Pictures in memory, and random crops of them that depend only on a seed and a counter."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from fastnst.images import READ_SUFFIXES, ImageError, open_picture

T = TypeVar("T")


def warn(text: str) -> None:
    """Print a line on standard error, above a progress bar, in the leading process only."""
    if os.environ.get("RANK", "0") == "0":
        tqdm.write(f"warning: {text}", file=sys.stderr)


def picture_files(folder: Path) -> list[Path]:
    """The picture files in a folder, without subfolders, sorted by name.

    Raises:
        FileNotFoundError: there are none, or no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; pictures to train on are expected there")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in READ_SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"{folder}: no pictures ({', '.join(sorted(READ_SUFFIXES))})")
    return paths


def opened(path: Path) -> Image.Image:
    """A picture in mode RGB: upright, in sRGB, transparent pixels blended with white.

    Raises:
        ImageError: it cannot be read.
    """
    return open_picture(path).flattened()


def read_all(paths: Sequence[Path], prepare: Callable[[Image.Image], T]) -> list[T]:
    """The results of ``prepare`` for all pictures that can be read. Warnings name the others.

    Raises:
        ImageError: none of them can be read.
    """

    def one(path: Path) -> T | ImageError:
        try:
            return prepare(opened(path))
        except ImageError as error:
            return error
        except ValueError as error:  # the picture cannot be prepared
            return ImageError(f"{path}: {error}")

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(one, paths))
    broken = [each for each in results if isinstance(each, ImageError)]
    if len(broken) == len(paths):
        raise ImageError(f"{broken[0]}; none of the {len(paths)} pictures in {paths[0].parent} can be read")
    for error in broken:
        warn(f"{error}; skipped")
    if broken:
        warn(f"{paths[0].parent}: {len(broken)} of {len(paths)} pictures skipped")
    return [each for each in results if not isinstance(each, ImageError)]


class CropSource:
    """Random crops of all pictures of a folder that can be read, decoded once to 8-bit RGB.

    Args:
        folder: its subfolders are not searched.
        size: side of the square crops in pixels.
        zoom: range of the magnification, drawn log-uniformly; a crop covers ``size / zoom`` pixels of the picture. Magnified
            well above 1, crops are blurred, and a network that is trained on them adds too little fine texture.
        seed: determines, with the counter passed to :meth:`crop`, every random choice.
        held_out: the number of pictures without crops, evenly spread over the sorted names; at most a tenth of all.

    Attributes:
        pictures: the pictures that crops are taken from.
        held_out: the others.

    Raises:
        FileNotFoundError: no picture in ``folder``.
        ImageError: none of them can be read.
    """

    def __init__(self, folder: str | Path, size: int, zoom: tuple[float, float], seed: int = 0, held_out: int = 0) -> None:
        pictures = read_all(picture_files(Path(folder)), lambda picture: picture)
        held_out = min(held_out, len(pictures) // 10)
        apart = {(2 * i + 1) * len(pictures) // (2 * held_out) for i in range(held_out)}
        self.pictures = [picture for i, picture in enumerate(pictures) if i not in apart]
        self.held_out = [pictures[i] for i in sorted(apart)]
        self.size, self.zoom, self.seed = size, zoom, seed

    def crop(self, counter: int) -> Tensor:
        """Random crop number ``counter``, uint8 [3, size, size]: picture, zoom, place and mirroring are random."""
        rng = np.random.default_rng((self.seed, counter))
        picture = self.pictures[int(rng.integers(len(self.pictures)))]
        zoom = float(np.exp(rng.uniform(*np.log(self.zoom))))
        side = min(self.size / zoom, *picture.size)
        left, top = (float(rng.uniform(0, extent - side)) for extent in picture.size)
        crop = picture.resize((self.size, self.size), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
        return as_tensor(crop).flip(2) if rng.integers(2) else as_tensor(crop)

    def batch(self, counters: range) -> Tensor:
        """The crops of several counters, uint8 [N, 3, size, size]."""
        return torch.stack([self.crop(counter) for counter in counters])


def as_tensor(picture: Image.Image) -> Tensor:
    """An RGB picture as uint8 [3, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1)))


def to_float(pixels: Tensor) -> Tensor:
    """uint8 0..255 to float32 0..1, in the channels-last layout, which is fastest for convolutions."""
    return pixels.float().div_(255).to(memory_format=torch.channels_last)
