"""The memory layouts of feature maps that the kernels distinguish."""

from __future__ import annotations

import torch
from torch import Tensor


def dense(x: Tensor) -> Tensor:
    """``x`` itself where it is contiguous or [N, C, H, W] in channels_last; otherwise a contiguous copy."""
    return x if x.is_contiguous() or channels_last(x) else x.contiguous()


def laid_out_like(x: Tensor, y: Tensor) -> Tensor:
    """``y`` as a dense tensor with the memory layout of ``x``."""
    return y.contiguous(memory_format=torch.channels_last if channels_last(x) else torch.contiguous_format)


def channels_last(x: Tensor) -> bool:
    """Whether a dense [N, C, H, W] has the layout [N, H, W, C], and not also [N, C, H, W]."""
    return x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
