"""Roots of covariance matrices, with derivatives that exist where those of the eigenvectors do not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


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
    eigenvalue meets the cutoff the function jumps and has no derivative. The second derivative is made in the same way; a
    third one raises ``RuntimeError``.
    """
    return _root(matrix, cutoff, False)


def symmetric_inverse_sqrt(matrix: Tensor, cutoff: float = 0.0) -> Tensor:
    """Like ``symmetric_sqrt`` with f = 1 / sqrt: the inverse square root on what is kept, 0 elsewhere."""
    return _root(matrix, cutoff, True)


class _Root(Function):
    """The root, and what its derivatives are made of: the vectors, the eigenvalues, and which of them are kept."""

    generate_vmap_rule = True

    @staticmethod
    def forward(matrix: Tensor, cutoff: float, inverse: bool) -> tuple[Tensor, ...]:
        eigenvalues, vectors = torch.linalg.eigh((matrix + matrix.mT) / 2)
        noise = eigenvalues[..., -1:] * matrix.shape[-1] * torch.finfo(matrix.dtype).eps
        kept = (eigenvalues >= cutoff) & (eigenvalues > noise.clamp(min=0))
        _, images = _roots(eigenvalues, kept, inverse)
        return (vectors * images.unsqueeze(-2)) @ vectors.mT, vectors, eigenvalues, kept

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        matrix, _, ctx.inverse = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(matrix, *output[1:])
        if not torch.compiler.is_compiling():
            ctx.save_for_forward(matrix, *output[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, None, None]:
        return _slope(gradient, *ctx.saved_tensors, ctx.inverse), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        return _slope(tangent, *ctx.saved_tensors, ctx.inverse), None, None, None  # the derivative is its own adjoint


class _Slope(Function):
    """The derivative of the root along ``direction``: a function of that and of the matrix."""

    generate_vmap_rule = True

    @staticmethod
    def forward(direction: Tensor, matrix: Tensor, vectors: Tensor, eigenvalues: Tensor, kept: Tensor, inverse: bool) -> Tensor:  # noqa: ARG004
        differences = _divided_differences(eigenvalues, kept, inverse)
        return vectors @ (differences * (vectors.mT @ _symmetric(direction) @ vectors)) @ vectors.mT

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        *tensors, ctx.inverse = inputs
        ctx.save_for_backward(*tensors)
        if not torch.compiler.is_compiling():
            ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        direction, matrix, *rest = ctx.saved_tensors
        spectrum: tuple[Any, ...] = (*rest, ctx.inverse)
        curved = _Last.apply(_curvature(direction, gradient, *spectrum), matrix)  # type: ignore[no-untyped-call]
        return _slope(gradient, matrix, *spectrum), curved, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, of_direction: Tensor | None, of_matrix: Tensor | None, *_: None) -> Tensor:
        direction, matrix, *rest = ctx.saved_tensors
        spectrum: tuple[Any, ...] = (*rest, ctx.inverse)
        along = torch.zeros_like(direction) if of_direction is None else of_direction
        across = torch.zeros_like(matrix) if of_matrix is None else of_matrix
        curved: Tensor = _curvature(direction, across, *spectrum)
        return _slope(along, matrix, *spectrum) + curved


