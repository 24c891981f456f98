"""Adaptive instance normalisation (Huang and Belongie, ICCV 2017) and the colour matching that is used with it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.reference.inputs import check, check_same, result_dtype, widen
from fastnst.reference.linalg import centre, symmetric_inverse_sqrt, symmetric_sqrt


def calc_mean_std(feat: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    r"""Mean and standard deviation of every channel over its positions.

    .. math:: \mu = \frac1n \sum_p x_p, \quad \sigma = \sqrt{\frac1{n-1} \sum_p (x_p - \mu)^2 + \epsilon}

    Args:
        feat: [N, C, H, W]. N may be 0.
        eps: added to the variance (not to the standard deviation). With 0 a constant channel has no finite gradient.

    Returns:
        Two tensors [N, C, 1, 1] in ``feat``'s type, computed in float32 at least.

    The variance is unbiased, as in the published training code. A constant channel has the standard deviation sqrt(eps).
    Unlike that code, which gives NaN for a single position, this takes its variance as 0.

    Source: eqs. 5 and 6, with the n - 1 of the authors' code.
    """
    check("feat", feat, "NCHW", empty_batch=True)
    if not eps >= 0:
        raise ValueError(f"eps: expected at least 0, got {eps}")
    (wide,) = widen(feat)
    mean, std = _mean_std(wide, eps)
    return mean.to(feat.dtype), std.to(feat.dtype)


def _mean_std(feat: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    if feat.shape[0] == 0:  # var_mean warns of it
        empty = feat.sum((2, 3), keepdim=True)
        return empty, empty
    height, width = feat.shape[2:]
    variance, mean = torch.var_mean(feat, dim=(2, 3), correction=min(1, height * width - 1), keepdim=True)
    return mean, (variance + eps).sqrt()


def adaptive_instance_normalization(content_feat: Tensor, style_feat: Tensor) -> Tensor:
    r"""Give the content's channels the means and standard deviations of the style's.

    .. math:: \sigma_s \frac{x - \mu_c}{\sigma_c} + \mu_s

    Args:
        content_feat: [N, C, H, W].
        style_feat: [N, C, h, w].

    Returns:
        [N, C, H, W] in the type that PyTorch promotes both to; statistics and arithmetic in float32 at least.

    The statistics are those of ``calc_mean_std``. A constant content channel becomes the style's mean.

    Source: eq. 8.
    """
    check("content_feat", content_feat, "NCHW", empty_batch=True)
    check("style_feat", style_feat, "NCHW", empty_batch=True)
    check_same("batch and channels of content and style", tuple(content_feat.shape[:2]), tuple(style_feat.shape[:2]))
    content, style = widen(content_feat, style_feat)
    return _renormalize(content, *_mean_std(style)).to(result_dtype(content_feat, style_feat))


def renormalize(content_feat: Tensor, style_mean: Tensor, style_std: Tensor) -> Tensor:
    """``adaptive_instance_normalization`` to given statistics of a style.

    Args:
        content_feat: [N, C, H, W]. N may be 0.
        style_mean: [N, C, 1, 1] or [1, C, 1, 1].
        style_std: standard deviations, of a shape like ``style_mean``.

    Returns:
        [N, C, H, W] in the type that PyTorch promotes all three to; computed in float32 at least.
    """
    check("content_feat", content_feat, "NCHW", empty_batch=True)
    for name, statistic in (("style_mean", style_mean), ("style_std", style_std)):
        _check_statistic(name, statistic, content_feat)
    result = _renormalize(*widen(content_feat, style_mean, style_std))
    return result.to(result_dtype(content_feat, style_mean, style_std))


def _renormalize(content: Tensor, style_mean: Tensor, style_std: Tensor) -> Tensor:
    mean, std = _mean_std(content)
    return (content - mean) / std * style_std + style_mean


def _check_statistic(name: str, statistic: Tensor, feat: Tensor) -> None:
    batch, channels = feat.shape[:2]
    if tuple(statistic.shape) not in {(batch, channels, 1, 1), (1, channels, 1, 1)}:
        raise ValueError(f"{name}: expected [{batch} or 1, {channels}, 1, 1], got {list(statistic.shape)}")


def mean_variance_norm(feat: Tensor) -> Tensor:
    r"""Subtract from every channel its mean, and divide it by its standard deviation.

    .. math:: (x - \mu) / \sigma

    Args:
        feat: [N, C, H, W]. N may be 0.

    Returns:
        [N, C, H, W] in ``feat``'s type. The statistics are those of ``calc_mean_std``; a constant channel becomes 0.

    Source: the normalisation of Park and Lee, CVPR 2019 (SANet), as published with it.
    """
    check("feat", feat, "NCHW", empty_batch=True)
    (wide,) = widen(feat)
    mean, std = _mean_std(wide)
    return ((wide - mean) / std).to(feat.dtype)


def coral(source: Tensor, target: Tensor) -> Tensor:
    r"""Give the colours of the image ``source`` the mean and covariance of ``target``'s.

    .. math:: D_t\,(Z_t Z_t^T + I)^{1/2}\,(Z_s Z_s^T + I)^{-1/2}\,Z_s + \mu_t

    where the rows of Z are channels scaled to mean 0 and unbiased variance 1, and D is the diagonal of standard deviations.

    Args:
        source: [C, H, W].
        target: [C, h, w].

    Returns:
        [C, H, W] in the type that PyTorch promotes both to, computed in float64. Not clamped to any range.

    As published, the matrices are sums over the positions, not means. So the identity hardly counts, and for images of n and
    m pixels the result has sqrt(m / n) times the target's standard deviations: resize one to the size of the other first.
    Unlike the published code, which gives NaN for a constant channel, this takes its standard deviation as 0, and Z = 0.

    Source: Sun, Feng and Saenko, AAAI 2016, algorithm 1, on standardised channels as in the AdaIN code of N. Inoue.
    """
    check("source", source, "CHW")
    check("target", target, "CHW")
    check_same("channels of source and target", source.shape[0], target.shape[0])
    source_normal, _, _ = _standardize(source.double().flatten(1))
    target_normal, target_mean, target_std = _standardize(target.double().flatten(1))
    whitened = symmetric_inverse_sqrt(_scatter(source_normal)) @ source_normal
    matched = symmetric_sqrt(_scatter(target_normal)) @ whitened * target_std + target_mean
    return matched.view_as(source).to(result_dtype(source, target))


def _standardize(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows scaled to mean 0 and variance 1, their means and standard deviations; a constant row becomes 0, and has 0."""
    centred, mean = centre(values)
    variance = centred.square().sum(1, keepdim=True) / max(1, values.shape[1] - 1)
    varies = variance > 0
    std = torch.where(varies, variance, 1).sqrt()  # sqrt has no finite gradient at 0
    return centred / std, mean, std * varies


