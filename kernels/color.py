r"""Colour transfer: each backend provides passes over pictures, and this module the 3 x 3 matrices between them.

With A and B the two covariances plus eps times the identity, W the inverse square root of A, and

.. math:: A^{1/2} B A^{1/2} = V \mathrm{diag}(s)^2 V^T, \quad E = W V, \quad F = A^{1/2} V

the map is T = E diag(s) E^T. It is the positive solution of T A T = B, so that a change of A and B changes it by dT with

.. math:: dT\,A\,T + T\,A\,dT = dB - T\,dA\,T

whose adjoint takes a gradient G of T to F (E^T G E / (s_i + s_j)) F^T, that of B, and to this between -T and T, that of A.

Matrices, means and sums are float64: [N, 3, 3], [N, 3]. This is plain PyTorch on any device, and never waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fastnst.kernels.layout import laid_out_like

Moments = tuple[Tensor, Tensor]


class Term(NamedTuple):
    """A map of the colours of a picture, matrix (x - shift); matrix and shift are float32."""

    x: Tensor
    matrix: Tensor
    shift: Tensor


class Passes(NamedTuple):
    """The passes that a backend provides.

    Attributes:
        moments: takes a picture x [N, 3, H, W]; returns the means and covariances (divided by H W) of its channels.
        products: takes a gradient, a picture and its means; returns sum(grad) and sum(grad (x - mean)^T).
        sweep: takes one or two terms and an offset, float32 [N, 3]; returns their sum, a map like the first term's.
        eigenvalues: takes symmetric matrices [N, 3, 3]; returns the eigenvalues in any order, and the vectors as columns.
    """

    moments: Callable[[Tensor], Moments]
    products: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    sweep: Callable[[Sequence[Term], Tensor], Tensor]
    eigenvalues: Callable[[Tensor], tuple[Tensor, Tensor]]


def moments_backward(passes: Passes, grad_mean: Tensor, grad_covariance: Tensor, x: Tensor, mean: Tensor) -> Tensor:
    """The gradient that reaches ``x`` through its moments, like ``x``."""
    positions = x.shape[2] * x.shape[3]
    term, offset = _affine(x, (grad_covariance + grad_covariance.mT) / positions, mean, grad_mean / positions)
    return passes.sweep([term], offset)


def apply(
    passes: Passes, source: Tensor, target_mean: Tensor, target_covariance: Tensor, strength: float, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """``source`` [N, 3, H, W] with other moments, by ``strength``; then its means, E, F and s."""
    mean, covariance = passes.moments(source)
    basis, dual, values = _transport(passes, covariance, target_covariance, eps)
    moved = torch.lerp(mean, target_mean, strength)
    term, offset = _affine(source, _blended(_matrix(basis, values), strength), mean, moved)
    return passes.sweep([term], offset), mean, basis, dual, values


def apply_backward(
    passes: Passes, grad: Tensor, source: Tensor, mean: Tensor, basis: Tensor, dual: Tensor, values: Tensor, strength: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of ``apply``'s picture: of the source, and of the target's means and covariances.

    The direct part of a colour's gradient and the part that comes through the source's mean almost cancel where gradients are
    alike; so the mean of the gradient is subtracted before anything is multiplied.
    """
    grad = laid_out_like(source, grad)
    positions = source.shape[2] * source.shape[3]
    total, products = passes.products(grad, source, mean)
    matrix = _matrix(basis, values)
    of_target = strength * _transport_backward(products, basis, dual, values)
    of_source = -matrix @ of_target @ matrix
    middle = total / positions
    direct, offset = _affine(grad, _blended(matrix, strength), middle, (1 - strength) * middle)
    through, rest = _affine(source, of_source * (2 / positions), mean, torch.zeros_like(mean))
    return passes.sweep([direct, through], offset + rest), strength * total, of_target


def _transport(passes: Passes, covariance: Tensor, target_covariance: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """E, F and s. Eigenvalues that are rounding errors count as 0, and so do their inverses."""
    ridge = eps * torch.eye(3, dtype=covariance.dtype, device=covariance.device)
    spectrum, vectors = passes.eigenvalues(covariance + ridge)
    roots = _roots(spectrum)
    inverses = torch.where(roots > 0, 1 / roots, 0)
    root = (vectors * roots.unsqueeze(-2)) @ vectors.mT
    inner = root @ (target_covariance + ridge) @ root
    squares, directions = passes.eigenvalues((inner + inner.mT) / 2)
    return (vectors * inverses.unsqueeze(-2)) @ (vectors.mT @ directions), root @ directions, _roots(squares)


def _transport_backward(grad: Tensor, basis: Tensor, dual: Tensor, values: Tensor) -> Tensor:
    """The gradient of the target's covariance, symmetric, for the gradient of T."""
    sums = values.unsqueeze(-1) + values.unsqueeze(-2)
    inner = basis.mT @ ((grad + grad.mT) / 2) @ basis
    return dual @ torch.where(sums > 0, inner / sums, 0) @ dual.mT


def _roots(spectrum: Tensor) -> Tensor:
    noise = spectrum.amax(-1, keepdim=True) * spectrum.shape[-1] * torch.finfo(spectrum.dtype).eps
    return torch.where(spectrum <= noise.clamp(min=0), 0, spectrum).sqrt()  # of NaN: NaN


def _matrix(basis: Tensor, values: Tensor) -> Tensor:
    return (basis * values.unsqueeze(-2)) @ basis.mT


def _blended(matrix: Tensor, strength: float) -> Tensor:
    return torch.lerp(torch.eye(3, dtype=matrix.dtype, device=matrix.device), matrix, strength)


def _affine(x: Tensor, matrix: Tensor, centre: Tensor, value: Tensor) -> tuple[Term, Tensor]:
    """matrix (x - centre) + value as a term and an offset in float32.

    If the centre is large, its rounding error would show in all colours: the offset corrects it.
    """
    shift = centre.float()
    offset = value + (matrix @ (shift.double() - centre).unsqueeze(-1)).squeeze(-1)
    return Term(x, matrix.float().contiguous(), shift.contiguous()), offset.float().contiguous()
