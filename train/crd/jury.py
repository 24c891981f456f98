"""How real a generator's pictures look, on pictures that it was not trained on."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from fastnst.metrics.fid import Realism, features, realism
from fastnst.networks.inception import Inception

from .domains import signed

GROUP = 4
"""Pictures that go through a network at once."""


@torch.no_grad()
def translated(generator: nn.Module, pictures: Tensor) -> Tensor:
    """What ``generator`` makes of pictures [N, 3, H, W], -1..1, as it will be used: running statistics in place of the batch's.
    Nothing of it changes."""
    training = generator.training
    generator.eval()
    made: Tensor = generator(pictures)
    generator.train(training)
    return made.float()


class Jury:
    """Compares translated pictures with real ones.

    Args:
        extractor: of features.
        sources: uint8 [N, 3, H, W], to be translated.
        real: uint8 [M, 3, H, W], pictures of the other domain.
        dimension: of the features.
        source: what these pictures are, for the protocol.
        device: where generators are.
    """

    def __init__(
        self, extractor: Inception, sources: Tensor, real: Tensor, dimension: int, source: str, device: torch.device
    ) -> None:
        self.extractor, self.sources, self.source = extractor, sources, source
        self.dimension, self.device = dimension, device
        self.real = features(extractor, (x.to(device).float() / 255 for x in torch.split(real, GROUP)), dimension)

    def realism(self, generator: nn.Module) -> Realism:
        """Of its pictures of all sources."""

        def made() -> Iterator[Tensor]:
            for part in torch.split(self.sources, GROUP):
                yield (translated(generator, signed(part.to(self.device))) + 1) / 2

        return realism(self.extractor, self.real, features(self.extractor, made(), self.dimension), self.source)
