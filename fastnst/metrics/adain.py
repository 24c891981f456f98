"""AdaIN's content and style distances of a finished picture, scored by the normalised VGG-19."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.networks.vgg import Encoder
from fastnst.reference.adain import adaptive_instance_normalization, calc_mean_std, statistics_loss


@dataclass(frozen=True)
class AdainScore:
    """``content``: MSE of relu4_1 from the AdaIN target; ``style``: MSE of means + MSE of deviations over four levels."""

    content: float
    style: float

    @property
    def loss(self) -> float:
        """Content + 10 x style, the published weighting."""
        return self.content + 10 * self.style


@torch.no_grad()
def adain_score(vgg: Encoder, output: Tensor, content: Tensor, style: Tensor) -> AdainScore:
    """Score ``output`` [1, 3, H, W], RGB 0..1, rounded to 8 bits first, against ``content`` and ``style`` pictures.

    Sides that the network's pools cut (not multiples of 8) leave the output smaller: the content is cropped to it.
    """
    content = content[..., : output.shape[2], : output.shape[3]]
    seen = vgg.features((output.clamp(0, 1) * 255).round() / 255)
    wanted = vgg.features(style)
    target = adaptive_instance_normalization(vgg(content), wanted[-1])
    height, width = (min(a, b) for a, b in zip(seen[-1].shape[2:], target.shape[2:], strict=True))
    content_term = F.mse_loss(seen[-1][..., :height, :width], target[..., :height, :width])
    style_term = sum(statistics_loss(o, *calc_mean_std(s)).item() for o, s in zip(seen, wanted, strict=True))
    return AdainScore(content_term.item(), float(style_term))
