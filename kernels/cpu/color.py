"""Colour transfer on the CPU, forward and backward (``csrc/ops/color.cpp``). Matrices: ``fastnst.kernels.color``.

Pictures are dense [N, 3, H, W] of one type per call; everything else is contiguous float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from fastnst import _engine
from fastnst.kernels import color
from fastnst.kernels.cpu.arguments import threads
from fastnst.kernels.cpu.memory import empty_like


def color_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Means [N, 3] and covariances [N, 3, 3] of the colours of ``x``."""
    mean, covariance = _sums(x)
    _engine.color_moments(x, mean, covariance, threads())
    return mean, covariance


def _products(grad: Tensor, x: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    total, products = _sums(x)
    _engine.color_products(grad, x, mean, total, products, threads())
    return total, products


def _sweep(terms: Sequence[color.Term], offset: Tensor) -> Tensor:
    out = empty_like(terms[0].x)
    _engine.color_sweep(terms[0], terms[1] if len(terms) > 1 else None, offset, out, threads())
    return out


def _sums(x: Tensor) -> tuple[Tensor, Tensor]:
    sums = x.new_empty((x.shape[0], 3), dtype=torch.float64)
    return sums, sums.new_empty((x.shape[0], 3, 3))


PASSES = color.Passes(color_moments, _products, _sweep, torch.linalg.eigh)
color_moments_backward = partial(color.moments_backward, PASSES)
color_apply = partial(color.apply, PASSES)
color_apply_backward = partial(color.apply_backward, PASSES)
