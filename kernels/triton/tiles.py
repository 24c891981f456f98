"""Addresses in feature maps, for kernels that take both layouts."""

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
def factor(x, PRECISION: tl.constexpr):
    """float32 ``x`` as a factor of a product in PRECISION.

    Tensor cores cut numbers off to TF32, which makes all sums a little too small: they are rounded to it here.
    """
    if PRECISION == "tf32":
        bits = x.to(tl.int32, bitcast=True)
        nearest = ((bits + 0x1000) & -0x2000).to(tl.float32, bitcast=True)
        x = tl.where((bits & 0x7F800000) == 0x7F800000, x, nearest)  # infinity and NaN stay what they are
    return x
