"""Colour transfer: one linear map gives the colours of a picture the mean and covariance of another's (Pitie and Kokaram)."""

from __future__ import annotations

import torch
from torch import Tensor

from fastnst.reference.inputs import check, check_same, full_precision, result_dtype, widen
from fastnst.reference.linalg import symmetric_inverse_sqrt, symmetric_sqrt

COLOR_EPS = 1e-5
"""Added to the diagonal of both covariances, in squared units of the picture: less than a step of 8 bits in a range of 0..1."""


def color_transfer(source: Tensor, target: Tensor, strength: float = 1.0, eps: float = COLOR_EPS) -> Tensor:
    r"""Give the colours of ``source`` the mean and covariance of ``target``'s, by the linear map that moves them least.

    .. math:: x + s \left( T (x - \mu_s) + \mu_t - x \right), \quad
       T = A^{-1/2} \left( A^{1/2} B A^{1/2} \right)^{1/2} A^{-1/2}, \quad
       A = \Sigma_s + \epsilon I, \; B = \Sigma_t + \epsilon I

    Args:
        source: [N, C, H, W], for pictures C = 3 and values 0..1.
        target: [N or 1, C, h, w].
        strength: s, from 0 (the source as it is) to 1.
        eps: added to the diagonal of both covariances. It bounds T where the source has hardly any variance along an axis.

    Returns:
        [N, C, H, W] in the type that PyTorch promotes both to; not clamped to any range. Covariances are means over the
        positions (divided by their number n, not n - 1), in float32 at least, T is computed in float64.

    A constant source becomes the target's mean. Values that are not finite raise ``torch.linalg.LinAlgError``, or on a GPU,
    where nothing waits to see them, make all of their picture NaN.

    Source: the Monge-Kantorovich solution of Pitie and Kokaram, CVMP 2007, section 2.3.
    """
    check_color(source, target, strength, eps)
    wide, wide_target = widen(source, target)
    mean, covariance = color_moments(wide)
    matrix, offset = color_map(mean, covariance, *color_moments(wide_target), strength, eps)
    with full_precision(wide):
        moved = matrix.to(wide.dtype) @ wide.flatten(2) + offset.to(wide.dtype).unsqueeze(-1)
    return moved.view_as(wide).to(result_dtype(source, target))


def check_color(source: Tensor, target: Tensor, strength: float, eps: float) -> None:
    """Raise ``ValueError`` unless these are arguments of ``color_transfer``."""
    check("source", source, "NCHW", empty_batch=True)
    check("target", target, "NCHW", empty_batch=True)
    check_same("channels of source and target", source.shape[1], target.shape[1])
    if target.shape[0] not in {1, source.shape[0]}:
        raise ValueError(f"target: expected a batch of 1 or as many as source has, {source.shape[0]}, got {target.shape[0]}")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength: expected 0 to 1, got {strength}")
    if not eps > 0:
        raise ValueError(f"eps: expected more than 0, got {eps}")


def color_moments(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [N, C] and covariance [N, C, C] of the colours of ``image`` [N, C, H, W], in its type."""
    values = image.flatten(2)
    mean = values.mean(2)
    centred = values - mean.unsqueeze(-1)
    with full_precision(image):
        return mean, centred @ centred.mT / values.shape[2]


def color_map(
    mean: Tensor, covariance: Tensor, target_mean: Tensor, target_covariance: Tensor, strength: float, eps: float
) -> tuple[Tensor, Tensor]:
    """The map x -> matrix x + offset of :func:`color_transfer`, float64 [N, C, C] and [N, C], from both pictures' moments."""
    identity = torch.eye(mean.shape[1], dtype=torch.float64, device=mean.device)
    a, b = (each.double() + eps * identity for each in (covariance, target_covariance))
    root, inverse = symmetric_sqrt(a), symmetric_inverse_sqrt(a)
    matrix = torch.lerp(identity, inverse @ symmetric_sqrt(root @ b @ root) @ inverse, strength)
    moved = strength * target_mean.double() + (1 - strength) * mean.double()
    return matrix, moved - (matrix @ mean.double().unsqueeze(-1)).squeeze(-1)
