"""Whitening and colouring. Formulas: ``fastnst.reference.wct``.

Three steps, each with a derivative of its own: the roots of the content's covariance and of the style's (``covariance_roots``;
``covariance_root`` of one alone), their product T (C x C, float64), and T x + b on the features, in one pass (``transform``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastnst import dispatch, reference
from fastnst.ops.differentiable import differentiable
from fastnst.ops.documented import documented
from fastnst.ops.operators import define
from fastnst.reference.inputs import check, check_same, full_precision, result_dtype
from fastnst.reference.wct import (
    PRESETS,
    Preset,
    StyleRoot,
    check_pair,
    covariance_root,
    feature_dtype,
    rules_of,
)


def _fake_root(backend: str, x: Tensor, *_: Any) -> tuple[Tensor, ...]:
    batch, channels, positions = x.shape
    rank = 0 if backend == "triton" else min(channels, positions)  # the iteration in Triton gives no eigenvectors
    shapes = (batch, channels, channels), (batch, channels, 1), (batch, channels, rank), (batch, rank)
    return tuple(x.new_empty(shape, dtype=torch.float64) for shape in shapes)


def _fake_roots(backend: str, content: Tensor, style: Tensor, *_: float) -> tuple[Tensor, ...]:
    return *_fake_root(backend, content), *_fake_root(backend, style)


def _fake_transform_backward(_grad: Tensor, x: Tensor, matrix: Tensor) -> tuple[Tensor, ...]:
    return torch.empty_like(x), torch.empty_like(matrix), matrix.new_empty((*matrix.shape[:2], 1))


_covariance_roots = define(
    "wct",
    "covariance_roots(Tensor content, Tensor style, float content_ridge, float style_ridge, float cutoff) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    _fake_roots,
    by_backend=True,
)
_covariance_root = define(
    "wct",
    "covariance_root(Tensor x, float ridge, float cutoff, bool inverse) -> (Tensor, Tensor, Tensor, Tensor)",
    _fake_root,
    by_backend=True,
)
_covariance_root_backward = define(
    "wct",
    "covariance_root_backward(Tensor grad_root, Tensor grad_mean, Tensor x, Tensor mean, Tensor root, Tensor vectors, "
    "Tensor values, float ridge, float cutoff, bool inverse) -> Tensor",
    lambda _grad_root, _grad_mean, x, *_: torch.empty_like(x),
)
_transform = define(
    "wct", "transform(Tensor x, Tensor matrix, Tensor offset) -> Tensor", lambda x, _matrix, _offset: torch.empty_like(x)
)
_transform_backward = define(
    "wct", "transform_backward(Tensor grad, Tensor x, Tensor matrix) -> (Tensor, Tensor, Tensor)", _fake_transform_backward
)


def _roots_backward(
    backend: str,
    wanted: Sequence[bool],
    grads: Sequence[Tensor],
    kept: Sequence[Tensor],
    tensors: Sequence[Tensor],
    content_ridge: float,
    style_ridge: float,
    cutoff: float,
) -> list[Tensor | None]:
    (root, mean, style_root, style_mean, *spectra) = kept
    sides = (
        (mean, root, *spectra[:2], content_ridge, cutoff, True),
        (style_mean, style_root, *spectra[2:], style_ridge, cutoff, False),
    )
    return [
        _covariance_root_backward(backend, *grads[2 * i : 2 * i + 2], x, *side) if each else None
        for i, (x, side, each) in enumerate(zip(tensors, sides, wanted, strict=True))
    ]


def _root_backward(
    backend: str,
    _wanted: Sequence[bool],
    grads: Sequence[Tensor],
    kept: Sequence[Tensor],
    tensors: Sequence[Tensor],
    ridge: float,
    cutoff: float,
    inverse: bool,
) -> list[Tensor | None]:
    (root, mean, *spectrum), (x,) = kept, tensors
    return [_covariance_root_backward(backend, *grads, x, mean, root, *spectrum, ridge, cutoff, inverse)]


def _root_formula(x: Tensor, ridge: float, cutoff: float, inverse: bool) -> tuple[Tensor, Tensor]:
    return covariance_root(x.to(torch.float64), ridge, cutoff, inverse=inverse)


def _roots(backend: str, *arguments: Any) -> tuple[Tensor, ...]:
    """The results, which are both roots and means, then the eigenvectors and eigenvalues."""
    found = _covariance_roots(backend, *arguments)
    return *found[:2], *found[4:6], *found[2:4], *found[6:]


def _roots_formula(
    content: Tensor, style: Tensor, content_ridge: float, style_ridge: float, cutoff: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return *_root_formula(content, content_ridge, cutoff, True), *_root_formula(style, style_ridge, cutoff, False)


# The content's inverse root and means and the style's root and means in one operator, for backends that gain by it.
_covariance_roots_of = differentiable("CovarianceRoots", _roots, _roots_backward, _roots_formula, results=4, kept=0)
_covariance_root_of = differentiable("CovarianceRoot", _covariance_root, _root_backward, _root_formula, results=2, kept=0)
_transform_by = differentiable(
    "Transform",
    _transform,
    lambda backend, _wanted, grads, _kept, tensors: _transform_backward(backend, *grads, *tensors[:2]),
    lambda x, matrix, offset: (matrix @ x.to(torch.float64) + offset).to(x.dtype),
)


def _stylized(content: Tensor, style: Tensor | StyleRoot, alpha: float, rules: Preset, backend: str) -> Tensor:
    """The transform of features [B, C, n] towards [B, C, m], blended with the content by ``alpha``."""
    wanted = [content, *style] if isinstance(style, StyleRoot) else [content, style]
    if torch.is_grad_enabled() and any(each.requires_grad for each in wanted):
        # The content's gradient is a sum of two terms that almost cancel, so 16 bits are too few.
        wide = _transformed(content.float(), style if isinstance(style, StyleRoot) else style.float(), alpha, rules, backend)
        return wide.to(content.dtype)
    return _transformed(content, style, alpha, rules, backend)


def _transformed(content: Tensor, style: Tensor | StyleRoot, alpha: float, rules: Preset, backend: str) -> Tensor:
    if isinstance(style, StyleRoot):
        whitening, mean = _covariance_root_of(backend, [content], rules.content_ridge, rules.cutoff, True)
        coloring, style_mean = style
    else:
        settings = rules.content_ridge, rules.style_ridge, rules.cutoff
        whitening, mean, coloring, style_mean = _covariance_roots_of(backend, [content, style], *settings)
    with full_precision(whitening):
        matrix = coloring @ whitening
        if not rules.clamp:  # the blend is linear too
            matrix = alpha * matrix + (1 - alpha) * torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
            style_mean = alpha * style_mean + (1 - alpha) * mean
        offset = style_mean - matrix @ mean
    result: Tensor = _transform_by(backend, [content, matrix, offset])
    if not rules.clamp:
        return result
    result = result.clamp(content.amin((-2, -1), keepdim=True), content.amax((-2, -1), keepdim=True))
    return alpha * result + (1 - alpha) * content


@documented(reference.whiten_and_color)
def whiten_and_color(content_feat: Tensor, style_feat: Tensor) -> Tensor:
    check("content_feat", content_feat, "CN")
    check("style_feat", style_feat, "CN")
    check_same("channels of content and style", content_feat.shape[0], style_feat.shape[0])
    dtype, rules = result_dtype(content_feat, style_feat), PRESETS["pytorchwct"]
    content, style = content_feat.to(dtype)[None], style_feat.to(dtype)[None]
    backend = dispatch.choose("wct", content, style, rules=rules)
    if backend == "reference":
        return reference.whiten_and_color(content_feat, style_feat)
    return _stylized(content, style, 1.0, rules, backend)[0]


@documented(reference.wct_style)
def wct_style(
    style_feat: Tensor, preset: str = "paper", style_ridge: float | None = None, cutoff: float | None = None
) -> StyleRoot:
    check("style_feat", style_feat, "NCHW", empty_batch=True)
    rules = rules_of(preset, style_ridge=style_ridge, cutoff=cutoff)
    style = style_feat.flatten(2)
    backend = dispatch.choose("wct", style, rules=rules)
    if backend == "reference":
        return reference.wct_style(style_feat, preset, style_ridge, cutoff)
    if torch.is_grad_enabled() and style.requires_grad:
        style = style.float()  # as in ``wct``
    return StyleRoot(*_covariance_root_of(backend, [style], rules.style_ridge, rules.cutoff, False))


@documented(reference.wct)
def wct(
    content_feat: Tensor,
    style_feat: Tensor | StyleRoot,
    alpha: float = 1.0,
    preset: str = "paper",
    content_ridge: float | None = None,
    style_ridge: float | None = None,
    cutoff: float | None = None,
) -> Tensor:
    check_pair(content_feat, style_feat, style_ridge)
    rules = rules_of(preset, content_ridge=content_ridge, style_ridge=style_ridge, cutoff=cutoff)
    dtype = feature_dtype(content_feat, style_feat)
    content = content_feat.to(dtype).flatten(2)
    style = style_feat if isinstance(style_feat, StyleRoot) else style_feat.to(dtype).flatten(2)
    backend = dispatch.choose("wct", content, *(() if isinstance(style, StyleRoot) else (style,)), rules=rules)
    if backend == "reference":
        return reference.wct(content_feat, style_feat, alpha, preset, content_ridge, style_ridge, cutoff)
    return _stylized(content, style, alpha, rules, backend).view(content_feat.shape)
