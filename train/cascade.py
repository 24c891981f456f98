"""Train the stages of WCT as they run: one after the other, scored by the picture that the last of them makes.

Recipes ``decoder`` and ``collab`` teach each pair to rebuild photographs, as published (Wang et al., CVPR 2020). In a cascade,
though, a decoder gets features with another picture's covariance, and each stage gets what the one before has painted. Here
all pairs are trained together on such features, by AdaIN's content and style loss (Huang and Belongie, ICCV 2017, eq. 11-13)
through the whole cascade. Every second step runs some of the stages only, so that users may choose among them. One stage a
step also rebuilds its photographs: its loss is the logarithm of the squared error, so that a decibel counts the same at every
stage. This objective is not published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.networks.files import WCT, read_networks
from fastnst.networks.wct import stylize
from fastnst.networks.weights import read_with_facts

from .command import start
from .decoder import channels_last
from .limits import AT_LEAST_0, AT_LEAST_1, CROP, check_crop, setting
from .loop import train
from .process_group import ProcessGroup
from .settings import Phase, RunOptions
from .transfer import TransferRecipe, TransferSettings, out_of_range, with_loss

ZOOM = (0.95, 1.15)
"""Least and largest magnification of the crops."""


@dataclass(frozen=True)
class CascadeSettings(TransferSettings):
    """The settings that determine the result."""

    start: str = setting("", "safetensors file with the stages, k.encoder.* and k.decoder.*, to go on from")
    steps: int = setting(4000, "how long the stages are trained", AT_LEAST_0, may_change=True)
    batch: int = setting(2, "crops of each step", AT_LEAST_1)
    size: int = setting(256, "side of the crops in pixels", CROP)
    rebuild_weight: float = setting(5.0, "of the logarithm, to base 10, of a rebuilt photograph's squared error", AT_LEAST_0)
    ridge: float = setting(1e-3, "added to the variances that are whitened, for gradients of moderate size", AT_LEAST_0)
    content_weight: float = 1.0
    pool: int = 256
    renewed: float = 0.25
    learning_rate: float = 1e-4

    def __post_init__(self) -> None:
        """Check the values and their combinations.

        Raises:
            ValueError: one line.
        """
        super().__post_init__()
        if self.size % 16:
            raise ValueError("size: expected a multiple of 16")

    def ancestry(self) -> dict[str, Any]:
        return {"started_from": read_with_facts(Path(self.start))[1]}

    def lacking(self) -> dict[str, str]:
        return {} if self.start else {"start": "the file with the stages to train"}


class CascadeRecipe(TransferRecipe):
    """The recipe; see the module."""

    name = "cascade"
    settings: CascadeSettings

    def __init__(self, settings: CascadeSettings, options: RunOptions, processes: ProcessGroup) -> None:
        super().__init__(settings, options, processes, settings.size, ZOOM)
        found = read_networks(Path(settings.start))
        if found.kind != WCT:
            raise ValueError(f"{settings.start}: not stages of WCT")
        self.stages = {number: found.stages[number] for number in sorted(found.stages, reverse=True)}
        check_crop(settings.size, max(self.stages))
        self.networks: nn.Module = nn.ModuleDict({str(number): stage for number, stage in self.stages.items()})
        for stage in self.stages.values():
            stage.requires_grad_(True).encoder.conv0.requires_grad_(False)
        channels_last(self.networks.train(), processes)
        self.phases: Sequence[Phase] = [Phase("cascade", settings.steps, settings.batch, settings.size)]

    def losses(self, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        settings = self.settings
        (content, style, features, statistics), generator = self.drawn(phase, batch_index)
        with torch.autocast(self.processes.device.type, torch.bfloat16, settings.autocast):
            image = self.run(self.chosen(batch_index, generator), content, style)
            terms = {
                **self.transfer_losses(image.clamp(0, 1), features, statistics),
                "rebuild": self.rebuild(batch_index, content),
                "excess": out_of_range(image),
            }
        weights = settings.content_weight, settings.style_weight, settings.rebuild_weight, settings.range_weight
        return with_loss(terms, weights)

    def chosen(self, batch_index: int, generator: torch.Generator) -> list[int]:
        """The stages of a step: all of them, and at every second step some, of which the first is drawn among all."""
        numbers = list(self.stages)
        if batch_index % 2:
            first = int(torch.randint(len(numbers), (1,), generator=generator))
            also = torch.rand(len(numbers), generator=generator) < 0.5
            return [number for i, number in enumerate(numbers) if i == first or (i > first and also[i])]
        return numbers

    def run(self, numbers: Sequence[int], content: Tensor, style: Tensor) -> Tensor:
        """The cascade through some stages, deepest first; RGB, not clamped."""
        return stylize({number: self.stages[number] for number in numbers}, content, style, content_ridge=self.settings.ridge)

    def rebuild(self, batch_index: int, image: Tensor) -> Tensor:
        """log10 of the squared error of ``image`` rebuilt by one stage; the stages take turns."""
        if not self.settings.rebuild_weight:
            return image.new_zeros(())
        numbers = list(self.stages)
        stage = self.stages[numbers[batch_index // 2 % len(numbers)]]
        return F.mse_loss(stage.decoder(stage.encoder(image)).float(), image).log10()

    @torch.no_grad()
    def stylized(self, content: Tensor, style: Tensor) -> Tensor:
        return self.run(list(self.stages), content, style).float().clamp(0, 1)

    def final(self) -> dict[str, Tensor]:
        return {name: x for name, x in self.networks.state_dict().items() if ".heads." not in name}


def run(settings: CascadeSettings, options: RunOptions, processes: ProcessGroup) -> None:
    """Train, or resume an earlier run."""
    recipe = CascadeRecipe(settings, options, processes)
    train(recipe, settings, options, processes, recipe.validate)


def main(argv: Sequence[str] | None = None) -> None:
    """``fastnst train cascade``; see ``--help``."""
    start("cascade", __doc__, CascadeSettings(), run, argv)


if __name__ == "__main__":
    main()
