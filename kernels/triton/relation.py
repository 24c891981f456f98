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

The law of cosines has an error of about eps * (longer side) / (shorter side), where the reference's differences have only
that of the items themselves. It is the price of no D in the loop over triangles, and matters for items that nearly coincide:
their angles are noise, from -1 to 1.
"""

from __future__ import annotations

import functools
import math
from dataclasses import astuple, dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastnst.kernels.triton import launch
from fastnst.kernels.triton.configs import choose

ROW, COLUMN, PATCH = 1, 2, 4
"""Bits of ``granularities``."""

SMALLEST_SQUARE = tl.constexpr(1e-12)  # below it a distance is constant, as published
SMALLEST_DIRECTION = tl.constexpr(1e-24)  # up to it a pair has no direction: a distance of 1e-12
SUMMED = tl.constexpr(128)  # partial sums that are read at a time

SQUARES, DISTANCES, WEIGHTS = 0, 1, 2
"""What ``pairwise_kernel`` makes of squared distances."""


@dataclass(frozen=True)
class View:
    """How the items of one image, or of one set, lie in memory; strides are in elements. An item has less than 2^31 numbers.

    The fields in this order are a row of the table that kernels read, after ``base`` and the numbers of tiles.
    """

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


# Columns of the kernels' table of views.
BASE, FIRST, TILES, COUNT, LINE, DOWN, ACROSS, OUTER, OUTER_STRIDE, MIDDLE, MIDDLE_STRIDE, INNER, INNER_STRIDE, FIELDS = (
    tl.constexpr(field) for field in range(14)
)


# --- kernels ----------------------------------------------------------------------------------------------------------------


@triton.jit
def field(views, view, name):
    return tl.load(views + view * FIELDS + name)


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
def side(squares, inside):
    """Half the squared length of sides, and one over their length, or 0 where they have no direction."""
    square = tl.load(squares, mask=inside, other=0.0)
    none = square <= SMALLEST_DIRECTION
    return 0.5 * square, tl.where(none, 0.0, tl.rsqrt(tl.where(none, 1.0, square)))


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


@triton.jit
def pairwise_kernel(
    x, views, tiles, gradients, out, lengths, image_stride, pairs, tile_count, eps,
    MODE: tl.constexpr, SQUARED: tl.constexpr, BLOCK: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """Squared distances of a tile of pairs, and what ``MODE`` makes of them; the mirror image of the tile as well."""
    image = (tl.program_id(0) // tile_count).to(tl.int64)
    tile = tl.program_id(0) % tile_count
    view, row, column = tl.load(tiles + 3 * tile), tl.load(tiles + 3 * tile + 1), tl.load(tiles + 3 * tile + 2)
    count = field(views, view, COUNT)
    line = field(views, view, LINE).to(tl.int32)
    down = field(views, view, DOWN)
    across = field(views, view, ACROSS)
    middle = field(views, view, MIDDLE).to(tl.int32)
    outer_stride = field(views, view, OUTER_STRIDE)
    middle_stride = field(views, view, MIDDLE_STRIDE)
    inner = field(views, view, INNER).to(tl.int32)
    inner_stride = field(views, view, INNER_STRIDE)
    a = row * BLOCK + tl.arange(0, BLOCK)
    b = column * BLOCK + tl.arange(0, BLOCK)
    x += image * image_stride
    first = (x + offset(a, line, down, across))[:, None, None]
    second = (x + offset(b, line, down, across))[None, :, None]
    depth = tl.arange(0, DEPTH)
    blocks = tl.cdiv(inner, DEPTH)
    # The sum over the last axis comes after the loop, so that threads need not meet in it.
    sums = tl.zeros([BLOCK, BLOCK, DEPTH], tl.float32)
    for step in tl.range(field(views, view, OUTER).to(tl.int32) * middle * blocks, num_stages=3):
        line_of = step // blocks
        e = (step % blocks) * DEPTH + depth
        place = (offset(line_of, middle, outer_stride, middle_stride) + e * inner_stride)[None, None, :]
        inside = (e < inner)[None, None, :]
        left = tl.load(first + place, mask=inside & (a < count)[:, None, None], other=0.0).to(tl.float32)
        right = tl.load(second + place, mask=inside & (b < count)[None, :, None], other=0.0).to(tl.float32)
        difference = left - right
        sums += difference * difference
    squares = tl.sum(sums, 2)
    itself = a[:, None] == b[None, :]
    here = image * pairs + field(views, view, BASE) + a[:, None] * count + b[None, :]
    mirrored = image * pairs + field(views, view, BASE) + b[None, :] * count + a[:, None]
    inside = (a < count)[:, None] & (b < count)[None, :]
    if MODE == 0:
        result = squares
        distances = tl.sqrt(tl.where(squares < SMALLEST_SQUARE, SMALLEST_SQUARE, squares))
        length = tl.sum(tl.where(inside & (itself == 0), distances, 0.0))
        tl.store(lengths + (image * tile_count + tile), tl.where(row == column, length, 2.0 * length))
    else:
        clamped = tl.where(squares < eps, eps, squares)
        if MODE == 1:
            result = tl.where(itself, 0.0, clamped if SQUARED else tl.sqrt(clamped))
        else:
            upstream = tl.load(gradients + here, mask=inside, other=0.0).to(tl.float32)
            upstream += tl.load(gradients + mirrored, mask=inside, other=0.0).to(tl.float32)
            slope = 0.5 * upstream if SQUARED else 0.25 * upstream / tl.sqrt(clamped)
            result = tl.where(itself | (squares < eps), 0.0, slope)
    tl.store(out + here, result, mask=inside)
    tl.store(out + mirrored, result, mask=inside & (a[:, None] < b[None, :]))


@triton.jit
def lengths_kernel(
    squares, wanted, views, tiles, lengths, wanted_lengths, losses, products, pairs, tile_count, weight,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Of a tile: the distance term's loss, and the sum of slope x distance that the gradient of the mean needs."""
    image = (tl.program_id(0) // tile_count).to(tl.int64)
    tile = tl.program_id(0) % tile_count
    distances, _, slope, loss, _, counted = distance_term(
        squares, wanted, views, tiles, lengths, wanted_lengths, image, tile, pairs, tile_count, BLOCK
    )
    tl.store(losses + (image * tile_count + tile), weight * tl.sum(loss * counted))
    tl.store(products + (image * tile_count + tile), tl.sum(slope * distances * counted))


@triton.jit
def distance_term(
    squares, wanted, views, tiles, lengths, wanted_lengths, image, tile, pairs, tile_count, BLOCK: tl.constexpr
):  # fmt: skip
    """Distances of a tile, their squares, the loss's slope and value there, the mean, and how often each pair counts."""
    view, row, column = tl.load(tiles + 3 * tile), tl.load(tiles + 3 * tile + 1), tl.load(tiles + 3 * tile + 2)
    count = field(views, view, COUNT)
    a = (row * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)[:, None]
    b = (column * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)[None, :]
    here = image * pairs + field(views, view, BASE) + a * count + b
    inside = (a < count) & (b < count) & (a != b)
    every = (count * count).to(tl.float32)
    partial = image * tile_count + field(views, view, FIRST)
    partials = field(views, view, TILES).to(tl.int32)
    others = tl.maximum(count * (count - 1), 1).to(tl.float32)
    mean = total(lengths + partial, partials) / others
    wanted_mean = total(wanted_lengths + partial, partials) / others
    square = tl.load(squares + here, mask=inside, other=0.0)
    wanted_square = tl.load(wanted + here, mask=inside, other=0.0)
    distance = tl.sqrt(tl.where(square < SMALLEST_SQUARE, SMALLEST_SQUARE, square))
    wanted_distance = tl.sqrt(tl.where(wanted_square < SMALLEST_SQUARE, SMALLEST_SQUARE, wanted_square))
    # A single item has no pairs and no mean: what it is divided by must not matter.
    mean = tl.where(count == 1, 1.0, mean)
    wanted_mean = tl.where(count == 1, 1.0, wanted_mean)
    loss, slope = smooth_l1(distance / mean - wanted_distance / wanted_mean)
    loss = tl.where(inside, loss / every, 0.0)
    slope = tl.where(inside, slope / every, 0.0)
    counted = tl.where(row == column, 1.0, 2.0)
    return distance, square, slope, loss, mean, counted


@triton.jit
def triangles_kernel(
    squares, wanted, views, tiles, lengths, wanted_lengths, products, losses, weights, pairs, tile_count,
    distance_weight, angle_weight, DISTANCE: tl.constexpr, ANGLE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """W of a tile of pairs (a, b), from all triangles over them, and the tile's part of the loss.

    For every third item c: the angles at a and at b have the side ab as one of theirs, the angle at c faces it. With
    g the loss's slope there, ab's part of the gradient is g (r_ac - cos_a r_ab) r_ab / 2, likewise at b, and
    -g r_ac r_bc / 2 at c, where only the last is summed into the loss: every angle faces one side.
    """
    image = (tl.program_id(0) // tile_count).to(tl.int64)
    tile = tl.program_id(0) % tile_count
    view, row, column = tl.load(tiles + 3 * tile), tl.load(tiles + 3 * tile + 1), tl.load(tiles + 3 * tile + 2)
    count = field(views, view, COUNT)
    base = image * pairs + field(views, view, BASE)
    a = (row * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)
    b = (column * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)
    in_a = a < count
    in_b = b < count
    here = base + a[:, None] * count + b[None, :]
    inside = in_a[:, None] & in_b[None, :]
    result = tl.zeros([BLOCK, BLOCK], tl.float32)
    loss = 0.0
    if ANGLE:
        half, inverse = side(squares + here, inside)
        wanted_half, wanted_inverse = side(wanted + here, inside)
        adjacent = tl.zeros([BLOCK, BLOCK], tl.float32)
        opposite = tl.zeros([BLOCK, BLOCK], tl.float32)
        huber = tl.zeros([BLOCK, BLOCK], tl.float32)
        for c in range(count.to(tl.int32)):
            # q is symmetric: the row of c holds its distances to a and to b side by side.
            start = base + c * count
            half_a, r_a = side(squares + (start + a)[:, None], in_a[:, None])
            half_b, r_b = side(squares + (start + b)[None, :], in_b[None, :])
            at_a, at_b, at_c = cosines(half, inverse, half_a, r_a, half_b, r_b)
            wanted_half_a, wanted_r_a = side(wanted + (start + a)[:, None], in_a[:, None])
            wanted_half_b, wanted_r_b = side(wanted + (start + b)[None, :], in_b[None, :])
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
        every = (count * count * count).to(tl.float32)
        result = angle_weight * (0.5 / every) * (inverse * adjacent - opposite)
        # A tile off the diagonal stands for two; on it, pairs (j, j) are half of what the mirrored ones are.
        times = tl.where(row == column, 1.0, 2.0)
        loss = angle_weight * times * tl.sum(tl.where(inside, huber, 0.0)) / every
    if DISTANCE:
        distance, square, slope, _, mean, _ = distance_term(
            squares, wanted, views, tiles, lengths, wanted_lengths, image, tile, pairs, tile_count, BLOCK
        )
        partials = field(views, view, TILES).to(tl.int32)
        product = total(products + image * tile_count + field(views, view, FIRST), partials)
        others = tl.maximum(count * (count - 1), 1).to(tl.float32)
        gradient = 0.5 / distance * (slope / mean - product / (mean * mean * others))
        result += distance_weight * tl.where(square < SMALLEST_SQUARE, 0.0, gradient)
        loss += tl.load(losses + (image * tile_count + tile))
    tl.store(losses + (image * tile_count + tile), loss)
    result = tl.where(a[:, None] == b[None, :], 0.0, result)
    # In a tile on the diagonal W_ab and W_ba are summed in different orders: one of them is written twice.
    tl.store(weights + here, result, mask=inside & (a[:, None] <= b[None, :]))
    mirrored = base + b[None, :] * count + a[:, None]
    tl.store(weights + mirrored, result, mask=inside & (a[:, None] < b[None, :]))


@triton.jit
def spread_kernel(
    x, weights, scale, out, image_stride, pairs, base, count, line, down, across, outer_stride, middle, middle_stride,
    inner, inner_stride, numbers, item_blocks, number_blocks,
    SCALED: tl.constexpr, ADD: tl.constexpr, BLOCK: tl.constexpr, NUMBERS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """4 scale sum over j of W_ij (x_i - x_j), for a block of items i and of their numbers, written or added to ``out``."""
    program = tl.program_id(0)
    image = (program // (item_blocks * number_blocks)).to(tl.int64)
    i = program // number_blocks % item_blocks * BLOCK + tl.arange(0, BLOCK)
    d = program % number_blocks * NUMBERS + tl.arange(0, NUMBERS)
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


@functools.lru_cache(maxsize=64)
def _tables(views: tuple[View, ...], block: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """What kernels read of ``views``, int64 [views, fields], and their tiles: view, row and column, int32 [tiles, 3].

    Kept, because copying them to a GPU costs more than the kernels do on a small image.
    """
    rows, tiles = [], []
    base = first = 0
    for index, view in enumerate(views):
        side = math.ceil(view.count / block)
        upper = torch.triu_indices(side, side, dtype=torch.int32).T
        tiles.append(torch.nn.functional.pad(upper, (1, 0), value=index))
        rows.append([base, first, len(upper), *astuple(view)])
        base += view.count**2
        first += len(upper)
    return torch.tensor(rows, dtype=torch.int64).to(device), torch.cat(tiles).contiguous().to(device)


def _size(views: tuple[View, ...], batch: int, device: launch.Device) -> str:
    """Large tiles share more, small ones fill a GPU sooner."""
    large = choose("relation", device.capability, "many")["BLOCK"]
    tiles = sum(math.ceil(view.count / large) * (math.ceil(view.count / large) + 1) // 2 for view in views)
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
    lengths: Tensor | None = None,
    gradients: Tensor | None = None,
    squared: bool = True,
    eps: float = 0.0,
) -> None:
    device = launch.device_of(items)
    options = choose("pairwise", device.capability, size or _size(views, len(items), device))
    table, tiles = _tables(views, int(options["BLOCK"]), items.device)
    grid = (len(items) * len(tiles),)
    arguments = items, table, tiles, gradients, out, lengths, items.stride(0), _pairs(views), len(tiles), eps
    launch.start(pairwise_kernel, grid, *arguments, MODE=mode, SQUARED=squared, **options)


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
    table, tiles = _tables(views, int(options["BLOCK"]), student.device)
    count = len(tiles)
    squares, wanted = student.new_empty(2, batch, pairs, dtype=torch.float32)
    weights = torch.empty_like(squares)
    lengths, wanted_lengths, products, losses = student.new_empty(4, batch, count, dtype=torch.float32)
    _pairwise(student, views, SQUARES, squares, size=size, lengths=lengths)
    _pairwise(teacher, teacher_views, SQUARES, wanted, size=size, lengths=wanted_lengths)
    grid, measured = (batch * count,), (squares, wanted, table, tiles, lengths, wanted_lengths)
    if distance_weight != 0:
        launch.start(lengths_kernel, grid, *measured, losses, products, pairs, count, float(distance_weight), **options)
    terms = {"DISTANCE": distance_weight != 0, "ANGLE": angle_weight != 0}
    scales = float(distance_weight), float(angle_weight)
    launch.start(triangles_kernel, grid, *measured, products, losses, weights, pairs, count, *scales, **terms, **options)
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
