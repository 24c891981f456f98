"""Train the stages of WCT as they run: one after the other, scored by the picture that the last of them makes.

Recipes ``decoder`` and ``collab`` teach each pair to rebuild photographs, as published (Wang et al., CVPR 2020). In a cascade,
though, a decoder gets features with another picture's covariance, and each stage gets what the one before has painted. Here
all pairs are trained together on such features, by AdaIN's content and style loss (Huang and Belongie, ICCV 2017, eq. 11-13)
through the whole cascade. Every second step runs some of the stages only, so that users may choose among them. One stage a
step also rebuilds its photographs: its loss is the logarithm of the squared error, so that a decibel counts the same at every
stage. This objective is not published.

The stages may come from an AdaIN pair: each takes the layers of the pair's encoder up to its own, and the pair's decoder from
there on. Deeper ones than there are can be added, which begin as the deepest, with random layers beyond. A first phase then
lets each stage rebuild photographs alone; where stages were added, only those.
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
from fastnst.networks.vgg import TAPS, layers_of
from fastnst.networks.wct import Stage, stylize
from fastnst.networks.weights import read_with_facts

from .command import start
from .data import to_float
from .decoder import channels_last, initialise
from .limits import AT_LEAST_0, AT_LEAST_1, CROP, Range, setting
from .loop import train
from .process_group import ProcessGroup
from .settings import Phase, RunOptions
from .transfer import TransferRecipe, TransferSettings, out_of_range, with_loss
from .widen import keep

ZOOM = (0.95, 1.15)
"""Least and largest magnification of the crops."""
REBUILD_RATE = 3.0
"""The learning rate of the first phase, as a factor of the second's, whose gradients are noisier."""


@dataclass(frozen=True)
class CascadeSettings(TransferSettings):
    """The settings that determine the result."""

    start: str = setting(
        "", "safetensors file with the stages, k.encoder.* and k.decoder.*, or with an AdaIN pair that begins them"
    )
    deepest: int = setting(0, "stages are added up to this number, 1 to 5, where the file has none so deep", Range(0, 5))
    rebuild_steps: int = setting(
        0, "steps of the first phase, in which each stage, or each that was added, rebuilds photographs alone", AT_LEAST_0
    )
    steps: int = setting(4000, "steps of the second phase, through the cascade", AT_LEAST_0, may_change=True)
    rebuild_batch: int = setting(8, "crops of each step of the first phase, of half the side", AT_LEAST_1)
    batch: int = setting(2, "crops of each step of the second phase", AT_LEAST_1)
    size: int = setting(256, "side of the second phase's crops in pixels", CROP)
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
        if self.size % 32:
            raise ValueError("size: expected a multiple of 32")

    def ancestry(self) -> dict[str, Any]:
        return {"started_from": read_with_facts(Path(self.start))[1]}

    def lacking(self) -> dict[str, str]:
        return {} if self.start else {"start": "the file with the stages to train, or with an AdaIN pair"}


