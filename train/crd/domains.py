"""Pictures of a domain, or pairs of pictures, for translation between two domains: random crops, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..data import read_all

MARGIN = 286 / 256
"""The side to which pictures are resized, relative to that of the crop, as in CycleGAN and pix2pix."""


def resized(paths: Sequence[Path], side: int, paired: bool) -> Tensor:
    """Whole pictures, resized bicubically to squares: uint8 [N, 3, side, side]; pairs [N, 6, side, side], left half first.
    Pictures that cannot be read are left out with a warning."""

    def prepared(picture: Image.Image) -> Tensor:
        width, height = picture.size
        if paired and width < 2:
            raise ValueError("too narrow for two pictures side by side")
        halves = [(0, 0, width // 2, height), (width // 2, 0, width, height)] if paired else [(0, 0, width, height)]
        parts = [np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC, box)) for box in halves]
        return torch.from_numpy(np.concatenate(parts, 2).transpose(2, 0, 1).copy())

    return torch.stack(read_all(paths, prepared))


def signed(pixels: Tensor) -> Tensor:
    """uint8 0..255 to float32 -1..1."""
    return pixels.float().div_(127.5).sub_(1)


class Domain:
    """Pictures in memory, and an endless sequence of random crops of them.

    Every picture comes once in an epoch, in a random order; the crop and its mirroring depend only on the seed and the
    counter.

    Args:
        paths: the files.
        size: side of the crops in pixels.
        seed: determines, with the counter, every random choice.
        paired: whether a file holds two pictures side by side, which are cropped alike.
    """

    def __init__(self, paths: Sequence[Path], size: int, seed: int, paired: bool = False) -> None:
        self.size, self.seed = size, seed
        self.pictures = resized(paths, round(size * MARGIN), paired)
        self._epoch, self._order = -1, np.arange(len(self.pictures))

    def __len__(self) -> int:
        return len(self.pictures)

    def crop(self, counter: int) -> Tensor:
        """Crop number ``counter``, uint8 [C, size, size]."""
        epoch, place = divmod(counter, len(self))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng((self.seed, 0, epoch)).permutation(len(self))
        rng = np.random.default_rng((self.seed, 1, counter))
        picture = self.pictures[int(self._order[place])]
        top, left = (int(rng.integers(picture.shape[1] - self.size + 1)) for _ in range(2))
        crop = picture[:, top : top + self.size, left : left + self.size]
        return crop.flip(2) if rng.integers(2) else crop

    def batch(self, counters: range) -> Tensor:
        """The crops of several counters, uint8 [N, C, size, size]."""
        return torch.stack([self.crop(counter) for counter in counters])
