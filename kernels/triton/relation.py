r"""Relations between items: distances and angles of a student's items held to a teacher's, and their gradients.

Nothing of size N x N x D or N^3 is stored. Squared distances q come from differences, not from a matrix product: they are
exactly 0 where items are equal, and lose no digits where items are close. Angles come from q alone by the law of cosines,

.. math:: \cos_{ijk} = \tfrac12 (q_{ij} + q_{ik} - q_{jk})\,r_{ij}\,r_{ik}

with r = 1 / sqrt(q), or 0 up to a distance of 1e-12: items that coincide have no angle and no gradient. So all three angles
of a triangle cost a few operations, and W = d loss / d q needs one pass over triangles. Every number has one program that adds
it up in a fixed order: results are reproducible to the bit.

W is symmetric with a zero diagonal, and q_ij and q_ji count as two variables: d loss = sum over all ordered pairs of
W_ij dq_ij, so d loss / d x_i = 4 sum over j of W_ij (x_i - x_j).

Items are read where they lie: of an image, item i is at ``(i // line) * down + (i % line) * across`` and its numbers lie
``outer`` x ``middle`` x ``inner`` with a stride each (``View``). So rows, columns and patches in either layout are one kernel.
Views are handed over as plain numbers, and a tile's row and column follow from its own: no table lies in memory, so nothing is
copied to the GPU, and a captured CUDA graph points to nothing that could be freed. No number of a view compiles anything anew.

The law of cosines has an error of about eps * (longer side) / (shorter side), where the reference's differences have only
that of the items themselves. It is the price of no D in the loop over triangles, and matters for items that nearly coincide:
their angles are noise, from -1 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastnst.kernels.triton import launch
from fastnst.kernels.triton.configs import choose
from fastnst.kernels.triton.tiles import quotient, triangle

ROW, COLUMN, PATCH = 1, 2, 4
"""Bits of ``granularities``."""

SMALLEST_SQUARE = tl.constexpr(1e-12)  # below it a distance is constant, as published
SMALLEST = tl.constexpr(1e-6)
SMALLEST_DIRECTION = tl.constexpr(1e-24)  # up to it a pair has no direction: a distance of 1e-12
SUMMED = tl.constexpr(128)  # partial sums that are read at a time

SQUARES, DISTANCES, WEIGHTS = 0, 1, 2
"""What ``pairwise_kernel`` makes of squared distances."""


@dataclass(frozen=True)
class View:
    """How the items of one image, or of one set, lie in memory; strides are in elements."""

    count: int
    line: int
    down: int
    across: int
    outer: int
    outer_stride: int
    middle: int
    middle_stride: int
    inner: int
    inner_stride: int

    @property
    def numbers(self) -> int:
        """Of one item."""
        return self.outer * self.middle * self.inner

    def arguments(self, depth: int) -> tuple[int, ...]:
        """What ``pairwise_kernel`` is told, in the order of ``FIELDS``; ``depth`` numbers of an item are read in a step."""
        steps = self.outer * self.middle * math.ceil(self.inner / depth)
        place = self.count, self.line, self.down, self.across
        return *place, steps, self.outer_stride, self.middle, self.middle_stride, self.inner, self.inner_stride


FIELDS = (
    "count", "line", "down", "across", "steps", "outer_stride", "middle", "middle_stride", "inner", "inner_stride"
)  # fmt: skip
VIEWS = 3
"""As many as there are granularities."""


# --- kernels ----------------------------------------------------------------------------------------------------------------


@triton.jit
def pick(view, first, second, third):
    """What belongs to view 0, 1 or 2."""
    return tl.where(view == 0, first, tl.where(view == 1, second, third))


@triton.jit
def blocks_of(count, BLOCK: tl.constexpr):
    """Of ``count`` items, and tiles of their pairs on or above the diagonal."""
    blocks = tl.cdiv(count, BLOCK).to(tl.int64)
    return blocks, blocks * (blocks + 1) // 2


@triton.jit
def placed(tile_count, pairs, count_0, count_1, count_2, BLOCK: tl.constexpr):
    """Where a program works: image, view, number of items, row and column of the tile, its pairs, and its view's tiles.

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
    """Of what is at ``index`` along lines of ``line``; the division is in 32 bits, where GPUs have it, the product in 64."""
    return (index // line).to(tl.int64) * down + (index % line).to(tl.int64) * across


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
def distance(squares, roots):
    """Of items whose squared distances and their roots are given, as published."""
    return tl.where(squares < SMALLEST_SQUARE, SMALLEST, roots)


@triton.jit
def side(squares, inverses, at, inside):
    """Half the squared length of sides, and one over their length, or 0 where they have no direction."""
    return 0.5 * tl.load(squares + at, mask=inside, other=0.0), tl.load(inverses + at, mask=inside, other=0.0)


@triton.jit
def cosines(half, r, half_a, r_a, half_b, r_b):
    """Of triangles with sides ab, ac and bc, each given as ``side`` has it: at a, at b and at c."""
    difference = half_a - half_b
    return (half + difference) * (r_a * r), (half - difference) * (r_b * r), (half_a + half_b - half) * (r_a * r_b)


@triton.jit
def total(values, count):
    """The sum of ``count`` numbers, in an order that depends on nothing else."""
    sums = tl.zeros([SUMMED], tl.float32)
    for start in range(0, count, SUMMED):
        index = start + tl.arange(0, SUMMED).to(tl.int64)
        sums += tl.load(values + index, mask=index < count, other=0.0)
    return tl.sum(sums)


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
    """Squared distances of a tile of pairs, and what ``MODE`` makes of them; the mirror image of the tile as well."""
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
    # The sum over the last axis comes after the loop, so that threads need not meet in it.
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


@triton.jit(do_not_specialize=["pairs", "tile_count", "count_0", "count_1", "count_2"])
def lengths_kernel(
    squares, wanted, lengths, wanted_lengths, losses, products, pairs, tile_count, count_0, count_1, count_2, weight,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Of a tile: the distance term's loss, and the sum of slope x distance that the gradient of the mean needs."""
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
    # A single item has no pairs and no mean: what it is divided by must not matter.
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
            # q is symmetric: the row of c holds its distances to a and to b side by side.
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
    # Relative to the first item: what all items share must not cancel in the difference of large sums.
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


# --- views and tables -------------------------------------------------------------------------------------------------------


def _view(count: int, line: int, down: int, across: int, *axes: tuple[int, int]) -> View:
    """A view of items whose numbers lie along ``axes`` (size and stride): joined where they can be, the best one innermost."""
    joined: list[tuple[int, int]] = []
    for size, stride in sorted(axes, key=lambda axis: -axis[1]):
        if size == 1:
            continue
        if joined and joined[-1][1] == size * stride:
            joined[-1] = (joined[-1][0] * size, stride)
        else:
            joined.append((size, stride))
    # The innermost axis is read in blocks: better far apart than mostly empty.
    joined.sort(key=lambda axis: (min(axis[0], 32), -axis[1]))
    (outer, outer_stride), (middle, middle_stride), (inner, inner_stride) = [(1, 0)] * (3 - len(joined)) + joined
    return View(count, line, down, across, outer, outer_stride, middle, middle_stride, inner, inner_stride)


def _sets(items: Tensor) -> tuple[View, ...]:
    """Of sets [B, N, D]."""
    _, count, numbers = items.shape
    return (_view(count, 1, numbers, 0, (numbers, 1)),)


def _granules(images: Tensor, patch_size: int, granularities: int) -> tuple[View, ...]:
    """Of images [N, C, H, W]: rows, columns and patches, as far as ``granularities`` has their bits."""
    _, channels, height, width = images.shape
    _, plane, down, across = images.stride()
    chosen = []
    if granularities & ROW:
        chosen.append(_view(height, 1, down, 0, (channels, plane), (width, across)))
    if granularities & COLUMN:
        chosen.append(_view(width, 1, across, 0, (channels, plane), (height, down)))
    if granularities & PATCH:
        line = width // patch_size
        sides = (channels, plane), (patch_size, down), (patch_size, across)
        chosen.append(_view(height // patch_size * line, line, patch_size * down, patch_size * across, *sides))
    return tuple(chosen)


def _pairs(views: tuple[View, ...]) -> int:
    return sum(view.count**2 for view in views)


def _tiles(views: tuple[View, ...], block: int) -> int:
    """Tiles on and above the diagonals, of all views."""
    sides = (math.ceil(view.count / block) for view in views)
    return sum(side * (side + 1) // 2 for side in sides)


def _padded(views: tuple[View, ...], depth: int) -> list[int]:
    """The arguments of all views; those that are lacking have no items."""
    lacking = (0,) * (len(FIELDS) * (VIEWS - len(views)))
    return [*(number for view in views for number in view.arguments(depth)), *lacking]


def _size(views: tuple[View, ...], batch: int, device: launch.Device) -> str:
    """Large tiles share more, small ones fill a GPU sooner."""
    tiles = _tiles(views, int(choose("relation", device.capability, "many")["BLOCK"]))
    return "many" if tiles * batch >= 2 * device.processors else "few"


# --- operations -------------------------------------------------------------------------------------------------------------


def pairwise(items: Tensor, squared: bool, eps: float) -> Tensor:
    """Distances of all pairs of ``items`` [B, N, D], or their squares clamped at ``eps``: [B, N, N] in their type."""
    batch, count, _ = items.shape
    out = items.new_empty(batch, count, count)
    _pairwise(items, _sets(items), DISTANCES, out, squared=squared, eps=eps)
    return out


def pairwise_backward(grad: Tensor, items: Tensor, squared: bool, eps: float) -> Tensor:
    """The gradient of ``items`` for any ``grad`` [B, N, N]; pairs that were clamped hand none on."""
    weights = torch.empty_like(grad, dtype=torch.float32)
    _pairwise(items, _sets(items), WEIGHTS, weights, gradients=grad.contiguous(), squared=squared, eps=eps)
    return _spread(items, _sets(items), weights, None)


def relation(student: Tensor, teacher: Tensor, distance_weight: float, angle_weight: float) -> tuple[Tensor, Tensor]:
    """The loss of every set, float32 [B], and W (see above), float32 [B, N, N], of items [B, N, D] and [B, N, E].

    The loss is ``distance_weight`` times ``rkd_distance_loss`` plus ``angle_weight`` times ``rkd_angle_loss`` of the
    reference; a weight of 0 leaves out that term's work. Source: Park et al., CVPR 2019.
    """
    losses, weights = _relations(student, teacher, _sets(student), _sets(teacher), distance_weight, angle_weight)
    return losses, weights.view(len(student), student.shape[1], student.shape[1])


def relation_backward(grad: Tensor, weights: Tensor, student: Tensor) -> Tensor:
    """The gradient of ``student`` for the losses' ``grad`` [B]."""
    return _spread(student, _sets(student), weights, grad)


def content_relation(
    student: Tensor, teacher: Tensor, patch_size: int, distance_weight: float, angle_weight: float, granularities: int
) -> tuple[Tensor, Tensor]:
    """The loss of every image, float32 [N], summed over ``granularities``, and W of each of them in turn, float32 [N, K]."""
    views = [_granules(images, patch_size, granularities) for images in (student, teacher)]
    return _relations(student, teacher, *views, distance_weight, angle_weight)


def content_relation_backward(grad: Tensor, weights: Tensor, student: Tensor, patch_size: int, granularities: int) -> Tensor:
    """The gradient of the images ``student``, in their layout, for the losses' ``grad`` [N]."""
    return _spread(student, _granules(student, patch_size, granularities), weights, grad)


def _pairwise(
    items: Tensor,
    views: tuple[View, ...],
    mode: int,
    out: Tensor,
    *,
    size: str | None = None,
    inverses: Tensor | None = None,
    lengths: Tensor | None = None,
    gradients: Tensor | None = None,
    squared: bool = True,
    eps: float = 0.0,
) -> None:
    device = launch.device_of(items)
    options = choose("pairwise", device.capability, size or _size(views, len(items), device))
    tiles = _tiles(views, int(options["BLOCK"]))
    tensors, sizes = (items, gradients, out, inverses, lengths), (items.stride(0), _pairs(views), tiles, eps)
    numbers = _padded(views, int(options["DEPTH"]))
    launch.start(pairwise_kernel, (len(items) * tiles,), *tensors, *sizes, *numbers, MODE=mode, SQUARED=squared, **options)


def _relations(
    student: Tensor,
    teacher: Tensor,
    views: tuple[View, ...],
    teacher_views: tuple[View, ...],
    distance_weight: float,
    angle_weight: float,
) -> tuple[Tensor, Tensor]:
    batch, pairs, device = len(student), _pairs(views), launch.device_of(student)
    size = _size(views, batch, device)
    options = choose("relation", device.capability, size)
    tiles = _tiles(views, int(options["BLOCK"]))
    # Each by itself: a slice of something larger may begin where no vector can, and kernels are compiled anew for that.
    squares, wanted, weights = (student.new_empty(batch, pairs, dtype=torch.float32) for _ in range(3))
    angles: tuple[Tensor | None, Tensor | None] = (None, None)
    if angle_weight != 0:
        angles = torch.empty_like(squares), torch.empty_like(wanted)
    lengths, wanted_lengths, products, losses = (student.new_empty(batch, tiles, dtype=torch.float32) for _ in range(4))
    _pairwise(student, views, SQUARES, squares, size=size, inverses=angles[0], lengths=lengths)
    _pairwise(teacher, teacher_views, SQUARES, wanted, size=size, inverses=angles[1], lengths=wanted_lengths)
    grid, means = (batch * tiles,), (lengths, wanted_lengths)
    sizes = pairs, tiles, *(view.count for view in views), *(0,) * (VIEWS - len(views))
    if distance_weight != 0:
        terms = squares, wanted, *means, losses, products, *sizes, float(distance_weight)
        launch.start(lengths_kernel, grid, *terms, **options)
    tensors = squares, angles[0], wanted, angles[1], *means, products, losses, weights
    scales = float(distance_weight), float(angle_weight)
    chosen = {"DISTANCE": distance_weight != 0, "ANGLE": angle_weight != 0}
    launch.start(triangles_kernel, grid, *tensors, *sizes, *scales, **chosen, **options)
    return losses.sum(1), weights


def _spread(items: Tensor, views: tuple[View, ...], weights: Tensor, grad: Tensor | None) -> Tensor:
    """The gradient of ``items`` from those of their squared distances, summed over ``views`` in float32."""
    covered = sum(view.count * view.numbers for view in views[:1]) * len(items) == items.numel()
    wide = items.dtype if len(views) == 1 else torch.float32
    out = torch.empty_like(items, dtype=wide) if covered else torch.zeros_like(items, dtype=wide)
    options = choose("spread", launch.device_of(items).capability, "any")
    base = 0
    for index, view in enumerate(views):
        blocks = math.ceil(view.count / int(options["BLOCK"])), math.ceil(view.numbers / int(options["NUMBERS"]))
        launch.start(
            spread_kernel, (len(items) * math.prod(blocks),),
            items, weights, grad, out, items.stride(0), _pairs(views), base, view.count, view.line, view.down, view.across,
            view.outer_stride, view.middle, view.middle_stride, view.inner, view.inner_stride, view.numbers, *blocks,
            SCALED=grad is not None, ADD=index > 0, **options,
        )  # fmt: skip
        base += view.count**2
    return out.to(items.dtype)
