"""Gram matrices and the perceptual losses made of them. Formulas: ``fastnst.reference.perceptual``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastnst import dispatch, reference
from fastnst.ops.documented import documented
from fastnst.ops.operators import define
from fastnst.reference.inputs import check
from fastnst.reference.perceptual import compare_levels

_gram = define(
    "perceptual",
    "gram(Tensor x) -> Tensor",
    lambda x: x.new_empty((x.shape[0], x.shape[1], x.shape[1]), dtype=torch.float32),
)
_gram_backward = define("perceptual", "gram_backward(Tensor grad, Tensor x) -> Tensor", lambda _grad, x: torch.empty_like(x))


class _Gram(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, backend: str) -> Tensor:
        ctx.save_for_backward(x)
        ctx.backend = backend
        return _gram(backend, x)  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _gram_backward(ctx.backend, grad, *ctx.saved_tensors), None


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
    return compare_levels(feats, target_feats, feature_weight, style_weight, error, _wide_gram)
