"""Pictures held in memory, and random crops of them that depend on nothing but a seed and a counter."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SUFFIXES = frozenset({".webp", ".jpg", ".jpeg", ".png"})


class CropSource:
    """All pictures of a folder, decoded once to RGB, 8 bits.

    Args:
        folder: searched one level deep.
        size: side of the square crops in pixels.
        zoom: range of the magnification; a crop covers ``size / zoom`` pixels of the picture. Drawn log-uniformly. Well
            above 1 crops are blurred, and a network trained on them lays too little fine texture.
        seed: with the counter passed to :meth:`crop`, decides every draw.
        held_out: pictures that no crop is taken of, evenly spread over the sorted names; at most a tenth of all.

    Attributes:
        pictures: those that crops are taken of.
        held_out: the others.

    Raises:
        FileNotFoundError: no picture in ``folder``.
    """

    def __init__(self, folder: str | Path, size: int, zoom: tuple[float, float], seed: int = 0, held_out: int = 0) -> None:
        paths = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in SUFFIXES)
        if not paths:
            raise FileNotFoundError(f"{folder}: no pictures ({', '.join(sorted(SUFFIXES))})")
        with ThreadPoolExecutor() as pool:
            pictures = list(pool.map(lambda path: Image.open(path).convert("RGB"), paths))
        held_out = min(held_out, len(pictures) // 10)
        apart = {(2 * i + 1) * len(pictures) // (2 * held_out) for i in range(held_out)}
        self.pictures = [picture for i, picture in enumerate(pictures) if i not in apart]
        self.held_out = [pictures[i] for i in sorted(apart)]
        self.size, self.zoom, self.seed = size, zoom, seed

    def crop(self, counter: int) -> Tensor:
        """The ``counter``-th random crop: picture, zoom, place and mirroring. uint8 [3, size, size]."""
        rng = np.random.default_rng((self.seed, counter))
        picture = self.pictures[int(rng.integers(len(self.pictures)))]
        zoom = float(np.exp(rng.uniform(*np.log(self.zoom))))
        side = min(self.size / zoom, *picture.size)
        left, top = (float(rng.uniform(0, extent - side)) for extent in picture.size)
        crop = picture.resize((self.size, self.size), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
        return as_tensor(crop).flip(2) if rng.integers(2) else as_tensor(crop)

    def batch(self, counters: range) -> Tensor:
        """Several crops, uint8 [N, 3, size, size]."""
        return torch.stack([self.crop(counter) for counter in counters])


def as_tensor(picture: Image.Image) -> Tensor:
    """An RGB picture as uint8 [3, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1)))


def to_float(pixels: Tensor) -> Tensor:
    """uint8 0..255 to float32 0..1, in the channels-last layout the convolutions like."""
    return pixels.float().div_(255).to(memory_format=torch.channels_last)
