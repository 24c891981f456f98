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

from fastnst import ops
from fastnst.networks.files import WCT, read_networks
from fastnst.networks.wct import stylize
from fastnst.networks.weights import read_with_facts

from .adain import out_of_range
from .command import start
from .data import CropSource, to_float
from .decoder import channels_last
from .limits import AT_LEAST_0, AT_LEAST_1, CROP, check_crop, setting
from .loop import train
from .pool import FeaturePool
from .process_group import ProcessGroup
from .scoring import ScoredSettings, scoring_vgg
from .settings import Phase, RunOptions
from .validation import Validation

ZOOM = (0.95, 1.15)
"""Least and largest magnification of the crops."""


@dataclass(frozen=True)
class CascadeSettings(ScoredSettings):
    """The settings that determine the result."""

    start: str = setting("", "safetensors file with the stages, k.encoder.* and k.decoder.*, to go on from")
    steps: int = setting(4000, "how long the stages are trained", AT_LEAST_0, may_change=True)
    batch: int = setting(2, "crops of each step", AT_LEAST_1)
    size: int = setting(256, "side of the crops in pixels", CROP)
    content_weight: float = setting(1.0, "of the content loss", AT_LEAST_0)
    style_weight: float = setting(10.0, "of the style loss", AT_LEAST_0)
    rebuild_weight: float = setting(5.0, "of the logarithm, to base 10, of a rebuilt photograph's squared error", AT_LEAST_0)
    range_weight: float = setting(50.0, "of values beyond 0..1", AT_LEAST_0)
    ridge: float = setting(1e-3, "added to the variances that are whitened, for gradients of moderate size", AT_LEAST_0)
    pool: int = setting(256, "crops kept with their targets", AT_LEAST_1)
    renewed: float = setting(0.25, "crops of each kind renewed per step", AT_LEAST_0)
    held_out: int = setting(24, "pictures of each kind that are kept for validation, at most a tenth", AT_LEAST_0)
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


class CascadeRecipe:
    """The recipe; see the module."""

    name = "cascade"

    def __init__(self, settings: CascadeSettings, options: RunOptions, processes: ProcessGroup) -> None:
        settings.require()
        self.settings, self.processes = settings, processes
        self.vgg = scoring_vgg(settings, options)
        channels_last(self.vgg, processes)
        found = read_networks(Path(settings.start), self.refused)
        if found.kind != WCT:
            raise ValueError(f"{settings.start}: not stages of WCT")
        self.stages = {number: found.stages[number] for number in sorted(found.stages, reverse=True)}
        check_crop(settings.size, max(self.stages))
        self.networks: nn.Module = nn.ModuleDict({str(number): stage for number, stage in self.stages.items()})
        for stage in self.stages.values():
            stage.requires_grad_(True).encoder.conv0.requires_grad_(False)
        channels_last(self.networks.train(), processes)
        folders = options.data / "content-train", options.data / "style-train"
        self.contents, self.styles = (
            CropSource(each, settings.size, (0.95, 1.15), settings.seed + i, settings.held_out)
            for i, each in enumerate(folders)
        )
        self.phases: Sequence[Phase] = [Phase("cascade", settings.steps, settings.batch, settings.size)]
        self.validation = Validation(self.vgg, self.contents.held_out, self.styles.held_out, processes.device)
        sources = self.contents, self.styles, processes
        renewed = settings.renewed / settings.accumulate
        self.pool = FeaturePool(self.vgg, *sources, settings.pool, renewed, settings.autocast)

    def refused(self, _stage: int) -> Any:
        """The place of VGG-19 for files without encoders, which cannot be trained here."""
        raise ValueError("there is no encoder")

    def losses(self, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        settings, processes = self.settings, self.processes
        self.pool.advance(batch_index)
        generator = torch.Generator().manual_seed((settings.seed * 1_000_003 + batch_index) * processes.size + processes.rank)
        content, style, features, statistics = self.pool.draw(phase.batch, generator)
        with torch.autocast(processes.device.type, torch.bfloat16, settings.autocast):
            image = self.run(self.chosen(batch_index, generator), content, style)
            levels = self.vgg.features(image.clamp(0, 1))
            target = ops.renormalize(features, *statistics[-1])
            terms = {
                "content": ops.perceptual_loss(levels[-1:], [target]),
                "style": torch.stack([ops.statistics_loss(x, *aim) for x, aim in zip(levels, statistics, strict=True)]).sum(),
                "rebuild": self.rebuild(batch_index, content),
                "excess": out_of_range(image),
            }
        weights = settings.content_weight, settings.style_weight, settings.rebuild_weight, settings.range_weight
        return terms | {"loss": torch.stack([w * x for w, x in zip(weights, terms.values(), strict=True)]).sum()}

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
        """Pictures of ``content`` by the whole cascade."""
        return self.run(list(self.stages), content, style).float()

    def validate(self) -> dict[str, float]:
        """AdaIN's loss on pairs of held-out pictures."""
        with torch.autocast(self.processes.device.type, torch.bfloat16, self.settings.autocast):
            return self.validation(self.stylized)

    def pictures(self) -> list[list[Tensor]]:
        counters = range(10**9, 10**9 + 6)
        content, style = (to_float(source.batch(counters)).to(self.processes.device) for source in (self.contents, self.styles))
        with torch.autocast(self.processes.device.type, torch.bfloat16, self.settings.autocast):
            return [list(content), list(style), list(self.stylized(content, style).clamp(0, 1))]

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
