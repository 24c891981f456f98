"""Kernels over pairs of items: their squared distances, and the gradient of the items from those of the distances."""

from __future__ import annotations

import triton
import triton.language as tl

from fastnst.kernels.triton.relation_views import FIELDS, VIEWS
from fastnst.kernels.triton.tiles import quotient, triangle

SMALLEST_SQUARE = tl.constexpr(1e-12)  # below it a distance is constant, as published
SMALLEST = tl.constexpr(1e-6)
SMALLEST_DIRECTION = tl.constexpr(1e-24)  # up to it a pair has no direction: a distance of 1e-12

SQUARES, DISTANCES, WEIGHTS = 0, 1, 2
"""The results that ``pairwise_kernel`` can compute from squared distances."""


@triton.jit
def pick(view, first, second, third):
    """The argument of view 0, 1 or 2."""
    return tl.where(view == 0, first, tl.where(view == 1, second, third))


@triton.jit
def blocks_of(count, BLOCK: tl.constexpr):
    """The number of blocks of ``count`` items, and that of tiles of their pairs on or above the diagonal."""
    blocks = tl.cdiv(count, BLOCK).to(tl.int64)
    return blocks, blocks * (blocks + 1) // 2


@triton.jit
def placed(tile_count, pairs, count_0, count_1, count_2, BLOCK: tl.constexpr):
    """A program's image, view, number of items, row and column of the tile, its pairs, and its view's tiles.

    The pairs of an image's views lie one after the other, and so do the tiles; ``start`` is where the view's pairs begin, and
    ``first`` and ``tiles`` say which tiles are its own.
    """
    program = tl.program_id(0)
    image = (program // tile_count).to(tl.int64)
    tile = program % tile_count
    blocks_0, tiles_0 = blocks_of(count_0, BLOCK)
    blocks_1, tiles_1 = blocks_of(count_1, BLOCK)
    blocks_2, tiles_2 = blocks_of(count_2, BLOCK)
    view = tl.where(tile < tiles_0, 0, tl.where(tile < tiles_0 + tiles_1, 1, 2))
    first = pick(view, 0, tiles_0, tiles_0 + tiles_1)
    row, column = triangle((tile - first).to(tl.int32), pick(view, blocks_0, blocks_1, blocks_2).to(tl.int32))
    square_0 = count_0.to(tl.int64) * count_0
    square_1 = count_1.to(tl.int64) * count_1
    start = image * pairs + pick(view, 0, square_0, square_0 + square_1)
    count = pick(view, count_0, count_1, count_2).to(tl.int64)
    first = image * tile_count + first
    return view, image, row, column, count, start, first, pick(view, tiles_0, tiles_1, tiles_2).to(tl.int32)


@triton.jit
def offset(index, line, down, across):
    """The offset of ``index`` along lines of ``line``; the division is in 32 bits, which GPUs do fast, the product in 64."""
    return (index // line).to(tl.int64) * down + (index % line).to(tl.int64) * across


@triton.jit
def distance(squares, roots):
    """The distance of items from its square and its root, as published."""
    return tl.where(squares < SMALLEST_SQUARE, SMALLEST, roots)


@triton.jit(
    do_not_specialize=["image_stride", "pairs", "tile_count", *(f"{name}_{view}" for view in range(VIEWS) for name in FIELDS)]
)
def pairwise_kernel(
    x, gradients, out, inverses, lengths, image_stride, pairs, tile_count, eps,
    count_0, line_0, down_0, across_0, steps_0, outer_stride_0, middle_0, middle_stride_0, inner_0, inner_stride_0,
    count_1, line_1, down_1, across_1, steps_1, outer_stride_1, middle_1, middle_stride_1, inner_1, inner_stride_1,
    count_2, line_2, down_2, across_2, steps_2, outer_stride_2, middle_2, middle_stride_2, inner_2, inner_stride_2,
    MODE: tl.constexpr, SQUARED: tl.constexpr, BLOCK: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Squared distances of a tile of pairs, or the result that ``MODE`` names; also for the mirrored tile."""
    view, image, row, column, count, start, _, _ = placed(tile_count, pairs, count_0, count_1, count_2, BLOCK)
    line = pick(view, line_0, line_1, line_2)
    down, across = pick(view, down_0, down_1, down_2), pick(view, across_0, across_1, across_2)
    outer_stride = pick(view, outer_stride_0, outer_stride_1, outer_stride_2)
    middle = pick(view, middle_0, middle_1, middle_2)
    middle_stride = pick(view, middle_stride_0, middle_stride_1, middle_stride_2)
    inner, inner_stride = pick(view, inner_0, inner_1, inner_2), pick(view, inner_stride_0, inner_stride_1, inner_stride_2)
    a = row.to(tl.int32) * BLOCK + tl.arange(0, BLOCK)
    b = column.to(tl.int32) * BLOCK + tl.arange(0, BLOCK)
    x += image * image_stride
    first, second = (x + offset(a, line, down, across))[:, None, None], (x + offset(b, line, down, across))[None, :, None]
    depth = tl.arange(0, DEPTH)
    blocks = (inner - 1) // DEPTH + 1
    # The sum over the last axis comes after the loop, so that threads need not synchronise in it.
    sums = tl.zeros([BLOCK, BLOCK, DEPTH], tl.float32)
    for step in tl.range(pick(view, steps_0, steps_1, steps_2), num_stages=3):
        line_of = step // blocks
        e = (step % blocks).to(tl.int64) * DEPTH + depth
        place = (offset(line_of, middle, outer_stride, middle_stride) + e * inner_stride)[None, None, :]
        inside = (e < inner)[None, None, :]
        left = tl.load(first + place, mask=inside & (a < count)[:, None, None], other=0.0).to(tl.float32)
        right = tl.load(second + place, mask=inside & (b < count)[None, :, None], other=0.0).to(tl.float32)
        difference = left - right
        sums += difference * difference
    squares = tl.sum(sums, 2)
    itself = a[:, None] == b[None, :]
    here = start + a[:, None] * count + b[None, :]
    mirrored = start + b[None, :] * count + a[:, None]
    inside = (a < count)[:, None] & (b < count)[None, :]
    above = inside & (a[:, None] < b[None, :])
    if MODE == 0:
        result = squares
        roots = tl.sqrt_rn(squares)
        if inverses is not None:
            none = squares <= SMALLEST_DIRECTION
            inverse = tl.where(none, 0.0, quotient(1.0, tl.where(none, 1.0, roots)))
            tl.store(inverses + here, inverse, mask=inside)
            tl.store(inverses + mirrored, inverse, mask=above)
        length = tl.sum(tl.where(inside & (itself == 0), distance(squares, roots), 0.0))
        tl.store(lengths + tl.program_id(0).to(tl.int64), tl.where(row == column, length, 2.0 * length))
    else:
        clamped = tl.where(squares < eps, eps, squares)
        if MODE == 1:
            result = tl.where(itself, 0.0, clamped if SQUARED else tl.sqrt_rn(clamped))
        else:
            upstream = tl.load(gradients + here, mask=inside, other=0.0).to(tl.float32)
            upstream += tl.load(gradients + mirrored, mask=inside, other=0.0).to(tl.float32)
            slope = 0.5 * upstream if SQUARED else quotient(0.25 * upstream, tl.sqrt_rn(clamped))
            result = tl.where(itself | (squares < eps), 0.0, slope)
    tl.store(out + here, result, mask=inside)
    tl.store(out + mirrored, result, mask=above)


@triton.jit(
    do_not_specialize=[
        "image_stride", "pairs", "base", "count", "line", "down", "across", "outer_stride", "middle", "middle_stride",
        "inner", "inner_stride", "numbers", "item_blocks", "number_blocks",
    ]
)  # fmt: skip
def spread_kernel(
    x, weights, scale, out, image_stride, pairs, base, count, line, down, across, outer_stride, middle, middle_stride,
    inner, inner_stride, numbers, item_blocks, number_blocks,
    SCALED: tl.constexpr, ADD: tl.constexpr, BLOCK: tl.constexpr, NUMBERS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """4 scale sum over j of W_ij (x_i - x_j), for a block of items i and of their numbers, written or added to ``out``."""
    program = tl.program_id(0)
    image = (program // (item_blocks * number_blocks)).to(tl.int64)
    i = program // number_blocks % item_blocks * BLOCK + tl.arange(0, BLOCK)
    d = (program % number_blocks).to(tl.int64) * NUMBERS + tl.arange(0, NUMBERS)
    line_of = d // inner
    place = offset(line_of, middle, outer_stride, middle_stride) + (d % inner).to(tl.int64) * inner_stride
    in_i = i < count
    in_d = d < numbers
    x += image * image_stride
    weights += image * pairs + base
    # Relative to the first item, so that a common offset of all items does not cancel in a difference of large sums.
    origin = tl.load(x + place, mask=in_d, other=0.0).to(tl.float32)[None, :]
    products = tl.zeros([BLOCK, NUMBERS], tl.float32)
    sums = tl.zeros([BLOCK], tl.float32)
    for start in range(0, count, DEPTH):
        j = start + tl.arange(0, DEPTH)
        in_j = j < count
        pair = i[:, None].to(tl.int64) * count + j[None, :]
        weight = tl.load(weights + pair, mask=in_i[:, None] & in_j[None, :], other=0.0)
        items = x + offset(j, line, down, across)[:, None] + place[None, :]
        values = tl.load(items, mask=in_j[:, None] & in_d[None, :], other=0.0).to(tl.float32)
        products = tl.dot(weight, values - origin, products, input_precision="ieee")
        sums += tl.sum(weight, 1)
    where = offset(i, line, down, across)[:, None] + place[None, :]
    inside = in_i[:, None] & in_d[None, :]
    own = tl.load(x + where, mask=inside, other=0.0).to(tl.float32) - origin
    factor = 4.0 * tl.load(scale + image) if SCALED else 4.0
    result = factor * (sums[:, None] * own - products)
    out += image * image_stride
    if ADD:
        result += tl.load(out + where, mask=inside, other=0.0)
    tl.store(out + where, result, mask=inside)
