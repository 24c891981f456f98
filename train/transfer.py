"""What recipes have in common that stylize crops of photographs with crops of paintings and score the result by VGG-19."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fastnst import ops

from .data import CropSource, to_float
from .decoder import channels_last
from .limits import AT_LEAST_0, AT_LEAST_1, setting
from .pool import FeaturePool, Statistics
from .process_group import ProcessGroup
from .scoring import ScoredSettings, scoring_vgg
from .settings import Phase, RunOptions
from .validation import Validation


@dataclass(frozen=True)
class TransferSettings(ScoredSettings):
    """The settings of all such recipes."""

    content_weight: float = setting(10.0, "of the content loss", AT_LEAST_0)
    style_weight: float = setting(10.0, "of the style loss", AT_LEAST_0)
    range_weight: float = setting(50.0, "of values beyond 0..1", AT_LEAST_0)
    pool: int = setting(1024, "crops kept with their targets, at the first size", AT_LEAST_1)
    renewed: float = setting(1.0, "crops of each kind renewed per step", AT_LEAST_0)
    held_out: int = setting(24, "pictures of each kind that are kept for validation, at most a tenth", AT_LEAST_0)


class TransferRecipe(ABC):
    """The scoring network, crops of photographs and paintings with their targets, and validation on held-out pictures.

    Args:
        settings: of the recipe.
        options: with the folder of data.
        processes: they share the crops among them.
        size: side of the first crops in pixels.
        zoom: least and largest magnification of the crops.

    Raises:
        OSError, ValueError: a setting that is required is missing, or a file cannot be read or has other content.
    """

    settings: TransferSettings

    def __init__(
        self,
        settings: TransferSettings,
        options: RunOptions,
        processes: ProcessGroup,
        size: int,
        zoom: tuple[float, float],
    ) -> None:
        settings.require()
        self.settings, self.processes, self.first_size = settings, processes, size
        self.vgg = scoring_vgg(settings, options)
        channels_last(self.vgg, processes)
        folders = options.data / "content-train", options.data / "style-train"
        self.contents, self.styles = (
            CropSource(each, size, zoom, settings.seed + i, settings.held_out) for i, each in enumerate(folders)
        )
        self.validation = Validation(self.vgg, self.contents.held_out, self.styles.held_out, processes.device)
        self.pool: FeaturePool | None = None

    def drawn(self, phase: Phase, batch_index: int) -> tuple[tuple[Tensor, Tensor, Tensor, Statistics], torch.Generator]:
        """Pairs of crops with their targets (:meth:`FeaturePool.draw`), and the generator that drew them."""
        settings, processes = self.settings, self.processes
        if self.pool is None or phase.size != self.contents.size:
            self.contents.size = self.styles.size = phase.size
            capacity = settings.pool * self.first_size**2 // phase.size**2  # the same memory at any size
            sources = self.contents, self.styles, processes
            self.pool = FeaturePool(self.vgg, *sources, capacity, settings.renewed / settings.accumulate, settings.autocast)
        self.pool.advance(batch_index)
        generator = torch.Generator().manual_seed((settings.seed * 1_000_003 + batch_index) * processes.size + processes.rank)
        return self.pool.draw(phase.batch, generator), generator

    def transfer_losses(self, seen: Tensor, content_features: Tensor, statistics: Statistics) -> dict[str, Tensor]:
        """Content and style loss of pictures [N, 3, H, W], RGB 0..1: Huang and Belongie, ICCV 2017, eq. 12 and 13."""
        levels = self.vgg.features(seen)
        target = ops.renormalize(content_features, *statistics[-1])
        return {
            "content": ops.perceptual_loss(levels[-1:], [target]),
            "style": torch.stack([ops.statistics_loss(x, *aim) for x, aim in zip(levels, statistics, strict=True)]).sum(),
        }

    @abstractmethod
    def stylized(self, content: Tensor, style: Tensor) -> Tensor:
        """Stylized pictures of ``content`` as users see them, RGB 0..1."""

    def validate(self) -> dict[str, float]:
        """AdaIN's loss on pairs of held-out pictures."""
        with torch.autocast(self.processes.device.type, torch.bfloat16, self.settings.autocast):
            return self.validation(self.stylized)

    def pictures(self) -> list[list[Tensor]]:
        counters = range(10**9, 10**9 + 6)
        content, style = (to_float(source.batch(counters)).to(self.processes.device) for source in (self.contents, self.styles))
        with torch.autocast(self.processes.device.type, torch.bfloat16, self.settings.autocast):
            stylized = self.stylized(content, style)
        return [list(content), list(style), list(stylized)]


def out_of_range(image: Tensor) -> Tensor:
    """Mean squared excess beyond 0..1, which keeps the decoder in the range that clamping does not change."""
    return (image - image.clamp(0, 1)).square().mean()


def with_loss(terms: Mapping[str, Tensor], weights: Sequence[float]) -> dict[str, Tensor]:
    """``terms``, and ``loss``: their sum, weighted by ``weights`` in their order."""
    return {**terms, "loss": torch.stack([w * x for w, x in zip(weights, terms.values(), strict=True)]).sum()}
