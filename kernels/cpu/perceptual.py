"""Mean errors, in one pass forward and one backward; Gram matrices, of which one half is computed and mirrored."""

from __future__ import annotations

import torch
from torch import Tensor

from fastnst import _engine
from fastnst.kernels.cpu.arguments import left_factor, threads
from fastnst.kernels.cpu.memory import empty_like
from fastnst.kernels.layout import laid_out_like


def mean_error(x: Tensor, y: Tensor, squared: bool) -> Tensor:
    """The mean of (x - y)^2, or of |x - y|, over dense maps of one shape and type: a scalar, float32."""
    error = _engine.perceptual_error(x, laid_out_like(x, y), squared, threads())
    return x.new_full((), error, dtype=torch.float32)


def mean_error_backward(grad: Tensor, x: Tensor, y: Tensor, squared: bool) -> Tensor:
    """The gradient with respect to ``x``, like it, for the gradient ``grad`` of the mean."""
    out = empty_like(x)
    scale = (2 if squared else 1) * grad.item() / x.numel()
    _engine.perceptual_error_backward(x, laid_out_like(x, y), squared, scale, out, threads())
    return out


def gram(x: Tensor) -> Tensor:
    """Products of all pairs of channels of a dense [N, C, H, W], divided by C * H * W: float32 [N, C, C]."""
    products = x.new_empty((x.shape[0], x.shape[1], x.shape[1]), dtype=torch.float32)
    _engine.perceptual_gram(x, products, threads())
    return products


def gram_backward(grad: Tensor, x: Tensor) -> Tensor:
    """The gradient with respect to ``x``, for float32 gradients [N, C, C] that need not be symmetric."""
    factor = left_factor((grad + grad.mT) / x[0].numel(), torch.float32)
    out = torch.empty_like(x)
    _engine.perceptual_mix(factor, x, out, threads())
    return out
