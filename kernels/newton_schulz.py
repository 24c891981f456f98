r"""Roots of symmetric matrices by products alone: without eigenvectors or branches on the values, so nothing waits for the GPU.

Coupled iteration (Higham, 1997) with the minimax quintics of Polar Express (Amsel et al., 2025): from Y = A / c, Z = I

.. math:: M = Z Y, \quad P = a I + b M + c M^2, \quad Y \gets Y P, \quad Z \gets P Z

Y tends to sqrt(A / c) and Z to its inverse. c is the Frobenius norm, which is at least the largest eigenvalue and in practice
at most a few times that. ``SCHEDULE`` is for eigenvalues from 1e-8 c to c, whose roots then have rounding errors only: a few
1e-16 times the condition number. Roots of smaller eigenvalues are too small, 5 % at 1e-9 c, half at 1e-10 c, 0 at 0;
so are their inverse roots. So a matrix without full rank has finite roots, and its square root is correct.

This is plain PyTorch on any device, batched, in float64; almost all of it is ``torch.bmm``, which suits GPUs.
"""

from __future__ import annotations

import torch
from torch import Tensor

SCHEDULE = (
    (8.50988530258628, -25.264304190830913, 18.75356789973964),
    (4.2495734789228745, -3.1549764881142286, 0.5858847824913271),
    (4.225122190777838, -3.1380444350845695, 0.5839534551299155),
    (4.124838686994379, -3.06833245280598, 0.576002953645694),
    (3.758010335802832, -2.8092738924032377, 0.546484206587679),
    (2.856177541291496, -2.1340562331753907, 0.47011076918026373),
    (2.0206004157761304, -1.4037211504666558, 0.39067389685202747),
    (1.8758751004808818, -1.2509719904810919, 0.3750972123419724),
    (1.875, -1.25, 0.375),
)
"""Coefficients of x, x^3 and x^5, step by step.

Each is the polynomial closest to 1 on the image of [1e-4, 1] under the steps before, by Remez' exchange algorithm
(``tests/operations/test_newton_schulz.py`` computes them). After eight steps the error is 1.5e-5, and the ninth, the series of
x (x^2)^(-1/2) around 1, takes it to 2e-15.
"""


def root(matrix: Tensor, inverse: bool) -> Tensor:
    """The square root of positive semidefinite matrices [B, C, C], or its inverse; a matrix of zeros gives zeros.

    A value that is not finite makes the whole root of its matrix NaN.
    """
    norm = _norm(matrix)
    y, z = matrix / norm, matrix
    for step, (a, b, c) in enumerate(SCHEDULE):
        first, last = step == 0, step == len(SCHEDULE) - 1
        factor = _polynomial(y if first else z @ y, a, b, c)
        if inverse or not last:
            z = factor if first else factor @ z
        if not (inverse and last):
            y = y @ factor
    return symmetric(z / norm.sqrt() if inverse else y * norm.sqrt())


def root_backward(grad: Tensor, result: Tensor, inverse: bool) -> Tensor:
    """The gradient of ``root``'s matrix, symmetric, from that of its ``result``.

    For a square root S, dS S + S dS = dA is solved for dA's gradient; R = A^(-1/2) is the square root of A^(-1).
    Where S is singular, the block of directions that it lacks has no gradient, as in ``fastnst.reference.linalg``.
    """
    solution = lyapunov(result, symmetric(grad))
    if not inverse:
        return solution
    square = result @ result
    return symmetric(-square @ solution @ square)


def lyapunov(s: Tensor, right: Tensor) -> Tensor:
    r"""The symmetric G with S G + G S = ``right``, both symmetric and ``s`` positive semidefinite: [B, C, C].

    The sign of the block matrix [[S, Y], [0, -S]] is [[I, 2 G], [0, -I]], and the odd polynomials of ``SCHEDULE`` lead
    there; only its upper row is computed.
    """
    square = s @ s
    norm = _norm(square)
    s, y, square = s / norm.sqrt(), right / norm.sqrt(), square / norm
    for step, (a, b, c) in enumerate(SCHEDULE):
        if step > 0:
            square = s @ s
        product = s @ y
        commutator = product - product.mT
        twice = square @ commutator
        even = _polynomial(square, a, b, c)
        y = symmetric(s @ (b * commutator + c * (twice - twice.mT)) + y @ even)
        s = symmetric(s @ even)
    # S is now the projector on its own directions. y has 2 / (s_i + s_j) between two of these, half of it where one is
    # lacking, as the sign of 0 is 0, and noise where both are: these become the whole of it, and 0.
    kept = s @ y
    return kept + kept.mT - 1.5 * symmetric(kept @ s)


def symmetric(matrix: Tensor) -> Tensor:
    """The symmetric part of ``matrix``."""
    return (matrix + matrix.mT) / 2


def _norm(matrix: Tensor) -> Tensor:
    """Frobenius norms [B, 1, 1], and 1 for a matrix of zeros."""
    norm = torch.linalg.matrix_norm(matrix, keepdim=True)
    return torch.where(norm == 0, 1, norm)


def _polynomial(matrix: Tensor, a: float, b: float, c: float) -> Tensor:
    result = torch.baddbmm(matrix, matrix, matrix, beta=b, alpha=c)
    result.diagonal(dim1=-2, dim2=-1).add_(a)
    return result
