"""Training crops with the VGG-19 targets that they contribute, computed once per crop instead of once per step."""

from __future__ import annotations

import torch
from torch import Tensor

from fastnst import ops
from fastnst.networks.vgg import Encoder

from .data import CropSource, to_float

Statistics = list[tuple[Tensor, Tensor]]
"""Mean and standard deviation of each level's channels, [C, 1, 1] each (with a batch axis in front: of several crops)."""


class FeaturePool:
    """Photographs with their relu4_1, paintings with their statistics, a few renewed at every step.

    Args:
        vgg: the scoring network.
        contents: crops of photographs.
        styles: crops of paintings.
        capacity: crops of each kind that the pool holds.
        first: counter of the first crop; later ones follow.
    """

    def __init__(self, vgg: Encoder, contents: CropSource, styles: CropSource, capacity: int, first: int) -> None:
        self.vgg, self.contents, self.styles = vgg, contents, styles
        self.capacity, self.counter = capacity, first
        self.content: list[tuple[Tensor, Tensor]] = []  # pixels, relu4_1 in bfloat16
        self.style: list[tuple[Tensor, Statistics]] = []
        while len(self.content) < capacity:
            self.renew(min(8, capacity - len(self.content)))

    @torch.no_grad()
    def renew(self, count: int) -> None:
        """Replace ``count`` crops of each kind, or add them while there is room."""
        counters = range(self.counter, self.counter + count)
        contents, styles = self.contents.batch(counters), self.styles.batch(counters)
        with torch.autocast("cpu", torch.bfloat16):
            features = self.vgg(to_float(contents)).bfloat16()
            levels = self.vgg.features(to_float(styles))
        statistics = [ops.calc_mean_std(level.float()) for level in levels]
        for i, counter in enumerate(counters):
            content = (contents[i], features[i])
            style = (styles[i], [(mean[i], std[i]) for mean, std in statistics])
            if len(self.content) < self.capacity:
                self.content.append(content)
                self.style.append(style)
            else:
                self.content[counter % self.capacity] = content
                self.style[counter % self.capacity] = style
        self.counter += count

    def draw(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Statistics]:
        """Random photographs [B, 3, H, W] and paintings, the photographs' relu4_1, the paintings' statistics per level."""
        contents = [self.content[i] for i in torch.randint(self.capacity, (batch,), generator=generator).tolist()]
        styles = [self.style[i] for i in torch.randint(self.capacity, (batch,), generator=generator).tolist()]
        levels = zip(*(statistics for _, statistics in styles), strict=True)
        return (
            to_float(torch.stack([pixels for pixels, _ in contents])),
            to_float(torch.stack([pixels for pixels, _ in styles])),
            torch.stack([features for _, features in contents]).float(),
            [(torch.stack([mean for mean, _ in level]), torch.stack([std for _, std in level])) for level in levels],
        )
