"""Statistics of channels, adaptive instance normalisation and their gradients.

A row is one channel of one image: n = H W numbers. Where rows are short enough and there are enough of them, one program keeps
one row in registers, so that every tensor is read once (``adain_rows.py``). Otherwise, and in channels_last, rows are split:
partial sums of pieces, their merge, one sweep (``adain_pieces.py``). Without atomics, equal calls give equal bits. Variances
are never computed as E[x^2] - E[x]^2, which loses digits.

Everywhere ``row`` counts images times channels, statistics are float32 [N, C, 1, 1], and the unbiased n - 1 is max(n - 1, 1).

Triton compiles a kernel separately for sizes that are 1, a multiple of 16, or neither, because that decides whether memory is
read in vectors. Sizes on which no address depends are named in ``do_not_specialize``, so that they cause no compilation.
"""

from __future__ import annotations

import torch
import triton
from torch import Tensor

from fastnst.kernels.layout import channels_last
from fastnst.kernels.triton.adain_pieces import (
    Pieces,
    affine_kernel,
    grad_merge_kernel,
    grad_piece_kernel,
    grad_sweep_kernel,
    stats_merge_kernel,
    stats_piece_kernel,
)
from fastnst.kernels.triton.adain_rows import (
    LONGEST_ROW,
    adain_backward_row_kernel,
    adain_row_kernel,
    on_chip,
    size,
    start_rows,
    stats_row_kernel,
)


def channel_stats(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and sqrt(unbiased variance + eps) of every channel of x [N, C, H, W]."""
    mean, std = statistic(x), statistic(x)
    if on_chip(LONGEST_ROW, x):
        start_rows(stats_row_kernel, (size(x),), x, mean, std, size(x), float(eps), BLOCK=triton.next_power_of_2(size(x)))
    else:
        pieces = Pieces(x)
        means, squares = pieces.partial(x), pieces.partial(x)
        pieces.start(stats_piece_kernel, x, means, squares)
        pieces.merge(stats_merge_kernel, means, squares, mean, std, float(eps))
    return mean, std


def channel_stats_backward(grad_mean: Tensor, grad_std: Tensor, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """dx = grad_mean / n + grad_std (x - mean) / (max(n - 1, 1) std)."""
    dx = torch.empty_like(x)
    factors = 1 / max(size(x) - 1, 1), 1 / size(x)
    Pieces(x).start(affine_kernel, x, dx, mean, grad_std, std, grad_mean, *factors)
    return dx


def adain_apply(content: Tensor, style_mean: Tensor, style_std: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """(content - mean) / std * style_std + style_mean, and the content's mean and std."""
    if on_chip(LONGEST_ROW, content):
        out, mean, std = torch.empty_like(content), statistic(content), statistic(content)
        start_rows(
            adain_row_kernel,
            (size(content),),
            *(content, None, out, mean, std, style_mean, style_std, size(content), 1, float(eps)),
            KNOWN=True,
            BLOCK=triton.next_power_of_2(size(content)),
            STYLE_BLOCK=1,
        )
        return out, mean, std
    mean, std = channel_stats(content, eps)
    out = torch.empty_like(content)
    Pieces(content).start(affine_kernel, content, out, mean, style_std, std, style_mean, 1.0, 1.0)
    return out, mean, std


def adain_apply_backward(
    grad: Tensor, content: Tensor, mean: Tensor, std: Tensor, style_std: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of ``adain_apply``'s result with respect to content, style_mean and style_std."""
    grad = laid_out_as(content, grad)
    dcontent, dstyle_mean, dstyle_std = torch.empty_like(content), statistic(content), statistic(content)
    if on_chip(LONGEST_ROW // 2, content):
        start_rows(
            adain_backward_row_kernel,
            (size(content),) * 2,
            *(grad, content, None, dcontent, None, dstyle_mean, dstyle_std, mean, std, None, style_std, size(content), 1),
            KNOWN=True,
            BLOCK=triton.next_power_of_2(size(content)),
            STYLE_BLOCK=1,
        )
        return dcontent, dstyle_mean, dstyle_std
    pieces = Pieces(content)
    sums, products = pieces.partial(content), pieces.partial(content)
    pieces.start(grad_piece_kernel, grad, content, mean, sums, products)
    pieces.merge(grad_merge_kernel, sums, products, std, dstyle_mean, dstyle_std)
    pieces.start(grad_sweep_kernel, grad, content, dcontent, mean, std, style_std, dstyle_mean, dstyle_std)
    return dcontent, dstyle_mean, dstyle_std


def adain(content: Tensor, style: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The content with the style's statistics, then mean and std of the content and of the style."""
    if on_chip(LONGEST_ROW, content, style):
        out = torch.empty_like(content)
        mean, std, style_mean, style_std = (statistic(content) for _ in range(4))
        start_rows(
            adain_row_kernel,
            (size(content), size(style)),
            *(content, style, out, mean, std, style_mean, style_std, size(content), size(style), float(eps)),
            KNOWN=False,
            BLOCK=triton.next_power_of_2(size(content)),
            STYLE_BLOCK=triton.next_power_of_2(size(style)),
        )
        return out, mean, std, style_mean, style_std
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
    """Gradients of ``adain``'s first result with respect to content and style."""
    if on_chip(LONGEST_ROW // 2, content, style):
        grad = laid_out_as(content, grad)
        dcontent, dstyle = torch.empty_like(content), torch.empty_like(style)
        statistics = content_mean, content_std, style_mean, style_std
        start_rows(
            adain_backward_row_kernel,
            (size(content), size(style)),
            *(grad, content, style, dcontent, dstyle, None, None, *statistics, size(content), size(style)),
            KNOWN=False,
            BLOCK=triton.next_power_of_2(size(content)),
            STYLE_BLOCK=triton.next_power_of_2(size(style)),
        )
        return dcontent, dstyle
    dcontent, dstyle_mean, dstyle_std = adain_apply_backward(grad, content, content_mean, content_std, style_std)
    return dcontent, channel_stats_backward(dstyle_mean, dstyle_std, style, style_mean, style_std)


def laid_out_as(x: Tensor, grad: Tensor) -> Tensor:
    """``grad`` in ``x``'s layout."""
    return grad.contiguous(memory_format=torch.channels_last if channels_last(x) else torch.contiguous_format)


def statistic(x: Tensor) -> Tensor:
    """A float32 number per row of ``x``."""
    return x.new_empty((*x.shape[:2], 1, 1), dtype=torch.float32)
