"""Gram matrices: half of the products of channels, of which each is its own mirror image."""

from __future__ import annotations

import torch
from torch import Tensor

from fastnst import _engine
from fastnst.kernels.cpu.arguments import feature_map, left_factor, threads


def gram(x: Tensor) -> Tensor:
    """Products of all pairs of channels of a dense [N, C, H, W], divided by C * H * W: float32 [N, C, C]."""
    products = torch.empty(x.shape[0], x.shape[1], x.shape[1])
    _engine.perceptual_gram(feature_map(x), products.data_ptr(), threads())
    return products


def gram_backward(grad: Tensor, x: Tensor) -> Tensor:
    """The gradient with respect to ``x``, for float32 gradients [N, C, C] that need not be symmetric."""
    factor, pitch = left_factor((grad + grad.mT) / x[0].numel(), torch.float32)
    out = torch.empty_like(x)
    _engine.perceptual_mix(factor.data_ptr(), pitch, feature_map(x), out.data_ptr(), threads())
    return out
