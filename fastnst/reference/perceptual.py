"""Gram matrices (Gatys et al., CVPR 2016) and the losses on a network's features that use them (Johnson et al., ECCV 2016)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.reference.inputs import check, check_same, full_precision, widen

ERRORS = {"l1": F.l1_loss, "l2": F.mse_loss}


def gram_matrix(feat: Tensor) -> Tensor:
    r"""Products of all pairs of channels, summed over the positions.

    .. math:: G_{ij} = \frac{1}{C H W} \sum_p x_{ip}\,x_{jp}

    Args:
        feat: [N, C, H, W]. N may be 0.

    Returns:
        [N, C, C] in ``feat``'s type, computed in float32 at least: float16 overflows in no sum, only if G itself does.

    Channels are not centred. No input is degenerate as long as it is not empty.

    Source: Johnson et al., section 3.2 (Gatys et al. leave the divisor to the loss).
    """
    check("feat", feat, "NCHW", empty_batch=True)
    return _wide_gram(feat).to(feat.dtype)


def _gram(feat: Tensor) -> Tensor:
    values = feat.flatten(2)
    # Divided before the product, so that large features do not overflow in it.
    scaled = values / (values.shape[1] * values.shape[2])
    with full_precision(values):
        return scaled @ values.mT


def perceptual_loss(
    feats: Sequence[Tensor],
    target_feats: Sequence[Tensor],
    feature_weight: float | Sequence[float] = 1.0,
    style_weight: float | Sequence[float] = 0.0,
    error: str = "l2",
) -> Tensor:
    r"""The distance between a network's features of two images, level by level.

    .. math:: \sum_l w^F_l\,E(F_l, F^T_l) + w^S_l\,E(G(F_l), G(F^T_l))

    where E is the mean squared (``l2``) or mean absolute (``l1``) error and G is ``gram_matrix``.

    Args:
        feats: levels [N, C, H, W] of the image that is trained.
        target_feats: the same levels of the other image; gradients reach them as well. A level whose
            ``feature_weight`` is 0 may have other heights and widths.
        feature_weight: of the features themselves: one number for all levels or one per level.
        style_weight: of the Gram matrices, likewise. A weight of 0 leaves the term out.
        error: ``l2`` as in Johnson et al. and collaborative distillation, ``l1`` as in CRD, whose student has
            ``feature_weight=(0, 10, 0, 0)`` and ``style_weight=1e4`` on VGG-16's relu1_2, 2_2, 3_3 and 4_3.

    Returns:
        A scalar, float32 at least. With all weights 0 it is 0.

    Source: Johnson et al., section 3.2; the perceptual term of eq. 1 of Wang et al., CVPR 2020, is ``style_weight=0``.
    """
    return compare_levels(feats, target_feats, feature_weight, style_weight, error, mean_error, _wide_gram)


def mean_error(feat: Tensor, target_feat: Tensor, error: str) -> Tensor:
    """The mean error ``l1`` or ``l2`` between two maps of one size: a scalar, float32 at least."""
    wide, wanted = widen(feat, target_feat)
    return ERRORS[error](wide, wanted)


def _wide_gram(feat: Tensor) -> Tensor:
    return _gram(*widen(feat))


def compare_levels(
    feats: Sequence[Tensor],
    target_feats: Sequence[Tensor],
    feature_weight: float | Sequence[float],
    style_weight: float | Sequence[float],
    error: str,
    compare: Callable[[Tensor, Tensor, str], Tensor],
    gram: Callable[[Tensor], Tensor],
) -> Tensor:
    """``perceptual_loss`` with errors by ``compare`` and Gram matrices by ``gram``; both get the maps in their own types."""
    if not feats:
        raise ValueError("feats: expected at least one level")
    check_same("numbers of levels of feats and target_feats", len(feats), len(target_feats))
    if error not in ERRORS:
        raise ValueError(f"error: expected {' or '.join(ERRORS)}, got {error!r}")
    feature_weights = _per_level("feature_weight", feature_weight, len(feats))
    style_weights = _per_level("style_weight", style_weight, len(feats))
    levels = zip(feats, target_feats, feature_weights, style_weights, strict=True)
    return torch.stack([_level_loss(*level, error, compare, gram) for level in levels]).sum()


def _per_level(name: str, weight: float | Sequence[float], levels: int) -> Sequence[float]:
    if not isinstance(weight, Sequence):
        return [weight] * levels
    check_same(f"numbers of levels and of values in {name}", levels, len(weight))
    return weight


def _level_loss(
    feat: Tensor,
    target_feat: Tensor,
    feature_weight: float,
    style_weight: float,
    error: str,
    compare: Callable[[Tensor, Tensor, str], Tensor],
    gram: Callable[[Tensor], Tensor],
) -> Tensor:
    check("feats", feat, "NCHW")
    check("target_feats", target_feat, "NCHW")
    axes = 4 if feature_weight else 2
    check_same("sizes of a level of feats and target_feats", tuple(feat.shape[:axes]), tuple(target_feat.shape[:axes]))
    terms = []
    if feature_weight:
        terms.append(feature_weight * compare(feat, target_feat, error))
    if style_weight:
        terms.append(style_weight * mean_error(gram(feat), gram(target_feat), error))
    return torch.stack(terms).sum() if terms else widen(feat, target_feat)[0].new_zeros(())