def _scatter(normal: Tensor) -> Tensor:
    return normal @ normal.mT + torch.eye(normal.shape[0], dtype=normal.dtype, device=normal.device)


def style_statistics_loss(feat: Tensor, target_feat: Tensor) -> Tensor:
    r"""AdaIN's style term for one level: how far the channels' statistics are from the target's.

    .. math:: \mathrm{mean}\,(\mu - \mu_t)^2 + \mathrm{mean}\,(\sigma - \sigma_t)^2

    Args:
        feat: [N, C, H, W].
        target_feat: [N, C, h, w]; gradients reach it as well.

    Returns:
        A scalar, float32 at least; means over N and C.

    The statistics are those of ``calc_mean_std``, which says what holds for constant channels and single positions.

    Source: eq. 13; the squares are means, as in the published code, where the paper writes norms.
    """
    check("feat", feat, "NCHW")
    check("target_feat", target_feat, "NCHW")
    check_same("batch and channels of feat and target", tuple(feat.shape[:2]), tuple(target_feat.shape[:2]))
    wide, wide_target = widen(feat, target_feat)
    return statistics_loss(wide, *_mean_std(wide_target))


def statistics_loss(feat: Tensor, target_mean: Tensor, target_std: Tensor) -> Tensor:
    """``style_statistics_loss`` with given statistics of the target.

    Args:
        feat: [N, C, H, W].
        target_mean: [N, C, 1, 1].
        target_std: standard deviations, [N, C, 1, 1].

    Returns:
        A scalar, float32 at least.
    """
    check("feat", feat, "NCHW")
    for name, statistic in (("target_mean", target_mean), ("target_std", target_std)):
        check_same(f"shapes of feat's statistics and {name}", (*feat.shape[:2], 1, 1), tuple(statistic.shape))
    wide, wanted_mean, wanted_std = widen(feat, target_mean, target_std)
    mean, std = _mean_std(wide)
    return F.mse_loss(mean, wanted_mean) + F.mse_loss(std, wanted_std)
