"""Adaptive instance normalisation (Huang and Belongie, ICCV 2017, eq. 8)."""

from __future__ import annotations

import torch
from torch import Tensor


def calc_mean_std(feat: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every channel over its positions.

    Args:
        feat: [N, C, H, W].
        eps: added to the variance (not to the standard deviation).

    Returns:
        Two tensors [N, C, 1, 1]. The variance is the unbiased one, as in the published training code; a single
        position, where it is undefined, counts as variance 0.
    """
    height, width = feat.shape[2:]
    variance, mean = torch.var_mean(feat, dim=(2, 3), correction=min(1, height * width - 1), keepdim=True)
    return mean, (variance + eps).sqrt()


def adaptive_instance_normalization(content_feat: Tensor, style_feat: Tensor) -> Tensor:
    """Give ``content_feat`` [N, C, H, W] the channel means and deviations of ``style_feat`` [N, C, h, w]."""
    style_mean, style_std = calc_mean_std(style_feat)
    return renormalize(content_feat, style_mean, style_std)


def renormalize(content_feat: Tensor, style_mean: Tensor, style_std: Tensor) -> Tensor:
    """``adaptive_instance_normalization`` onto statistics that are already known: each [N, C, 1, 1]."""
    mean, std = calc_mean_std(content_feat)
    return (content_feat - mean) / std * style_std + style_mean


def statistics_loss(feat: Tensor, target_mean: Tensor, target_std: Tensor) -> Tensor:
    """AdaIN's style term for one level: mean squared error of the means plus that of the deviations (eq. 13)."""
    mean, std = calc_mean_std(feat)
    return torch.nn.functional.mse_loss(mean, target_mean) + torch.nn.functional.mse_loss(std, target_std)