class CascadeRecipe(TransferRecipe):
    """The recipe; see the module."""

    name = "cascade"
    settings: CascadeSettings

    def __init__(self, settings: CascadeSettings, options: RunOptions, processes: ProcessGroup) -> None:
        super().__init__(settings, options, processes, settings.size, ZOOM)
        torch.manual_seed(settings.seed)
        found = read_networks(Path(settings.start))
        trained = found.stages if found.kind == WCT else {}
        stages = dict(trained or begun_by(*found.stages.values()))
        deepest = max(stages)
        stages |= {number: deepened(stages[deepest], number) for number in range(deepest + 1, settings.deepest + 1)}
        self.stages = {number: stages[number] for number in sorted(stages, reverse=True)}
        self.rebuilding = [number for number in self.stages if number not in trained] or list(self.stages)
        self.networks: nn.Module = nn.ModuleDict({str(number): stage for number, stage in self.stages.items()})
        for stage in self.stages.values():
            stage.requires_grad_(True).encoder.conv0.requires_grad_(False)
        channels_last(self.networks.train(), processes)
        half = max(settings.size // 2, 2 ** max(self.stages))  # smaller maps than 2 x 2 cannot be padded by reflection
        self.phases: Sequence[Phase] = [
            Phase("rebuild", settings.rebuild_steps, settings.rebuild_batch, half, rate=REBUILD_RATE),
            Phase("cascade", settings.steps, settings.batch, settings.size),
        ]

    def losses(self, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        return self.rebuild_losses(phase, batch_index) if phase is self.phases[0] else self.cascade_losses(phase, batch_index)

    def rebuild_losses(self, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        """The first phase's: how well each stage alone rebuilds photographs."""
        processes = self.processes
        self.contents.size = self.styles.size = phase.size
        image = to_float(self.contents.batch(processes.counters(batch_index, phase.batch))).to(processes.device)
        with torch.autocast(processes.device.type, torch.bfloat16, self.settings.autocast):
            terms = {f"rebuild {number}": rebuilt(self.stages[number], image) for number in self.rebuilding}
        return {**terms, "loss": torch.stack(list(terms.values())).mean()}

    def cascade_losses(self, phase: Phase, batch_index: int) -> dict[str, Tensor]:
        """The second phase's; see the module."""
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
        return rebuilt(self.stages[numbers[batch_index // 2 % len(numbers)]], image)

    @torch.no_grad()
    def stylized(self, content: Tensor, style: Tensor) -> Tensor:
        return self.run(list(self.stages), content, style).float().clamp(0, 1)

    def final(self) -> dict[str, Tensor]:
        return {name: x for name, x in self.networks.state_dict().items() if ".heads." not in name}


def rebuilt(stage: Stage, image: Tensor) -> Tensor:
    """log10 of the squared error of ``image``, rebuilt by ``stage``."""
    return F.mse_loss(stage.decoder(stage.encoder(image)).float(), image).log10()


@torch.no_grad()
def begun_by(pair: Stage) -> dict[int, Stage]:
    """Stages 1 to the pair's own, as wide as its encoder, with the weights of the layers that they have in common.

    A decoder that is narrower than the encoder gets random channels beside its own; the deepest stage computes what the pair
    computes. The first layer of the others' decoders is random, for it reads the encoder's features, not the pair's decoder's.
    """
    stages = {}
    for number in range(1, pair.number + 1):
        stage = Stage(pair.encoder.widths[: len(layers_of(number))])
        initialise(stage)
        stage.encoder.conv0.load_state_dict(pair.encoder.conv0.state_dict())
        for name in layers_of(number):
            getattr(stage.encoder, name).load_state_dict(getattr(pair.encoder, name).state_dict())
            if name != TAPS[number - 1] or number == pair.number:
                narrow = getattr(pair.decoder, name)
                keep(getattr(stage.decoder, name), narrow.weight, narrow.bias)
        stages[number] = stage
    return stages


@torch.no_grad()
def deepened(stage: Stage, number: int) -> Stage:
    """Stage ``number``, which has the layers of a less deep one, and beyond them random ones as wide as its last."""
    widths = stage.encoder.widths
    deeper = Stage((*widths, *[widths[-1]] * (len(layers_of(number)) - len(widths))))
    initialise(deeper)
    deeper.encoder.conv0.load_state_dict(stage.encoder.conv0.state_dict())
    for name in layers_of(stage.number):
        for own, shallow in ((deeper.encoder, stage.encoder), (deeper.decoder, stage.decoder)):
            layer = getattr(shallow, name)
            keep(getattr(own, name), layer.weight, layer.bias)
    return deeper


def run(settings: CascadeSettings, options: RunOptions, processes: ProcessGroup) -> None:
    """Train, or resume an earlier run."""
    recipe = CascadeRecipe(settings, options, processes)
    train(recipe, settings, options, processes, recipe.validate)


def main(argv: Sequence[str] | None = None) -> None:
    """``fastnst train cascade``; see ``--help``."""
    start("cascade", __doc__, CascadeSettings(), run, argv)


if __name__ == "__main__":
    main()
