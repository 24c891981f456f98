"""Whitening and colouring by products alone: covariances, their roots by Newton-Schulz iteration, and affine maps.

Where a GPU multiplies float64 in its tensor cores (``FLOAT64`` in ``configs.py``), every product is one in float64: there it
costs what float32 does elsewhere. The iteration is float64 on other GPUs too, and so are covariances that cost less than that.
Those of many positions are float32 products of a few of them there, added up in twice that precision, and their roots are
damped so that what float32 leaves of a small eigenvalue cannot become negative.

No step branches on the values, so nothing waits for the GPU. A cutoff needs eigenvalues and is not supported here (``fits``).
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastnst.kernels import newton_schulz
from fastnst.kernels.triton import launch
from fastnst.kernels.triton.configs import choose
from fastnst.kernels.triton.wct_covariance import covariance_of, covariance_of_few, fused_root, products_of, readable

FUSED_CHANNELS = 64
"""Up to this number of channels one program processes a matrix in registers, with tensor cores."""
NEGLIGIBLE = 1e-5
"""The cutoff of published code for a square root. A direction below it adds at most 0.003 to a standard deviation."""
FEW_POSITIONS = 32
"""Up to this number of positions per channel a covariance takes fewer products than the iteration."""
DAMPING = 1e-6
"""The smallest ridge, relative to the covariance's norm, that exceeds the rounding errors of float32 products."""


def fits(ridge: float, cutoff: float, inverse: bool) -> bool:
    """Whether ``covariance_root`` gives the reference's root: nothing is cut off, and an inverse root has a ridge.

    The ridge must also be at least 1e-8 of the largest eigenvalue (1e-6 where a GPU has no fast float64): below that,
    roots are damped, which cannot be known without looking. Square roots don't need it, and ignore a cutoff up to
    ``NEGLIGIBLE``: whatever lies under it changes features that vary by 10 by less than 1e-3.
    """
    return 0 < ridge >= cutoff if inverse else cutoff <= max(ridge, NEGLIGIBLE)


class Rules(Protocol):
    """The fields of ``fastnst.reference.wct.Preset`` that are about the two roots of the transform."""

    content_ridge: float
    style_ridge: float
    cutoff: float


def unsupported(rules: Rules) -> str | None:
    """Why the roots of a transform with these ``rules`` need eigenvalues; None where they do not."""
    if not fits(rules.content_ridge, rules.cutoff, True):
        return f"whitening by products needs a ridge above 0 and no higher cutoff, not {rules.content_ridge} and {rules.cutoff}"
    if not fits(rules.style_ridge, rules.cutoff, False):
        return f"colouring by products needs a cutoff of at most {max(rules.style_ridge, NEGLIGIBLE)}, not {rules.cutoff}"
    return None


