"""Roots of covariance matrices from eigenvalues, and gradients through them: plain PyTorch, on any device.

A spectrum is what ``covariance_root`` returns where it has eigenvalues: ``values``, float64 [B, k], of the covariance without
the ridge, and ``vectors``, float64 [B, C, k]. With fewer positions than channels k is n < C, and directions outside the span
of the vectors have the eigenvalue 0. A column of zeros replaces a vector that was only rounding noise; its eigenvalue is 0 too.
"""

from __future__ import annotations

import torch
from torch import Tensor


def lifted(centred: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """The spectrum of the covariance of ``centred`` [B, C, n], n < C, from eigenvectors [B, n, n] of centred^T centred."""
    channels, positions = centred.shape[-2:]
    directions = centred @ vectors
    squares = directions.square().sum(-2)
    kept = squares > _noise(squares, channels)
    values = torch.where(kept, squares / max(1, positions - 1), 0)
    return values, directions * torch.where(kept, squares.rsqrt(), 0).unsqueeze(-2)


def factor(values: Tensor, vectors: Tensor, ridge: float, cutoff: float, inverse: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The root of a covariance plus ``ridge`` as sign * factor factor^T + rest * identity.

    Returns:
        factor^T, [B, k, C]; sign and rest, [B, 1, 1].
    """
    images, rest = _images(values, vectors.shape[-2], ridge, cutoff, inverse)
    if vectors.shape[-1] == vectors.shape[-2]:
        rest = torch.zeros_like(rest)
    # Rest counts for the vectors' span too. The difference has one sign, because the root is a monotonic function of
    # eigenvalues.
    weights = images - rest
    sign = torch.where((weights < 0).any(-1, keepdim=True), -1.0, 1.0).to(weights)
    return vectors.mT * weights.abs().sqrt().unsqueeze(-1), sign.unsqueeze(-1), rest.unsqueeze(-1)


def slope(grad: Tensor, values: Tensor, vectors: Tensor, ridge: float, cutoff: float, inverse: bool) -> Tensor:
    r"""The gradient of the covariance, for the gradient ``grad`` [B, C, C] of its root.

    It is V (K * V^T G V) V^T with the divided differences K of the root (``fastnst.reference.linalg``). With fewer vectors
    than channels there is more to it, P G V K' V^T and its transpose, where P projects on what V does not span; here only the
    first of them is added, as whatever is multiplied by the result is data, and P times the data is 0.
    """
    channels, rank = vectors.shape[-2:]
    symmetric = (grad + grad.mT) / 2
    images, rest = _images(values, channels, ridge, cutoff, inverse)
    spectrum = values + ridge
    towards = symmetric @ vectors
    inner = vectors.mT @ towards
    half = vectors @ (_differences(spectrum, images, spectrum, images, inverse) * inner)
    if rank < channels:
        bottom = torch.full_like(rest, ridge)
        half = half + (towards - vectors @ inner) * _differences(bottom, rest, spectrum, images, inverse)
    return half @ vectors.mT


def _images(values: Tensor, channels: int, ridge: float, cutoff: float, inverse: bool) -> tuple[Tensor, Tensor]:
    """The root of each eigenvalue plus ``ridge``, 0 for those below the cutoff, and the same for the eigenvalue 0, [B, 1]."""
    spectrum = torch.nn.functional.pad(values, (0, 1)) + ridge
    kept = (spectrum >= cutoff) & (spectrum > _noise(spectrum, channels))
    roots = torch.where(kept, spectrum, 1).sqrt()
    images = torch.where(kept, 1 / roots if inverse else roots, 0)
    return images[..., :-1], images[..., -1:]


def _noise(spectrum: Tensor, channels: int) -> Tensor:
    """The bound [B, 1] up to which eigenvalues are rounding noise, from those [B, k] of a matrix with ``channels`` rows."""
    return spectrum.amax(-1, keepdim=True).clamp(min=0) * channels * torch.finfo(spectrum.dtype).eps


def _differences(rows: Tensor, row_images: Tensor, columns: Tensor, column_images: Tensor, inverse: bool) -> Tensor:
    """(f(a) - f(b)) / (a - b), its limit for equal arguments, for all a in ``rows`` and b in ``columns``."""
    a, b, of_a, of_b = rows.unsqueeze(-1), columns.unsqueeze(-2), row_images.unsqueeze(-1), column_images.unsqueeze(-2)
    both, one = (of_a > 0) & (of_b > 0), (of_a > 0) ^ (of_b > 0)
    # f is 1 / sqrt or sqrt. Where quotients are not used, the chosen values keep them finite.
    total = torch.where(both, of_a + of_b, 1)
    smooth = -(of_a * of_b).square() / total if inverse else 1 / total
    across = (of_a - of_b) / torch.where(one, a - b, 1)
    return torch.where(both, smooth, torch.where(one, across, 0))
