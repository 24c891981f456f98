"""A training step of AdaIN: content and style loss of the stylised picture (after)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor

from fastnst.ops import adaptive_instance_normalization, calc_mean_std

Levels = Callable[[Tensor], Sequence[Tensor]]


def training_step(levels: Levels, decoder: Callable[[Tensor], Tensor], content: Tensor, style: Tensor) -> Tensor:
    """``levels`` gives VGG's relu1_1 to relu4_1 of pictures [N, 3, H, W]; the decoder is trained."""
    style_levels = levels(style)
    target = adaptive_instance_normalization(levels(content)[-1], style_levels[-1]).detach()
    produced = levels(decoder(target))
    loss = F.mse_loss(produced[-1], target)
    for level, wanted in zip(produced, style_levels, strict=True):
        for seen, aim in zip(calc_mean_std(level), calc_mean_std(wanted), strict=True):
            loss = loss + 10 * F.mse_loss(seen, aim.detach())
    return loss