@triton.jit(do_not_specialize=["channels", "row_blocks", "position_blocks"])
def affine_kernel(
    x, matrix, shift, offset, out, channels, positions, down, across, row_blocks, position_blocks,
    DOUBLE: tl.constexpr, BLOCK: tl.constexpr, POSITIONS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """matrix (x - shift) + offset for a block of channels and of positions; ``matrix`` has the strides down and across."""
    program = tl.program_id(0)
    # Programs that read the same positions run next to each other.
    i = (program % row_blocks).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    p = (program // row_blocks % position_blocks).to(tl.int64) * POSITIONS + tl.arange(0, POSITIONS)
    image = (program // row_blocks // position_blocks).to(tl.int64)
    in_i = i < channels
    in_p = p < positions
    kind: tl.constexpr = tl.float64 if DOUBLE else tl.float32
    sums = tl.zeros([BLOCK, POSITIONS], kind)
    matrix += image * channels * channels
    for start in range(0, channels, DEPTH):
        k = (start + tl.arange(0, DEPTH)).to(tl.int64)
        in_k = k < channels
        where = i[:, None] * down + k[None, :] * across
        coefficients = tl.load(matrix + where, mask=in_i[:, None] & in_k[None, :], other=0.0).to(kind)
        place = image * channels + k
        inside = in_k[:, None] & in_p[None, :]
        values = tl.load(x + (place[:, None] * positions + p[None, :]), mask=inside, other=0.0).to(kind)
        if shift is not None:
            mean = tl.load(shift + place, mask=in_k, other=0.0)
            values -= mean.to(kind)[:, None]
            if not DOUBLE:
                values -= (mean - mean.to(kind).to(tl.float64)).to(kind)[:, None]
            values = tl.where(inside, values, 0.0)
        sums = tl.dot(coefficients, values, sums, input_precision="ieee", out_dtype=kind)
    place = image * channels + i
    if offset is not None:
        sums += tl.load(offset + place, mask=in_i, other=0.0).to(kind)[:, None]
    # By way of float32, because not every conversion from float64 to bfloat16 rounds to nearest.
    tl.store(out + (place[:, None] * positions + p[None, :]), sums.to(tl.float32), mask=in_i[:, None] & in_p[None, :])


def covariance_root(x: Tensor, ridge: float, cutoff: float, inverse: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The root of the covariance of ``x`` [B, C, n] plus ``ridge``, for arguments that fit (see ``fits``).

    Returns:
        root, float64 [B, C, C]; mean, float64 [B, C, 1]; and two empty tensors, [B, C, 0] and [B, 0], in the place of
        eigenvectors and eigenvalues, which the gradient does not need here.

    Raises:
        ValueError: eigenvalues would have to be cut off.
    """
    if not fits(ridge, cutoff, inverse):
        raise ValueError(f"no {'inverse ' * inverse}root with ridge {ridge} and cutoff {cutoff} without eigenvalues")
    channels, positions = x.shape[1:]
    double = bool(choose("wct_products", launch.device_of(x).capability, "any")["DOUBLE"])
    if double and channels <= FUSED_CHANNELS:
        root, mean = fused_root(x, ridge, inverse)
    else:
        exact = double or positions <= FEW_POSITIONS * channels
        matrix, mean = covariance_of(x) if double or not exact else covariance_of_few(x)
        smallest = torch.linalg.matrix_norm(matrix) * (0 if exact else DAMPING)
        matrix.diagonal(dim1=-2, dim2=-1).add_(smallest.clamp(min=ridge).unsqueeze(-1))
        root = newton_schulz.root(matrix, inverse)
    return root, mean, root.new_empty(len(x), channels, 0), root.new_empty(len(x), 0)


def covariance_roots(
    content: Tensor, style: Tensor, content_ridge: float, style_ridge: float, cutoff: float
) -> tuple[Tensor, ...]:
    """``covariance_root`` of the content, inverse, and of the style."""
    return (
        *covariance_root(content, content_ridge, cutoff, inverse=True),
        *covariance_root(style, style_ridge, cutoff, inverse=False),
    )


def covariance_root_backward(
    grad_root: Tensor,
    grad_mean: Tensor,
    x: Tensor,
    mean: Tensor,
    root: Tensor,
    vectors: Tensor,  # noqa: ARG001
    values: Tensor,  # noqa: ARG001
    ridge: float,  # noqa: ARG001
    cutoff: float,  # noqa: ARG001
    inverse: bool,
) -> Tensor:
    """The gradient of ``x``, from ``root`` alone; the damping counts as a constant."""
    positions = x.shape[-1]
    slope = newton_schulz.root_backward(grad_root, root, inverse) * (2 / max(1, positions - 1))
    return _affine(x, slope, mean, grad_mean / positions)


def transform(x: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """``matrix`` x + ``offset`` of ``x`` [B, C, n], float64 [B, C, C] and float64 [B, C, 1], in ``x``'s type."""
    return _affine(x, matrix, None, offset)


def transform_backward(grad: Tensor, x: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of ``x``, ``matrix`` and ``offset``."""
    products, sums = products_of(grad, x, same=False)
    grad_offset = sums.sum(1).unsqueeze(-1)
    # The products are relative to the first position.
    grad_matrix = torch.baddbmm(products.sum(1), grad_offset, x[..., :1].mT.double())
    return _affine(grad, matrix.mT, None, None), grad_matrix, grad_offset


def _affine(x: Tensor, matrix: Tensor, shift: Tensor | None, offset: Tensor | None) -> Tensor:
    batch, channels, positions = x.shape
    out = torch.empty_like(x)
    options = choose("wct_affine", launch.device_of(x).capability, "any")
    x = readable(x, options)
    blocks = math.ceil(channels / int(options["BLOCK"])), math.ceil(positions / int(options["POSITIONS"]))
    shift, offset = (None if each is None else each.contiguous() for each in (shift, offset))
    sizes = channels, positions, matrix.stride(1), matrix.stride(2)
    launch.start(affine_kernel, (batch * math.prod(blocks),), x, matrix, shift, offset, out, *sizes, *blocks, **options)
    return out
