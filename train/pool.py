"""Training crops with their VGG-19 targets, which are computed once per crop instead of once per step."""

from __future__ import annotations

import torch
from torch import Tensor

from fastnst import ops
from fastnst.networks.vgg import Encoder

from .data import CropSource, to_float
from .process_group import ProcessGroup

Statistics = list[tuple[Tensor, Tensor]]
"""Mean and standard deviation of each level's channels, [N, C, 1, 1] each."""

GROUP = 8
"""The number of crops whose features are computed together. Groups are fixed, so that a resumed run computes the same bits."""


class FeaturePool:
    """Photographs with their relu4_1 and paintings with their statistics, a few renewed at every step.

    The content of the pool is a function of the step alone: groups of crops, of which the oldest is replaced at a steady rate.

    Args:
        vgg: the scoring network.
        contents: crops of photographs.
        styles: crops of paintings.
        processes: they share the crops among them.
        capacity: the number of crops of each kind in the pool, rounded down to whole groups.
        renewed: the number of crops of each kind that a step renews on average.
        autocast: whether the scoring network works in bfloat16.
    """

    def __init__(
        self,
        vgg: Encoder,
        contents: CropSource,
        styles: CropSource,
        processes: ProcessGroup,
        capacity: int,
        renewed: float,
        autocast: bool = True,
    ) -> None:
        self.vgg, self.contents, self.styles, self.processes = vgg, contents, styles, processes
        self.groups, self.renewed, self.autocast = max(1, capacity // GROUP), renewed, autocast
        self.content: list[tuple[Tensor, Tensor]] = []  # pixels, relu4_1 in bfloat16
        self.style: list[tuple[Tensor, Statistics]] = []
        self.next = -1  # the group that comes next

    @torch.no_grad()
    def advance(self, step: int) -> None:
        """Bring the pool to the content of ``step``, which may not be lower than before."""
        oldest = int(step * self.renewed) // GROUP
        if self.next < 0:
            self.next = oldest
            self.content, self.style = [None] * (self.groups * GROUP), [None] * (self.groups * GROUP)  # type: ignore[list-item]
        while self.next < oldest + self.groups:
            first = self.next % self.groups * GROUP
            for i, (content, style) in enumerate(self._group(self.next)):
                self.content[first + i], self.style[first + i] = content, style
            self.next += 1

    def _group(self, index: int) -> list[tuple[tuple[Tensor, Tensor], tuple[Tensor, Statistics]]]:
        counters = self.processes.counters(index, GROUP)
        contents, styles = self.contents.batch(counters), self.styles.batch(counters)
        device = self.processes.device
        with torch.autocast(device.type, torch.bfloat16, self.autocast):
            features = self.vgg(to_float(contents).to(device)).bfloat16()
            levels = self.vgg.features(to_float(styles).to(device))
        statistics = [ops.calc_mean_std(level.float()) for level in levels]
        return [
            ((contents[i], features[i]), (styles[i], [(mean[i], std[i]) for mean, std in statistics])) for i in range(GROUP)
        ]

    def draw(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Statistics]:
        """Random photographs [B, 3, H, W] and paintings, the photographs' relu4_1, the paintings' statistics per level."""
        count, device = len(self.content), self.processes.device
        contents = [self.content[i] for i in torch.randint(count, (batch,), generator=generator).tolist()]
        styles = [self.style[i] for i in torch.randint(count, (batch,), generator=generator).tolist()]
        levels = zip(*(statistics for _, statistics in styles), strict=True)
        return (
            to_float(torch.stack([pixels for pixels, _ in contents])).to(device),
            to_float(torch.stack([pixels for pixels, _ in styles])).to(device),
            torch.stack([features for _, features in contents]).float(),
            [(torch.stack([mean for mean, _ in level]), torch.stack([std for _, std in level])) for level in levels],
        )
