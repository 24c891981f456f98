"""Channel statistics and AdaIN on the CPU, forward and backward (``csrc/ops/adain.cpp``).

Feature maps are dense and of one type per call; statistics are contiguous float32 [N, C, 1, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastnst import _engine
from fastnst.kernels.cpu.arguments import threads
from fastnst.kernels.cpu.memory import empty_like
from fastnst.kernels.layout import laid_out_like


def channel_stats(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Means and standard deviations sqrt(unbiased variance + eps) of ``x`` [N, C, H, W]."""
    mean, std = _statistics(x), _statistics(x)
    _engine.adain_channel_stats(x, eps, mean, std, threads())
    return mean, std


def channel_stats_backward(grad_mean: Tensor, grad_std: Tensor, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """The gradient that reaches ``x`` through its statistics, like ``x``."""
    dx = empty_like(x)
    _engine.adain_channel_stats_backward(grad_mean, grad_std, x, mean, std, dx, threads())
    return dx


def adain_apply(content: Tensor, style_mean: Tensor, style_std: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """``content`` with other statistics, and its own: (out, mean, std)."""
    out, mean, std = empty_like(content), _statistics(content), _statistics(content)
    _engine.adain_apply(content, style_mean, style_std, eps, out, mean, std, threads())
    return out, mean, std


def adain_apply_backward(
    grad: Tensor, content: Tensor, mean: Tensor, std: Tensor, style_std: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of ``adain_apply``'s out: (dcontent, dstyle_mean, dstyle_std)."""
    gradients = empty_like(content), _statistics(content), _statistics(content)
    _engine.adain_apply_backward(laid_out_like(content, grad), content, mean, std, style_std, *gradients, threads())
    return gradients


def adain(content: Tensor, style: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """``content`` with the statistics of ``style``: (out, content_mean, content_std, style_mean, style_std).

    Each map is read from memory once: the content is still in the cache when it is read for the second time.
    """
    style_mean, style_std = channel_stats(style, eps)
    return *adain_apply(content, style_mean, style_std, eps), style_mean, style_std


def adain_backward(
    grad: Tensor,
    content: Tensor,
    style: Tensor,
    content_mean: Tensor,
    content_std: Tensor,
    style_mean: Tensor,
    style_std: Tensor,
) -> tuple[Tensor, Tensor]:
    """The gradients of ``adain``'s out: (dcontent, dstyle)."""
    dcontent, dmean, dstd = adain_apply_backward(grad, content, content_mean, content_std, style_std)
    return dcontent, channel_stats_backward(dmean, dstd, style, style_mean, style_std)


def _statistics(x: Tensor) -> Tensor:
    return x.new_empty((*x.shape[:2], 1, 1), dtype=torch.float32)
