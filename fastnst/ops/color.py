"""Colour transfer between pictures. Formula: ``fastnst.reference.color``.

One target may serve all pictures of a batch, so its moments are an operator of their own (``color_moments``). The other
operator (``color_apply``) takes pictures and the moments that they shall get.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastnst import dispatch, reference
from fastnst.ops.differentiable import differentiable
from fastnst.ops.documented import documented
from fastnst.ops.operators import define
from fastnst.reference.color import COLOR_EPS, check_color
from fastnst.reference.inputs import result_dtype


def _vector(x: Tensor) -> Tensor:
    return x.new_empty((x.shape[0], 3), dtype=torch.float64)


def _matrix(x: Tensor) -> Tensor:
    return x.new_empty((x.shape[0], 3, 3), dtype=torch.float64)


_color_moments = define("color", "color_moments(Tensor x) -> (Tensor, Tensor)", lambda x: (_vector(x), _matrix(x)))
_color_moments_backward = define(
    "color",
    "color_moments_backward(Tensor grad_mean, Tensor grad_covariance, Tensor x, Tensor mean) -> Tensor",
    lambda _grad_mean, _grad_covariance, x, _mean: torch.empty_like(x),
)
_color_apply = define(
    "color",
    "color_apply(Tensor source, Tensor target_mean, Tensor target_covariance, float strength, float eps) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    lambda source, *_: (torch.empty_like(source), _vector(source), _matrix(source), _matrix(source), _vector(source)),
)
_color_apply_backward = define(
    "color",
    "color_apply_backward(Tensor grad, Tensor source, Tensor mean, Tensor basis, Tensor dual, Tensor values, float strength) "
    "-> (Tensor, Tensor, Tensor)",
    lambda _grad, source, *_: (torch.empty_like(source), _vector(source), _matrix(source)),
)


def _transferred(backend: str, source: Tensor, target: Tensor, strength: float, eps: float) -> tuple[Tensor, ...]:
    """The result, then the target's means and what the gradient needs from the source."""
    mean, covariance = _color_moments(backend, target)
    batch = source.shape[0]
    out, *kept = _color_apply(backend, source, mean.expand(batch, -1), covariance.expand(batch, -1, -1), strength, eps)
    return out, mean, *kept


def _gradients(
    backend: str,
    wanted: Sequence[bool],
    grads: Sequence[Tensor],
    kept: Sequence[Tensor],
    tensors: Sequence[Tensor],
    strength: float,
    _eps: float,
) -> tuple[Tensor, Tensor | None]:
    (source, target), (target_mean, *rest) = tensors, kept
    dsource, *of_moments = _color_apply_backward(backend, *grads, source, *rest, strength)
    if not wanted[1]:
        return dsource, None
    if target.shape[0] != source.shape[0]:
        of_moments = [each.sum(0, keepdim=True) for each in of_moments]
    return dsource, _color_moments_backward(backend, *of_moments, target, target_mean)


_color_transfer = differentiable("ColorTransfer", _transferred, _gradients, reference.color_transfer)


@documented(reference.color_transfer)
def color_transfer(source: Tensor, target: Tensor, strength: float = 1.0, eps: float = COLOR_EPS) -> Tensor:
    check_color(source, target, strength, eps)
    dtype = result_dtype(source, target)
    source, target = source.to(dtype), target.to(dtype)
    backend = dispatch.choose("color", source, target)
    if backend == "reference":
        return reference.color_transfer(source, target, strength, eps)
    return _color_transfer(backend, [source, target], strength, eps)  # type: ignore[no-any-return]
