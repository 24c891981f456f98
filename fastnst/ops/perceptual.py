"""Perceptual losses and what they are made of: mean errors and Gram matrices. Formulas: ``fastnst.reference.perceptual``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastnst import dispatch, reference
from fastnst.ops.documented import documented
from fastnst.ops.operators import define
from fastnst.reference.inputs import check, result_dtype
from fastnst.reference.perceptual import compare_levels, mean_error

_gram = define(
    "perceptual",
    "gram(Tensor x) -> Tensor",
    lambda x: x.new_empty((x.shape[0], x.shape[1], x.shape[1]), dtype=torch.float32),
)
_gram_backward = define("perceptual", "gram_backward(Tensor grad, Tensor x) -> Tensor", lambda _grad, x: torch.empty_like(x))

_mean_error = define(
    "perceptual",
    "mean_error(Tensor x, Tensor y, bool squared) -> Tensor",
    lambda x, *_: x.new_empty((), dtype=torch.float32),
)
_mean_error_backward = define(
    "perceptual",
    "mean_error_backward(Tensor grad, Tensor x, Tensor y, bool squared) -> Tensor",
    lambda _grad, x, *_: torch.empty_like(x),
)


class _MeanError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, squared: bool, backend: str) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.squared, ctx.backend = squared, backend
        return _mean_error(backend, x, y, squared)  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, y = ctx.saved_tensors
        mine, theirs = ctx.needs_input_grad[:2]
        return (
            _mean_error_backward(ctx.backend, grad, x, y, ctx.squared) if mine else None,
            _mean_error_backward(ctx.backend, grad, y, x, ctx.squared) if theirs else None,
            None,
            None,
        )


class _Gram(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, backend: str) -> Tensor:
        ctx.save_for_backward(x)
        ctx.backend = backend
        return _gram(backend, x)  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _gram_backward(ctx.backend, grad, *ctx.saved_tensors), None


def _compare(feat: Tensor, target_feat: Tensor, error: str) -> Tensor:
    """The mean error between two maps, in float32 at least; 16-bit maps are read as they are."""
    dtype = result_dtype(feat, target_feat)
    pair = feat.to(dtype), target_feat.to(dtype)
    backend = dispatch.choose("perceptual", *pair)
    if backend == "reference":
        return mean_error(*pair, error)
    return _MeanError.apply(*pair, error == "l2", backend)  # type: ignore[no-untyped-call, no-any-return]


def _wide_gram(feat: Tensor) -> Tensor:
    """``gram_matrix`` in float32 at least."""
    backend = dispatch.choose("perceptual", feat)
    if backend == "reference":
        return reference.gram_matrix(feat.to(torch.promote_types(feat.dtype, torch.float32)))
    return _Gram.apply(feat, backend)  # type: ignore[no-untyped-call, no-any-return]


@documented(reference.gram_matrix)
def gram_matrix(feat: Tensor) -> Tensor:
    check("feat", feat, "NCHW", empty_batch=True)
    return _wide_gram(feat).to(feat.dtype)


@documented(reference.perceptual_loss)
def perceptual_loss(
    feats: Sequence[Tensor],
    target_feats: Sequence[Tensor],
    feature_weight: float | Sequence[float] = 1.0,
    style_weight: float | Sequence[float] = 0.0,
    error: str = "l2",
) -> Tensor:
    return compare_levels(feats, target_feats, feature_weight, style_weight, error, _compare, _wide_gram)
