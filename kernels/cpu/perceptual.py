"""Mean errors in one pass each way; Gram matrices: half of the products of channels, of which each is its own mirror image."""

from __future__ import annotations

import torch
from torch import Tensor

from fastnst import _engine
from fastnst.kernels.cpu.arguments import code, feature_map, left_factor, threads
from fastnst.kernels.cpu.memory import empty_like
from fastnst.kernels.layout import laid_out_like


def mean_error(x: Tensor, y: Tensor, squared: bool) -> Tensor:
    """The mean of (x - y)^2, or of |x - y|, over dense maps of one shape and type: a scalar, float32."""
    y = laid_out_like(x, y)
    error = _engine.perceptual_error(x.data_ptr(), y.data_ptr(), code(x), x.numel(), squared, threads())
    return torch.tensor(error, dtype=torch.float32)


def mean_error_backward(grad: Tensor, x: Tensor, y: Tensor, squared: bool) -> Tensor:
    """The gradient with respect to ``x``, like it, for the gradient ``grad`` of the mean."""
    y, out = laid_out_like(x, y), empty_like(x)
    scale = (2 if squared else 1) * grad.item() / x.numel()
    pointers = x.data_ptr(), y.data_ptr()
    _engine.perceptual_error_backward(*pointers, code(x), x.numel(), squared, scale, out.data_ptr(), threads())
    return out


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
