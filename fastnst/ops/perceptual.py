"""Perceptual losses, mean errors and Gram matrices. Formulas: ``fastnst.reference.perceptual``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastnst import dispatch, reference
from fastnst.ops.differentiable import differentiable
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
    by_image=False,
)
_mean_error_backward = define(
    "perceptual",
    "mean_error_backward(Tensor grad, Tensor x, Tensor y, bool squared) -> Tensor",
    lambda _grad, x, *_: torch.empty_like(x),
    by_image=False,
)


def _both_errors(
    backend: str, wanted: Sequence[bool], grads: Sequence[Tensor], _kept: Any, pair: Sequence[Tensor], squared: bool
) -> tuple[Tensor | None, Tensor | None]:
    x, y = pair
    return (
        _mean_error_backward(backend, grads[0], x, y, squared) if wanted[0] else None,
        _mean_error_backward(backend, grads[0], y, x, squared) if wanted[1] else None,
    )


_mean_error_of = differentiable(
    "MeanError", _mean_error, _both_errors, lambda x, y, squared: mean_error(x, y, "l2" if squared else "l1")
)
_gram_of = differentiable(
    "Gram",
    _gram,
    lambda backend, _wanted, grads, _kept, tensors: (_gram_backward(backend, grads[0], *tensors),),
    lambda x: reference.gram_matrix(x.to(torch.float32)),
)


def _compare(feat: Tensor, target_feat: Tensor, error: str) -> Tensor:
    """The mean error between two maps, in float32 at least; 16-bit maps are not copied to a wider type."""
    dtype = result_dtype(feat, target_feat)
    pair = feat.to(dtype), target_feat.to(dtype)
    backend = dispatch.choose("perceptual", *pair)
    if backend == "reference":
        return mean_error(*pair, error)
    return _mean_error_of(backend, pair, error == "l2")  # type: ignore[no-any-return]


def _wide_gram(feat: Tensor) -> Tensor:
    """``gram_matrix`` in float32 at least."""
    backend = dispatch.choose("perceptual", feat)
    if backend == "reference":
        return reference.gram_matrix(feat.to(torch.promote_types(feat.dtype, torch.float32)))
    return _gram_of(backend, [feat])  # type: ignore[no-any-return]


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
