"""Functions for kernels of several stems: addresses in feature maps of both layouts, tiles of a triangle, exact quotients."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def offsets(image, channel, position, channels, length, LAST: tl.constexpr):
    """Offsets into [N, C, H, W] of ``length`` = H W positions, contiguous or, if LAST, in channels_last.

    ``channel`` and ``position`` are broadcast against each other. ``image`` and one of them at least must be int64, so that
    all products are: a map may have more than 2^31 elements.
    """
    within = position * channels + channel if LAST else channel * length + position
    return image * channels * length + within


@triton.jit
def triangle(tile, blocks):
    """Row and column, int64, of a tile on or above the diagonal of ``blocks`` x ``blocks`` tiles.

    The triangle has ``blocks`` (``blocks`` + 1) / 2 tiles. It is folded into rows of ``blocks`` + 1: row r of the triangle,
    then row ``blocks`` - 1 - r. So ``tile`` alone determines its place, without a table in memory, which a CUDA graph could
    outlive and read when it is replayed.
    """
    fold = tile // (blocks + 1)
    step = tile % (blocks + 1)
    whole = step < blocks - fold
    row = tl.where(whole, fold, blocks - 1 - fold)
    column = tl.where(whole, fold + step, step - 1)
    return row.to(tl.int64), column.to(tl.int64)


@triton.jit
def quotient(x, y):
    """``x`` / ``y`` in float32, rounded to nearest: on a GPU Triton's ``/`` is approximate, and 0 for large ``y``."""
    return tl.div_rn(tl.cast(x, tl.float32), tl.cast(y, tl.float32))


@triton.jit
def factor(x, PRECISION: tl.constexpr):
    """float32 ``x`` as a factor of a product in PRECISION.

    Tensor cores truncate numbers to TF32, which would make all sums a little too small; so they are rounded here.
    """
    if PRECISION == "tf32":
        bits = x.to(tl.int32, bitcast=True)
        nearest = ((bits + 0x1000) & -0x2000).to(tl.float32, bitcast=True)
        x = tl.where((bits & 0x7F800000) == 0x7F800000, x, nearest)  # infinity and NaN stay the same
    return x
