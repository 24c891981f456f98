"""Mean errors between maps, and Gram matrices G = X X^T / (C H W); gradients of both.

G is symmetric: tiles above the diagonal are computed and stored twice. Sums over many positions are split into parts, which
are added in a fixed order. Products of bfloat16 and float16 are exact and summed in float32.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastnst.kernels.layout import channels_last, laid_out_like
from fastnst.kernels.triton import launch
from fastnst.kernels.triton.configs import choose, choose_for
from fastnst.kernels.triton.tiles import factor, offsets, triangle

PROGRAMS_PER_PROCESSOR = 2
"""Positions are split into enough parts for so many programs on every multiprocessor."""


@triton.jit
def mean_error_kernel(x, y, out, numbers, scale, SQUARED: tl.constexpr, NUMBERS: tl.constexpr, STEPS: tl.constexpr):
    """``scale`` times the sum of squared or absolute errors of one piece of STEPS x NUMBERS numbers."""
    piece = tl.program_id(0).to(tl.int64)
    total = tl.zeros([NUMBERS], tl.float32)
    for step in range(STEPS):
        at = (piece * STEPS + step) * NUMBERS + tl.arange(0, NUMBERS)
        inside = at < numbers
        difference = tl.load(x + at, mask=inside, other=0.0).to(tl.float32) - tl.load(y + at, mask=inside, other=0.0).to(
            tl.float32
        )
        total += difference * difference if SQUARED else tl.abs(difference)
    tl.store(out + piece, tl.sum(total) * scale)


@triton.jit
def mean_error_backward_kernel(grad, x, y, dx, numbers, scale, SQUARED: tl.constexpr, NUMBERS: tl.constexpr):
    """``grad`` x ``scale`` x (x - y), or its sign, for one piece of NUMBERS."""
    at = tl.program_id(0).to(tl.int64) * NUMBERS + tl.arange(0, NUMBERS)
    inside = at < numbers
    slope = tl.load(x + at, mask=inside, other=0.0).to(tl.float32) - tl.load(y + at, mask=inside, other=0.0).to(tl.float32)
    if not SQUARED:
        slope = tl.where(slope > 0, 1.0, tl.where(slope < 0, -1.0, slope * 0))  # of NaN: NaN
    tl.store(dx + at, tl.load(grad) * scale * slope, mask=inside)


@triton.jit
def _values(x, image, channel, position, channels, length, LAST: tl.constexpr):
    """A tile [channels, positions]."""
    inside = (channel < channels)[:, None] & (position < length)[None, :]
    at = offsets(image, channel[:, None], position[None, :], channels, length, LAST)
    return tl.load(x + at, mask=inside, other=0.0)


@triton.jit(do_not_specialize=["images", "tiles", "part_tiles"])
def gram_kernel(
    x,
    out,
    images,
    tiles,
    channels,
    length,
    part_tiles,
    scale,
    LAST: tl.constexpr,
    PRECISION: tl.constexpr,
    CHANNELS: tl.constexpr,
    POSITIONS: tl.constexpr,
):
    """One of ``tiles`` on or above the diagonal, and its mirror image, of one part of one image, [part, image, C, C]."""
    blocks = tl.cdiv(channels, CHANNELS)
    program = tl.program_id(0)
    tile = program % tiles
    image = (program // tiles % images).to(tl.int64)
    part = (program // tiles // images).to(tl.int64)
    i, j = triangle(tile, blocks)
    row = i * CHANNELS + tl.arange(0, CHANNELS)
    column = j * CHANNELS + tl.arange(0, CHANNELS)
    total = tl.zeros([CHANNELS, CHANNELS], tl.float32)
    begin = part * part_tiles * POSITIONS
    end = tl.minimum(begin + part_tiles.to(tl.int64) * POSITIONS, length)
    for first in range(begin, end, POSITIONS):
        position = first + tl.arange(0, POSITIONS)
        left = _values(x, image, row, position, channels, length, LAST)
        right = _values(x, image, column, position, channels, length, LAST)
        total = tl.dot(left, tl.trans(right), total, input_precision=PRECISION)
    total *= scale
    start = (part * images + image) * channels * channels
    # Of a tile on the diagonal, too, one half is stored twice: the two halves of a product may differ in the last bit.
    upper = (row[:, None] <= column[None, :]) & (column < channels)[None, :]
    tl.store(out + start + row[:, None] * channels + column[None, :], total, mask=upper)
    tl.store(out + start + column[None, :] * channels + row[:, None], total, mask=upper & (row[:, None] < column[None, :]))


@triton.jit
def gram_backward_kernel(
    grad,
    x,
    dx,
    channels,
    length,
    scale,
    LAST: tl.constexpr,
    PRECISION: tl.constexpr,
    CHANNELS: tl.constexpr,
    STEP: tl.constexpr,
    POSITIONS: tl.constexpr,
):
    """(g + g^T) X / (C H W) for a block of channels at a tile of positions."""
    blocks = tl.cdiv(channels, CHANNELS)
    tiles = tl.cdiv(length, POSITIONS)
    program = tl.program_id(0)
    image = (program // blocks // tiles).to(tl.int64)
    position = (program // blocks % tiles).to(tl.int64) * POSITIONS + tl.arange(0, POSITIONS)
    row = (program % blocks).to(tl.int64) * CHANNELS + tl.arange(0, CHANNELS)
    total = tl.zeros([CHANNELS, POSITIONS], tl.float32)
    start = grad + image * channels * channels
    for first in range(0, channels, STEP):
        column = (first + tl.arange(0, STEP)).to(tl.int64)
        inside = (row < channels)[:, None] & (column < channels)[None, :]
        both = tl.load(start + row[:, None] * channels + column[None, :], mask=inside, other=0.0)
        both += tl.load(start + column[None, :] * channels + row[:, None], mask=inside, other=0.0)
        values = _values(x, image, column, position, channels, length, LAST).to(tl.float32)
        total = tl.dot(factor(both, PRECISION), values, total, input_precision=PRECISION)
    inside = (row < channels)[:, None] & (position < length)[None, :]
    at = offsets(image, row[:, None], position[None, :], channels, length, LAST)
    tl.store(dx + at, total * scale, mask=inside)


def mean_error(x: Tensor, y: Tensor, squared: bool) -> Tensor:
    """The mean of (x - y)^2, or of |x - y|, over dense maps of one shape and type: a scalar, float32."""
    options = choose("mean_error", launch.device_of(x).capability, "any")
    pieces = triton.cdiv(x.numel(), options["NUMBERS"] * options["STEPS"])
    out = x.new_empty(pieces, dtype=torch.float32)
    launch.start(
        mean_error_kernel, (pieces,), x, laid_out_like(x, y), out, x.numel(), 1 / x.numel(), SQUARED=squared, **options
    )
    return out.sum()


def mean_error_backward(grad: Tensor, x: Tensor, y: Tensor, squared: bool) -> Tensor:
    """The gradient with respect to ``x``, like it, for the gradient ``grad`` of the mean."""
    options = choose("mean_error_backward", launch.device_of(x).capability, "any")
    dx, scale = torch.empty_like(x), (2 if squared else 1) / x.numel()
    pointers = grad, x, laid_out_like(x, y), dx
    pieces = triton.cdiv(x.numel(), options["NUMBERS"])
    launch.start(mean_error_backward_kernel, (pieces,), *pointers, x.numel(), scale, SQUARED=squared, **options)
    return dx


def gram(x: Tensor) -> Tensor:
    """X X^T / (C H W) of x [N, C, H, W], float32 [N, C, C], symmetric to the last bit."""
    images, channels, length = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
    device = launch.device_of(x)
    options = choose_for("gram", device, x.dtype)
    across, along = options["CHANNELS"], options["POSITIONS"]
    blocks = triton.cdiv(channels, across)
    tiles = blocks * (blocks + 1) // 2
    steps = triton.cdiv(length, along)
    part = triton.cdiv(steps, max(1, device.processors * PROGRAMS_PER_PROCESSOR // (images * tiles)))
    parts = triton.cdiv(steps, part)
    out = x.new_empty((parts, images, channels, channels), dtype=torch.float32)
    sizes = images, tiles, channels, length, part, 1 / (channels * length)
    launch.start(gram_kernel, (parts * images * tiles,), x, out, *sizes, LAST=channels_last(x), **options)
    return out[0] if parts == 1 else out.sum(0)


def gram_backward(grad: Tensor, x: Tensor) -> Tensor:
    """(grad + grad^T) X / (C H W) for grad, float32 [N, C, C]."""
    images, channels, length = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
    options = choose_for("gram_backward", launch.device_of(x), x.dtype)
    programs = images * triton.cdiv(channels, options["CHANNELS"]) * triton.cdiv(length, options["POSITIONS"])
    dx = torch.empty_like(x)
    sizes = channels, length, 1 / (channels * length)
    launch.start(gram_backward_kernel, (programs,), grad, x, dx, *sizes, LAST=channels_last(x), **options)
    return dx