class _Last(Function):
    """Passes on ``value``, a second derivative at ``matrix``, and raises if its derivative by the matrix is asked for."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, matrix: Tensor) -> Tensor:  # noqa: ARG004
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        if ctx.needs_input_grad[1]:
            raise RuntimeError(
                "the roots of covariances (wct, whiten_and_color, coral, color_transfer) have no third derivative"
            )
        return gradient, None


# Dynamo traces no function with a forward mode of its own.
_TracedRoot = type("_TracedRoot", (_Root,), {"jvp": Function.jvp})
_TracedSlope = type("_TracedSlope", (_Slope,), {"jvp": Function.jvp})


def _root(matrix: Tensor, cutoff: float, inverse: bool) -> Tensor:
    kind = _TracedRoot if torch.compiler.is_compiling() else _Root
    root: Tensor = kind.apply(matrix, cutoff, inverse)[0]  # type: ignore[attr-defined]
    return root


def _slope(direction: Tensor, *arguments: Any) -> Tensor:
    kind = _TracedSlope if torch.compiler.is_compiling() else _Slope
    slope: Tensor = kind.apply(direction, *arguments)  # type: ignore[attr-defined]
    return slope


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.mT) / 2


def _roots(eigenvalues: Tensor, kept: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
    """Square roots of the eigenvalues that are kept, 1 for the others; and f of all."""
    roots = torch.where(kept, eigenvalues, 1).sqrt()
    return roots, torch.where(kept, 1 / roots if inverse else roots, 0)


def _divided_differences(eigenvalues: Tensor, kept: Tensor, inverse: bool) -> Tensor:
    """K of ``symmetric_sqrt``, [..., C, C], in forms that lose no digits where two eigenvalues are close."""
    roots, images = _roots(eigenvalues, kept, inverse)
    rows, columns = roots.unsqueeze(-1), roots.unsqueeze(-2)
    smooth = -1 / (rows * columns * (rows + columns)) if inverse else 1 / (rows + columns)
    both = kept.unsqueeze(-1) & kept.unsqueeze(-2)
    one = kept.unsqueeze(-1) ^ kept.unsqueeze(-2)
    # On two sides of the cutoff eigenvalues differ, so this divides by zero only where it is not taken.
    gap = torch.where(one, eigenvalues.unsqueeze(-1) - eigenvalues.unsqueeze(-2), 1)
    across = (images.unsqueeze(-1) - images.unsqueeze(-2)) / gap
    return torch.where(both, smooth, torch.where(one, across, 0))


def _curvature(first: Tensor, second: Tensor, vectors: Tensor, eigenvalues: Tensor, kept: Tensor, inverse: bool) -> Tensor:
    r"""The second derivative of the root along two directions, [..., C, C]; its own adjoint in each of them.

    .. math:: V \left( \sum_k f[\lambda_i, \lambda_k, \lambda_j]\,(A_{ik} B_{kj} + B_{ik} A_{kj}) \right) V^T

    with A and B the directions in the basis V and f[., ., .] the divided difference of three eigenvalues, which is
    (f[a, b] - f[b, c]) / (a - c) in any order. One k at a time: all of them are C^3 numbers.
    """
    a, b = (vectors.mT @ _symmetric(each) @ vectors for each in (first, second))
    roots, _ = _roots(eigenvalues, kept, inverse)
    pairs = _divided_differences(eigenvalues, kept, inverse)
    rows, columns = roots.unsqueeze(-1), roots.unsqueeze(-2)
    ends = kept.unsqueeze(-1) ^ kept.unsqueeze(-2)  # the outer two are on two sides of the cutoff
    both = kept.unsqueeze(-1) & kept.unsqueeze(-2)
    end_gap = torch.where(ends, eigenvalues.unsqueeze(-1) - eigenvalues.unsqueeze(-2), 1)
    total = torch.zeros_like(a)
    for k in range(eigenvalues.shape[-1]):
        root, inside = roots[..., k, None, None], kept[..., k, None, None]
        product = (rows + root) * (root + columns) * (rows + columns)
        smooth = (rows + root + columns) / (rows * root * columns * product) if inverse else -1 / product
        by_ends = (pairs[..., :, k, None] - pairs[..., None, k, :]) / end_gap
        middle = ~ends & (kept.unsqueeze(-1) ^ inside)  # the middle one is alone on its side
        middle_gap = torch.where(middle, eigenvalues.unsqueeze(-1) - eigenvalues[..., k, None, None], 1)
        by_middle = (pairs - pairs[..., None, k, :]) / middle_gap
        third = torch.where(both & inside, smooth, torch.where(ends, by_ends, torch.where(middle, by_middle, 0)))
        total = total + third * (a[..., :, k, None] * b[..., None, k, :] + b[..., :, k, None] * a[..., None, k, :])
    return vectors @ total @ vectors.mT
