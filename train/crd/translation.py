"""The pictures of a translation between two domains: for training, held out, and for the test."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..data import picture_files
from .domains import Domain, resized, signed
from .settings import CrdSettings


class Pictures:
    """Both domains; ``A`` is the one that the student translates from, whatever the folder is called.

    Args:
        folder: ``trainA``, ``trainB``, ``testA`` and ``testB``, or ``train`` and ``test`` with pairs.
        settings: of the recipe.

    Raises:
        FileNotFoundError: no pictures in one of them.
        ValueError: there are too few to hold some out.
    """

    def __init__(self, folder: Path, settings: CrdSettings) -> None:
        self.settings, self.paired = settings, settings.task == "paired"
        self.letters = "AB" if settings.direction == "AtoB" else "BA"
        self.folder = folder
        # Also if no teacher has to be chosen, so that all variants of a task use the same pictures.
        aside = settings.held_out if settings.selection == "held-out" else 0
        files = [picture_files(folder / name) for name in self._names("train")]
        if aside and min(map(len, files)) < aside + 2:
            raise ValueError(f"held_out: {folder} has too few pictures to set {aside} aside")
        # Spread over the names, which often reflect their subject.
        held = [{len(each) * i // aside for i in range(aside)} for each in files]
        kept = [[path for i, path in enumerate(each) if i not in out] for each, out in zip(files, held, strict=True)]
        self.held = [[each[i] for i in sorted(out)] for each, out in zip(files, held, strict=True)]
        self.domains = [Domain(each, settings.size, settings.seed + i, self.paired) for i, each in enumerate(kept)]

    def __len__(self) -> int:
        return max(map(len, self.domains))

    def _names(self, split: str) -> list[str]:
        return [split] if self.paired else [split + letter for letter in self.letters]

    def batch(self, counters: range, device: torch.device) -> dict[str, Tensor]:
        """Crops [N, 3, size, size], -1..1, of both domains."""
        return self._parted([signed(each.batch(counters)).to(device) for each in self.domains])

    def _parted(self, batches: list[Tensor]) -> dict[str, Tensor]:
        if self.paired:
            halves = batches[0].chunk(2, 1)
            batches = list(halves if self.letters == "AB" else halves[::-1])
        return dict(zip("AB", batches, strict=True))

    def whole(self, split: str) -> dict[str, Tensor]:
        """All pictures of ``test`` or ``held-out``, uint8 [N, 3, size, size]."""
        files = self.held if split == "held-out" else [picture_files(self.folder / each) for each in self._names(split)]
        return self._parted([resized(each, self.settings.size, self.paired) for each in files])
