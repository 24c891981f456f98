"""Roots of covariance matrices, with derivatives that exist where those of the eigenvectors do not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def centre(values: Tensor) -> tuple[Tensor, Tensor]:
    """``values`` [..., C, n] minus the mean [..., C, 1] of each row, and that mean.

    A row that is constant up to float64's rounding becomes exactly zero: the rounding of its mean must not pass for a
    variance that whitening then scales to 1. Gradients are those of the plain difference.
    """
    mean = values.mean(-1, keepdim=True)
    centred = values - mean
    constant = centred.abs().amax(-1, keepdim=True) <= 1e-12 * mean.abs()
    return centred - centred.detach() * constant, mean


def symmetric_sqrt(matrix: Tensor, cutoff: float = 0.0) -> Tensor:
    r"""Square root of the part of a symmetric ``matrix`` that lies above ``cutoff``.

    .. math:: V\,\mathrm{diag}(f(\lambda))\,V^T, \quad
       f(\lambda) = \sqrt\lambda \text{ if } \lambda \ge \text{cutoff, else } 0

    Args:
        matrix: [..., C, C]; its symmetric part is what counts.
        cutoff: the smallest eigenvalue that is kept. Eigenvalues up to C * epsilon * (the largest one), which are
            rounding noise, and those up to 0 are never kept.

    The gradient is the divided difference (Daleckii and Krein, 1965)

    .. math:: V \left( K \circ V^T G V \right) V^T, \quad
       K_{ij} = \frac{f(\lambda_i) - f(\lambda_j)}{\lambda_i - \lambda_j}

    in its limit f' where eigenvalues coincide, so it is finite there, unlike the gradient through ``eigh``. Where an
    eigenvalue meets the cutoff the function jumps and has no derivative.
    """
    root: Tensor = _Root.apply(matrix, cutoff, False)  # type: ignore[no-untyped-call]
    return root


def symmetric_inverse_sqrt(matrix: Tensor, cutoff: float = 0.0) -> Tensor:
    """Like ``symmetric_sqrt`` with f = 1 / sqrt: the inverse square root on what is kept, 0 elsewhere."""
    root: Tensor = _Root.apply(matrix, cutoff, True)  # type: ignore[no-untyped-call]
    return root


class _Root(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Tensor, cutoff: float, inverse: bool) -> Tensor:
        eigenvalues, vectors = torch.linalg.eigh((matrix + matrix.mT) / 2)
        noise = eigenvalues[..., -1:] * matrix.shape[-1] * torch.finfo(matrix.dtype).eps
        kept = (eigenvalues >= cutoff) & (eigenvalues > noise.clamp(min=0))
        roots = torch.where(kept, eigenvalues, 1).sqrt()
        images = torch.where(kept, 1 / roots if inverse else roots, 0)
        ctx.save_for_backward(vectors, eigenvalues, roots, images, kept)
        ctx.inverse = inverse
        root: Tensor = (vectors * images.unsqueeze(-2)) @ vectors.mT
        return root

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        vectors, *spectrum = ctx.saved_tensors
        inner = vectors.mT @ ((gradient + gradient.mT) / 2) @ vectors
        return vectors @ (_divided_differences(*spectrum, inverse=ctx.inverse) * inner) @ vectors.mT, None, None


def _divided_differences(eigenvalues: Tensor, roots: Tensor, images: Tensor, kept: Tensor, *, inverse: bool) -> Tensor:
    """K of ``symmetric_sqrt``, [..., C, C], in forms that lose no digits where two eigenvalues are close."""
    rows, columns = roots.unsqueeze(-1), roots.unsqueeze(-2)
    smooth = -1 / (rows * columns * (rows + columns)) if inverse else 1 / (rows + columns)
    both = kept.unsqueeze(-1) & kept.unsqueeze(-2)
    one = kept.unsqueeze(-1) ^ kept.unsqueeze(-2)
    # On two sides of the cutoff eigenvalues differ, so this divides by zero only where it is not taken.
    gap = torch.where(one, eigenvalues.unsqueeze(-1) - eigenvalues.unsqueeze(-2), 1)
    across = (images.unsqueeze(-1) - images.unsqueeze(-2)) / gap
    return torch.where(both, smooth, torch.where(one, across, 0))
