"""AdaIN: channel statistics, the transform, and the style loss of statistics. Formulas: ``fastnst.reference.adain``."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst import dispatch, reference
from fastnst.ops.differentiable import differentiable
from fastnst.ops.documented import documented
from fastnst.ops.operators import define
from fastnst.reference.inputs import check, check_same, result_dtype

EPS = 1e-5


def _statistic(x: Tensor) -> Tensor:
    return x.new_empty((*x.shape[:2], 1, 1), dtype=torch.float32)


_channel_stats = define(
    "adain",
    "channel_stats(Tensor x, float eps) -> (Tensor, Tensor)",
    lambda x, _eps: (_statistic(x), _statistic(x)),
)
_channel_stats_backward = define(
    "adain",
    "channel_stats_backward(Tensor grad_mean, Tensor grad_std, Tensor x, Tensor mean, Tensor std) -> Tensor",
    lambda _grad_mean, _grad_std, x, _mean, _std: torch.empty_like(x),
)
_adain_apply = define(
    "adain",
    "adain_apply(Tensor content, Tensor style_mean, Tensor style_std, float eps) -> (Tensor, Tensor, Tensor)",
    lambda content, _mean, _std, _eps: (torch.empty_like(content), _statistic(content), _statistic(content)),
)
_adain_apply_backward = define(
    "adain",
    "adain_apply_backward(Tensor grad, Tensor content, Tensor mean, Tensor std, Tensor style_std) -> (Tensor, Tensor, Tensor)",
    lambda _grad, content, *_: (torch.empty_like(content), _statistic(content), _statistic(content)),
)
_adain = define(
    "adain",
    "adain(Tensor content, Tensor style, float eps) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    lambda content, style, _eps: (torch.empty_like(content), *(_statistic(each) for each in (content,) * 2 + (style,) * 2)),
)
_adain_backward = define(
    "adain",
    "adain_backward(Tensor grad, Tensor content, Tensor style, Tensor content_mean, Tensor content_std, Tensor style_mean, "
    "Tensor style_std) -> (Tensor, Tensor)",
    lambda _grad, content, style, *_: (torch.empty_like(content), torch.empty_like(style)),
)


_channel_stats_of = differentiable(
    "ChannelStats",
    _channel_stats,
    lambda backend, _wanted, grads, kept, tensors, _eps: (_channel_stats_backward(backend, *grads, *tensors, *kept),),
    lambda x, eps: reference.calc_mean_std(x.to(torch.float32), eps),
    results=2,
    kept=0,
)
_renormalize_to = differentiable(
    "Renormalize",
    lambda backend, content, mean, std: _adain_apply(backend, content, mean, std, EPS),
    lambda backend, _wanted, grads, kept, tensors: _adain_apply_backward(backend, *grads, tensors[0], *kept, tensors[2]),
    lambda content, mean, std: reference.renormalize(content, mean, std).to(content.dtype),
)
_adain_of = differentiable(
    "Adain",
    lambda backend, content, style: _adain(backend, content, style, EPS),
    lambda backend, _wanted, grads, kept, tensors: _adain_backward(backend, *grads, *tensors, *kept),
    reference.adaptive_instance_normalization,
)


def _statistics(feat: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, in float32 at least."""
    backend = dispatch.choose("adain", feat)
    if backend == "reference":
        wide = feat.to(torch.promote_types(feat.dtype, torch.float32))
        return reference.calc_mean_std(wide, eps)
    return _channel_stats_of(backend, [feat], eps)  # type: ignore[no-any-return]


@documented(reference.calc_mean_std)
def calc_mean_std(feat: Tensor, eps: float = EPS) -> tuple[Tensor, Tensor]:
    check("feat", feat, "NCHW", empty_batch=True)
    if not eps >= 0:
        raise ValueError(f"eps: expected at least 0, got {eps}")
    mean, std = _statistics(feat, eps)
    return mean.to(feat.dtype), std.to(feat.dtype)


@documented(reference.adaptive_instance_normalization)
def adaptive_instance_normalization(content_feat: Tensor, style_feat: Tensor) -> Tensor:
    check("content_feat", content_feat, "NCHW", empty_batch=True)
    check("style_feat", style_feat, "NCHW", empty_batch=True)
    check_same("batch and channels of content and style", tuple(content_feat.shape[:2]), tuple(style_feat.shape[:2]))
    dtype = result_dtype(content_feat, style_feat)
    content, style = content_feat.to(dtype), style_feat.to(dtype)
    backend = dispatch.choose("adain", content, style)
    if backend == "reference":
        return reference.adaptive_instance_normalization(content, style)
    return _adain_of(backend, [content, style])  # type: ignore[no-any-return]


@documented(reference.renormalize)
def renormalize(content_feat: Tensor, style_mean: Tensor, style_std: Tensor) -> Tensor:
    check("content_feat", content_feat, "NCHW", empty_batch=True)
    batch, channels = content_feat.shape[:2]
    for name, statistic in (("style_mean", style_mean), ("style_std", style_std)):
        if tuple(statistic.shape) not in {(batch, channels, 1, 1), (1, channels, 1, 1)}:
            raise ValueError(f"{name}: expected [{batch} or 1, {channels}, 1, 1], got {list(statistic.shape)}")
    dtype = result_dtype(content_feat, style_mean, style_std)
    content = content_feat.to(dtype)
    backend = dispatch.choose("adain", content)
    if backend == "reference":
        return reference.renormalize(content, style_mean, style_std)
    mean, std = (each.float().expand(batch, -1, -1, -1) for each in (style_mean, style_std))
    return _renormalize_to(backend, [content, mean, std])  # type: ignore[no-any-return]


@documented(reference.mean_variance_norm)
def mean_variance_norm(feat: Tensor) -> Tensor:
    check("feat", feat, "NCHW", empty_batch=True)
    backend = dispatch.choose("adain", feat)
    if backend == "reference":
        return reference.mean_variance_norm(feat)
    zeros = feat.new_zeros((*feat.shape[:2], 1, 1), dtype=torch.float32)
    return _renormalize_to(backend, [feat, zeros, zeros + 1])  # type: ignore[no-any-return]


@documented(reference.style_statistics_loss)
def style_statistics_loss(feat: Tensor, target_feat: Tensor) -> Tensor:
    check("feat", feat, "NCHW")
    check("target_feat", target_feat, "NCHW")
    check_same("batch and channels of feat and target", tuple(feat.shape[:2]), tuple(target_feat.shape[:2]))
    return statistics_loss(feat, *_statistics(target_feat, EPS))


@documented(reference.statistics_loss)
def statistics_loss(feat: Tensor, target_mean: Tensor, target_std: Tensor) -> Tensor:
    check("feat", feat, "NCHW")
    for name, statistic in (("target_mean", target_mean), ("target_std", target_std)):
        check_same(f"shapes of feat's statistics and {name}", (*feat.shape[:2], 1, 1), tuple(statistic.shape))
    mean, std = _statistics(feat, EPS)
    dtype = torch.promote_types(mean.dtype, result_dtype(target_mean, target_std))
    mean, std, wanted_mean, wanted_std = (each.to(dtype) for each in (mean, std, target_mean, target_std))
    return F.mse_loss(mean, wanted_mean) + F.mse_loss(std, wanted_std)


@documented(reference.coral)
def coral(source: Tensor, target: Tensor) -> Tensor:
    dispatch.choose("coral", source, target)
    return reference.coral(source, target)
