"""Measures how real a generator's pictures look, on pictures that are not used in training."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from fastnst.metrics.fid import Realism, features, realism
from fastnst.networks.inception import Inception

from .domains import signed

GROUP = 4
"""The number of pictures in a batch."""


@torch.no_grad()
def translated(generator: nn.Module, pictures: Tensor) -> Tensor:
    """Pictures [N, 3, H, W], -1..1, translated by ``generator`` as in use: with running statistics instead of the batch's.
    The generator is not changed."""
    training = generator.training
    generator.eval()
    made: Tensor = generator(pictures)
    generator.train(training)
    return made.float()


class Jury:
    """Compares translated pictures with real ones.

    Args:
        extractor: the network that extracts features.
        sources: uint8 [N, 3, H, W], the pictures to translate.
        real: uint8 [M, 3, H, W], pictures of the other domain.
        dimension: the dimension of the features.
        source: a description of the pictures, for the report.
        device: the device of the generators.
    """

    def __init__(
        self, extractor: Inception, sources: Tensor, real: Tensor, dimension: int, source: str, device: torch.device
    ) -> None:
        self.extractor, self.sources, self.source = extractor, sources, source
        self.dimension, self.device = dimension, device
        self.real = features(extractor, (x.to(device).float() / 255 for x in torch.split(real, GROUP)), dimension)

    def realism(self, generator: nn.Module) -> Realism:
        """The realism of its translations of all sources."""

        def made() -> Iterator[Tensor]:
            for part in torch.split(self.sources, GROUP):
                yield (translated(generator, signed(part.to(self.device))) + 1) / 2

        return realism(self.extractor, self.real, features(self.extractor, made(), self.dimension), self.source)
