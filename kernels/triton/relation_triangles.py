"""Kernels over triangles of items: the losses of distances and angles, and their gradients for each pair."""

from __future__ import annotations

import triton
import triton.language as tl

from fastnst.kernels.triton.relation_pairs import SMALLEST_SQUARE, distance, placed
from fastnst.kernels.triton.tiles import quotient

SUMMED = tl.constexpr(128)  # partial sums that are read at a time


@triton.jit
def within(x, limit):
    """``x`` kept from -``limit`` to ``limit``; NaN stays NaN."""
    return tl.clamp(x, -limit, limit, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def smooth_l1(difference):
    """Huber's loss with beta 1, and its derivative."""
    slope = within(difference, 1.0)
    return slope * (difference - 0.5 * slope), slope


@triton.jit
def side(squares, inverses, at, inside):
    """Half the squared length of sides, and one over their length, or 0 where they have no direction."""
    return 0.5 * tl.load(squares + at, mask=inside, other=0.0), tl.load(inverses + at, mask=inside, other=0.0)


@triton.jit
def cosines(half, r, half_a, r_a, half_b, r_b):
    """The cosines at a, at b and at c of triangles with sides ab, ac and bc, each as from ``side``."""
    difference = half_a - half_b
    return (half + difference) * (r_a * r), (half - difference) * (r_b * r), (half_a + half_b - half) * (r_a * r_b)


@triton.jit
def total(values, count):
    """The sum of ``count`` numbers, in an order that depends only on ``count``."""
    sums = tl.zeros([SUMMED], tl.float32)
    for start in range(0, count, SUMMED):
        index = start + tl.arange(0, SUMMED).to(tl.int64)
        sums += tl.load(values + index, mask=index < count, other=0.0)
    return tl.sum(sums)


@triton.jit(do_not_specialize=["pairs", "tile_count", "count_0", "count_1", "count_2"])
def lengths_kernel(
    squares, wanted, lengths, wanted_lengths, losses, products, pairs, tile_count, count_0, count_1, count_2, weight,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """The distance term's loss of a tile, and the sum of slope x distance that the gradient of the mean needs."""
    _, _, row, column, count, start, first, tiles = placed(tile_count, pairs, count_0, count_1, count_2, BLOCK)
    lengths_here, _, slope, loss, _, counted = distance_term(
        squares, wanted, lengths, wanted_lengths, row, column, count, start, first, tiles, BLOCK
    )
    tile = tl.program_id(0).to(tl.int64)
    tl.store(losses + tile, weight * tl.sum(loss * counted))
    tl.store(products + tile, tl.sum(slope * lengths_here * counted))


@triton.jit
def distance_term(
    squares, wanted, lengths, wanted_lengths, row, column, count, start, first, tiles, BLOCK: tl.constexpr
):  # fmt: skip
    """Distances of a tile, their squares, the loss's slope and value there, the mean, and how often each pair counts."""
    a = (row * BLOCK + tl.arange(0, BLOCK))[:, None]
    b = (column * BLOCK + tl.arange(0, BLOCK))[None, :]
    inside = (a < count) & (b < count) & (a != b)
    every = count * count
    others = tl.maximum(count * (count - 1), 1)
    # A single item has no pairs and no mean, so the divisor must not matter.
    mean = tl.where(count == 1, 1.0, quotient(total(lengths + first, tiles), others))
    wanted_mean = tl.where(count == 1, 1.0, quotient(total(wanted_lengths + first, tiles), others))
    square = tl.load(squares + start + a * count + b, mask=inside, other=0.0)
    wanted_square = tl.load(wanted + start + a * count + b, mask=inside, other=0.0)
    length = distance(square, tl.sqrt_rn(square))
    wanted_length = distance(wanted_square, tl.sqrt_rn(wanted_square))
    loss, slope = smooth_l1(quotient(length, mean) - quotient(wanted_length, wanted_mean))
    loss = tl.where(inside, quotient(loss, every), 0.0)
    slope = tl.where(inside, quotient(slope, every), 0.0)
    return length, square, slope, loss, mean, tl.where(row == column, 1.0, 2.0)


@triton.jit(do_not_specialize=["pairs", "tile_count", "count_0", "count_1", "count_2"])
def triangles_kernel(
    squares, inverses, wanted, wanted_inverses, lengths, wanted_lengths, products, losses, weights, pairs, tile_count,
    count_0, count_1, count_2, distance_weight, angle_weight, DISTANCE: tl.constexpr, ANGLE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """W of a tile of pairs (a, b), from all triangles over them, and the tile's part of the loss.

    For every third item c: the angles at a and at b have the side ab as one of theirs, the angle at c faces it. With
    g the loss's slope there, ab's part of the gradient is g (r_ac - cos_a r_ab) r_ab / 2, likewise at b, and
    -g r_ac r_bc / 2 at c, where only the last is summed into the loss: every angle faces one side.
    """
    _view, _image, row, column, count, start, first, tiles = placed(tile_count, pairs, count_0, count_1, count_2, BLOCK)
    tile = tl.program_id(0).to(tl.int64)
    a = row * BLOCK + tl.arange(0, BLOCK)
    b = column * BLOCK + tl.arange(0, BLOCK)
    in_a = a < count
    in_b = b < count
    here = start + a[:, None] * count + b[None, :]
    inside = in_a[:, None] & in_b[None, :]
    result = tl.zeros([BLOCK, BLOCK], tl.float32)
    loss = 0.0
    if ANGLE:
        half, inverse = side(squares, inverses, here, inside)
        wanted_half, wanted_inverse = side(wanted, wanted_inverses, here, inside)
        adjacent = tl.zeros([BLOCK, BLOCK], tl.float32)
        opposite = tl.zeros([BLOCK, BLOCK], tl.float32)
        huber = tl.zeros([BLOCK, BLOCK], tl.float32)
        for c in range(count.to(tl.int32)):
            # q is symmetric, so the row of c holds its distances to a and to b.
            to_a = (start + c * count + a)[:, None]
            to_b = (start + c * count + b)[None, :]
            half_a, r_a = side(squares, inverses, to_a, in_a[:, None])
            half_b, r_b = side(squares, inverses, to_b, in_b[None, :])
            at_a, at_b, at_c = cosines(half, inverse, half_a, r_a, half_b, r_b)
            wanted_half_a, wanted_r_a = side(wanted, wanted_inverses, to_a, in_a[:, None])
            wanted_half_b, wanted_r_b = side(wanted, wanted_inverses, to_b, in_b[None, :])
            wanted_at_a, wanted_at_b, wanted_at_c = cosines(
                wanted_half, wanted_inverse, wanted_half_a, wanted_r_a, wanted_half_b, wanted_r_b
            )
            _, slope_a = smooth_l1(at_a - wanted_at_a)
            _, slope_b = smooth_l1(at_b - wanted_at_b)
            # Rounding errors grow with the longer side over the shorter one: whatever they enter unscaled knows its limits.
            error, slope_c = smooth_l1(within(at_c - wanted_at_c, 2.0))
            adjacent += slope_a * (r_a - within(at_a, 1.0) * inverse) + slope_b * (r_b - within(at_b, 1.0) * inverse)
            opposite += slope_c * (r_a * r_b)
            huber += error
        every = count * count * count
        result = angle_weight * quotient(0.5, every) * (inverse * adjacent - opposite)
        # A tile off the diagonal stands for two; on it, pairs (j, j) are half of what the mirrored ones are.
        times = tl.where(row == column, 1.0, 2.0)
        loss = quotient(angle_weight * times * tl.sum(tl.where(inside, huber, 0.0)), every)
    if DISTANCE:
        length, square, slope, _, mean, _ = distance_term(
            squares, wanted, lengths, wanted_lengths, row, column, count, start, first, tiles, BLOCK
        )
        product = quotient(total(products + first, tiles), mean * mean * tl.maximum(count * (count - 1), 1))
        gradient = quotient(0.5, length) * (quotient(slope, mean) - product)
        result += distance_weight * tl.where(square < SMALLEST_SQUARE, 0.0, gradient)
        loss += tl.load(losses + tile)
    tl.store(losses + tile, loss)
    result = tl.where(a[:, None] == b[None, :], 0.0, result)
    # In a tile on the diagonal W_ab and W_ba are summed in different orders: one of them is written twice.
    tl.store(weights + here, result, mask=inside & (a[:, None] <= b[None, :]))
    mirrored = start + b[None, :] * count + a[:, None]
    tl.store(weights + mirrored, result, mask=inside & (a[:, None] < b[None, :]))
