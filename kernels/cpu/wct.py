"""Whitening and colouring on the CPU: covariances and products with features by the compiled library, eigenvalues by LAPACK.

Features are contiguous [B, C, n] of any of the kernels' types; everything else is float64, spectra as ``fastnst.kernels.roots``
defines them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastnst import _engine
from fastnst.kernels import roots
from fastnst.kernels.cpu.arguments import left_factor, threads
from fastnst.kernels.cpu.memory import empty_like

Root = tuple[Tensor, Tensor, Tensor, Tensor]

WIDE_CHANNELS = 32
"""Up to this number of channels a product with features is limited by memory, and float64 takes hardly longer."""
WORTH_A_THREAD = 64
"""The number of rows from which on the eigenvalues of a matrix take longer than starting a thread."""


def covariance_root(x: Tensor, ridge: float, cutoff: float, inverse: bool) -> Root:
    """The root, or the inverse root, of the covariance of ``x`` plus ``ridge`` times the identity.

    Eigenvalues (of the sum) below ``cutoff`` are left out, and those that are rounding noise.

    Returns:
        The root [B, C, C], the means [B, C, 1], and the spectrum: vectors [B, C, k] and values [B, k], k = min(C, n).

    Raises:
        torch.linalg.LinAlgError: there are values that are not finite.
    """
    return _roots([x], [ridge], [inverse], cutoff)[0]


def covariance_roots(
    content: Tensor, style: Tensor, content_ridge: float, style_ridge: float, cutoff: float
) -> tuple[Tensor, ...]:
    """``covariance_root`` of the content, inverse, and of the style. LAPACK decomposes both matrices in parallel.

    That is faster than one after the other, because a single decomposition is far from twice as fast on two threads.
    """
    content_root, style_root = _roots([content, style], [content_ridge, style_ridge], [True, False], cutoff)
    return *content_root, *style_root


def covariance_root_backward(
    grad_root: Tensor,
    grad_mean: Tensor,
    x: Tensor,
    mean: Tensor,
    root: Tensor,  # noqa: ARG001 - for backends that have no spectrum
    vectors: Tensor,
    values: Tensor,
    ridge: float,
    cutoff: float,
    inverse: bool,
) -> Tensor:
    """The gradient of ``x`` for those of the root and of the means. Finite where eigenvalues coincide."""
    positions = x.shape[-1]
    matrix = roots.slope(grad_root, values, vectors, ridge, cutoff, inverse) * (2 / max(1, positions - 1))
    return _transform(x, matrix, mean, grad_mean / positions)


def transform(x: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """``matrix`` x + ``offset``, in ``x``'s type, for ``matrix`` [B, C, C] and ``offset`` [B, C, 1].

    Means are subtracted from ``x`` first, and ``matrix @ mean``, which may be large and cancel with the offset, is added in
    float64. The rest is a product in float32; in whitening its relative error in the weakest direction is about 3e-8 times the
    square root of the condition number. With few channels it is in float64 as well.
    """
    shift = _means(x).to(torch.float64 if x.shape[1] <= WIDE_CHANNELS else torch.float32)
    return _transform(x, matrix, shift, offset + matrix @ shift.double())


def transform_backward(grad: Tensor, x: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of ``x``, ``matrix`` and ``offset`` for the gradient ``grad`` [B, C, n], of ``x``'s type, of the result."""
    mean, total = _means(x), _means(grad) * x.shape[-1]
    products = torch.empty_like(matrix)
    _engine.wct_products(grad, None, x, mean, 1.0, products, threads())
    nothing = torch.zeros_like(mean, dtype=torch.float32)
    return _transform(grad, matrix.mT, nothing, nothing), torch.baddbmm(products, total, mean.mT), total


def _roots(xs: Sequence[Tensor], ridges: Sequence[float], inverse: Sequence[bool], cutoff: float) -> list[Root]:
    means = [_means(x) for x in xs]
    if not all(mean.isfinite().all() for mean in means):
        raise torch.linalg.LinAlgError("the features hold values that are not finite")  # LAPACK may notice, or return NaN
    # The eigenvalues are those of the smaller matrix; a difference from the mean in float64 is exact enough for both.
    tall = [x.shape[-1] >= x.shape[-2] for x in xs]
    centred = [None if tall[i] else x.double() - means[i] for i, x in enumerate(xs)]
    matrices = [_covariance(x, means[i]) if (c := centred[i]) is None else c.mT @ c for i, x in enumerate(xs)]
    result: list[Root] = []
    for i, (values, vectors) in enumerate(_eigenvalues(matrices)):
        c = centred[i]
        spectrum = (values, vectors) if c is None else roots.lifted(c, vectors)
        root = _root(*spectrum, ridges[i], cutoff, inverse[i])
        result.append((root, means[i], spectrum[1].contiguous(), spectrum[0]))
    return result


def _means(x: Tensor) -> Tensor:
    mean = x.new_empty((*x.shape[:2], 1), dtype=torch.float64)
    _engine.wct_means(x, mean, threads())
    return mean


def _covariance(x: Tensor, mean: Tensor) -> Tensor:
    batch, channels, positions = x.shape
    covariance = x.new_empty((batch, channels, channels), dtype=torch.float64)
    scale = 1 / max(1, positions - 1)
    _engine.wct_products(x, mean, None, None, scale, covariance, threads())
    return covariance


def _root(values: Tensor, vectors: Tensor, ridge: float, cutoff: float, inverse: bool) -> Tensor:
    factor, sign, rest = roots.factor(values, vectors, ridge, cutoff, inverse)
    factor = factor.contiguous()
    root = factor.new_empty((factor.shape[0], factor.shape[2], factor.shape[2]))
    _engine.wct_outer(factor, root, threads())
    root *= sign
    root.diagonal(dim1=-2, dim2=-1).add_(rest.squeeze(-1))
    return root


def _transform(x: Tensor, matrix: Tensor, shift: Tensor, offset: Tensor) -> Tensor:
    """``matrix`` (x - ``shift``) + ``offset``, computed in ``shift``'s type."""
    out = empty_like(x)
    _engine.wct_transform(left_factor(matrix, shift.dtype), x, shift, offset.to(shift.dtype).contiguous(), out, threads())
    return out


def _eigenvalues(matrices: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Eigenvalues and vectors of batches of symmetric matrices, one matrix per thread."""
    single = [matrix for batch in matrices for matrix in batch]
    if len(single) < 2 or max(matrix.shape[-1] for matrix in single) < WORTH_A_THREAD:
        return [tuple(torch.linalg.eigh(batch)) for batch in matrices]
    found: list[tuple[Tensor, Tensor]] = [(matrix, matrix) for matrix in single]
    order = sorted(range(len(single)), key=lambda i: -single[i].shape[-1])  # largest first, so that the last ones are short

    def decompose(place: int) -> None:
        torch.set_num_threads(1)  # otherwise LAPACK would divide its work among more threads than there are
        values, vectors = torch.linalg.eigh(single[order[place]])
        found[order[place]] = values, vectors.mT

    total = threads()
    try:
        _engine.call_each(len(single), decompose, total)
    finally:
        torch.set_num_threads(total)
    every = iter(found)
    split = [[next(every) for _ in batch] for batch in matrices]
    return [(torch.stack([v for v, _ in part]), torch.stack([q for _, q in part]).mT) for part in split]
