"""AdaIN's content and style distances of a finished picture, scored by the normalised VGG-19."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.reference.adain import adaptive_instance_normalization, calc_mean_std, statistics_loss

LEVELS = 4
"""relu1_1 to relu4_1."""


@dataclass(frozen=True)
class AdainScore:
    """``content``: MSE of relu4_1 from the AdaIN target; ``style``: MSE of means + MSE of deviations over four levels."""

    content: float
    style: float

    @property
    def loss(self) -> float:
        """Content + 10 x style, the published weighting."""
        return self.content + 10 * self.style


class AdainTarget:
    """The targets for pictures of one content and one style (Huang and Belongie, ICCV 2017, eq. 11-13).

    Args:
        content: the content's levels in the scoring network, each [1, C_i, H_i, W_i], four or more.
        style: the style's.
    """

    @torch.no_grad()
    def __init__(self, content: Sequence[Tensor], style: Sequence[Tensor]) -> None:
        self.feature = adaptive_instance_normalization(content[LEVELS - 1], style[LEVELS - 1])
        self.statistics = [calc_mean_std(level) for level in style[:LEVELS]]

    @torch.no_grad()
    def score(self, seen: Sequence[Tensor]) -> AdainScore:
        """Of a picture's levels. The picture may be smaller than the content by what its network's pools cut."""
        height, width = (min(a, b) for a, b in zip(seen[LEVELS - 1].shape[2:], self.feature.shape[2:], strict=True))
        content_term = F.mse_loss(seen[LEVELS - 1][..., :height, :width], self.feature[..., :height, :width])
        levels = zip(seen[:LEVELS], self.statistics, strict=True)
        style_term = sum(statistics_loss(level, *wanted).item() for level, wanted in levels)
        return AdainScore(content_term.item(), float(style_term))
