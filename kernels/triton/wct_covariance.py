"""Kernels of covariances, as products over pieces of the positions, and of the roots of small ones."""

from __future__ import annotations

import ctypes
import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastnst.kernels import newton_schulz
from fastnst.kernels.triton import launch
from fastnst.kernels.triton.configs import Options, choose
from fastnst.kernels.triton.tiles import triangle

SHORTEST_PIECE = 256
"""The number of positions that is worth a program of its own."""
PROGRAMS_PER_PROCESSOR = 2
SCHEDULE = tl.constexpr(newton_schulz.SCHEDULE)
STEPS = tl.constexpr(len(newton_schulz.SCHEDULE))


@triton.jit
def product(a, b, sums, rest, DOUBLE: tl.constexpr):
    """``sums`` plus a b; in float32 the summation is compensated, and ``rest`` is the remaining error."""
    if DOUBLE:
        total = tl.dot(a, b, sums, out_dtype=tl.float64)
    else:
        term = tl.dot(a, b, input_precision="ieee")
        total = sums + term
        shifted = total - sums
        rest += (sums - (total - shifted)) + (term - shifted)
    return total, rest


@triton.jit
def coefficient(step, POWER: tl.constexpr):
    """``SCHEDULE[step][POWER]`` as part of the code, so that a CUDA graph needs no memory for it."""
    result = tl.full([], 0.0, tl.float64)
    for index in tl.static_range(STEPS):
        result = tl.where(step == index, tl.full([], SCHEDULE[index][POWER], tl.float64), result)
    return result


@triton.jit(do_not_specialize=["channels", "pieces", "piece_steps", "tile_count", "blocks"])
def products_kernel(
    left, right, products, sums, channels, positions, pieces, piece_steps, tile_count, blocks,
    SAME: tl.constexpr, DOUBLE: tl.constexpr, BLOCK: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """left right^T over a piece of the positions, for a tile of channels, and left's sums.

    ``right`` is taken relative to its first position, and so is ``left`` where it is the ``SAME``: then constant channels are
    zero, and a mean that is far from 0 costs no digits.
    """
    program = tl.program_id(0)
    tile = program % tile_count
    piece = (program // tile_count % pieces).to(tl.int64)
    image = (program // tile_count // pieces).to(tl.int64)
    if SAME:
        row, column = triangle(tile, blocks)
    else:
        row, column = (tile // blocks).to(tl.int64), (tile % blocks).to(tl.int64)
    i = row * BLOCK + tl.arange(0, BLOCK)
    j = column * BLOCK + tl.arange(0, BLOCK)
    in_i = i < channels
    in_j = j < channels
    place_i = (image * channels + i) * positions
    place_j = (image * channels + j) * positions
    kind: tl.constexpr = tl.float64 if DOUBLE else tl.float32
    first_i = tl.zeros([BLOCK], kind)
    if SAME:
        first_i = tl.load(left + place_i, mask=in_i, other=0.0).to(kind)
    first_j = tl.load(right + place_j, mask=in_j, other=0.0).to(kind)
    total = tl.zeros([BLOCK, BLOCK], kind)
    rest = tl.zeros([BLOCK, BLOCK], kind)
    row_sums = tl.zeros([BLOCK], tl.float64)
    begin = piece * piece_steps * DEPTH
    for start in range(begin, tl.minimum(begin + piece_steps.to(tl.int64) * DEPTH, positions), DEPTH):
        p = start + tl.arange(0, DEPTH)
        in_p = p < positions
        inside = in_i[:, None] & in_p[None, :]
        a = tl.load(left + (place_i[:, None] + p[None, :]), mask=inside, other=0.0).to(kind)
        a = tl.where(inside, a - first_i[:, None], 0.0)
        inside = in_j[:, None] & in_p[None, :]
        b = tl.load(right + (place_j[:, None] + p[None, :]), mask=inside, other=0.0).to(kind)
        b = tl.where(inside, b - first_j[:, None], 0.0)
        total, rest = product(a, tl.trans(b), total, rest, DOUBLE)
        row_sums += tl.sum(a, 1).to(tl.float64)
    at = image * pieces + piece
    inside = in_i[:, None] & in_j[None, :]
    where = at * channels * channels + i[:, None] * channels + j[None, :]
    tl.store(products + where, total.to(tl.float64) + rest.to(tl.float64), mask=inside)
    if column == (row if SAME else 0):
        tl.store(sums + (at * channels + i), row_sums, mask=in_i)


@triton.jit
def covariance(products, sums, image, i, j, inside, channels, positions, pieces, BLOCK: tl.constexpr):
    """A tile of the covariance, from its pieces, and the sums of its rows."""
    total = tl.zeros([BLOCK, BLOCK], tl.float64)
    sums_i = tl.zeros([BLOCK], tl.float64)
    sums_j = tl.zeros([BLOCK], tl.float64)
    where = i[:, None] * channels + j[None, :]
    for piece in range(pieces):
        at = image * pieces + piece
        total += tl.load(products + (at * channels * channels + where), mask=inside, other=0.0)
        sums_i += tl.load(sums + (at * channels + i), mask=i < channels, other=0.0)
        sums_j += tl.load(sums + (at * channels + j), mask=j < channels, other=0.0)
    count = tl.cast(positions, tl.float64)
    centred = total - sums_i[:, None] * (sums_j / count)[None, :]
    return centred / tl.cast(tl.maximum(positions - 1, 1), tl.float64), sums_i / count


@triton.jit(do_not_specialize=["channels", "positions", "pieces", "tile_count", "blocks"])
def covariance_kernel(
    x, products, sums, out, means, channels, positions, pieces, tile_count, blocks, BLOCK: tl.constexpr
):  # fmt: skip
    """The whole covariance, from the pieces of its upper tiles, and the means."""
    tile = tl.program_id(0) % tile_count
    image = (tl.program_id(0) // tile_count).to(tl.int64)
    row, column = triangle(tile, blocks)
    i = row * BLOCK + tl.arange(0, BLOCK)
    j = column * BLOCK + tl.arange(0, BLOCK)
    inside = (i < channels)[:, None] & (j < channels)[None, :]
    result, mean = covariance(products, sums, image, i, j, inside, channels, positions, pieces, BLOCK)
    place = image * channels + i
    if row == column:
        first = tl.load(x + place * positions, mask=i < channels, other=0.0).to(tl.float64)
        tl.store(means + place, first + mean, mask=i < channels)
    out += image * channels * channels
    upper = inside & (i[:, None] <= j[None, :])
    tl.store(out + (i[:, None] * channels + j[None, :]), result, mask=upper)
    tl.store(out + (j[None, :] * channels + i[:, None]), result, mask=upper)


@triton.jit(do_not_specialize=["channels", "positions", "pieces"])
def root_kernel(
    x, products, sums, out, means, channels, positions, pieces, ridge, ridge_rest,
    INVERSE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """``newton_schulz.root`` of a small covariance in one program, from its pieces, and the means."""
    image = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, BLOCK).to(tl.int64)
    in_i = i < channels
    inside = in_i[:, None] & in_i[None, :]
    itself = i[:, None] == i[None, :]
    matrix, mean = covariance(products, sums, image, i, i, inside, channels, positions, pieces, BLOCK)
    place = image * channels + i
    first = tl.load(x + place * positions, mask=in_i, other=0.0).to(tl.float64)
    tl.store(means + place, first + mean, mask=in_i)
    # The ridge in two parts: a kernel's arguments are float32.
    matrix += tl.where(itself & inside, tl.cast(ridge, tl.float64) + tl.cast(ridge_rest, tl.float64), 0.0)
    norm = tl.sqrt(tl.sum(tl.sum(matrix * matrix, 1), 0))
    norm = tl.where(norm == 0, 1.0, norm)
    # The identity beyond the channels, which the iteration does not change.
    y = matrix / norm + tl.where(itself & (inside == 0), 1.0, 0.0)
    z = tl.where(itself, 1.0, 0.0).to(tl.float64)
    for step in range(STEPS):
        square = tl.dot(z, y, out_dtype=tl.float64)
        factor = coefficient(step, 2) * tl.dot(square, square, out_dtype=tl.float64)
        factor += coefficient(step, 1) * square + tl.where(itself, coefficient(step, 0), 0.0)
        y = tl.dot(y, factor, out_dtype=tl.float64)
        z = tl.dot(factor, z, out_dtype=tl.float64)
    result = z / tl.sqrt(norm) if INVERSE else y * tl.sqrt(norm)
    result = 0.5 * (result + tl.trans(result))
    tl.store(out + (image * channels * channels + i[:, None] * channels + i[None, :]), result, mask=inside)


def fused_root(x: Tensor, ridge: float, inverse: bool) -> tuple[Tensor, Tensor]:
    """Root and mean for few channels."""
    batch, channels, positions = x.shape
    products, sums = products_of(x, x, same=True)
    mean = x.new_empty(batch, channels, 1, dtype=torch.float64)
    root = x.new_empty(batch, channels, channels, dtype=torch.float64)
    high = ctypes.c_float(ridge).value
    sizes = channels, positions, products.shape[1], high, ridge - high
    options = choose("wct_root", launch.device_of(x).capability, "any")
    constants = {"INVERSE": inverse, "BLOCK": max(16, triton.next_power_of_2(channels)), **options}
    launch.start(root_kernel, (batch,), x, products, sums, root, mean, *sizes, **constants)
    return root, mean


def covariance_of(x: Tensor) -> tuple[Tensor, Tensor]:
    """Covariance and mean."""
    batch, channels, positions = x.shape
    products, sums = products_of(x, x, same=True)
    mean = x.new_empty(batch, channels, 1, dtype=torch.float64)
    out = x.new_empty(batch, channels, channels, dtype=torch.float64)
    options = choose("wct_covariance", launch.device_of(x).capability, "any")
    blocks, tiles = tiles_of(channels, options, upper=True)
    sizes = channels, positions, products.shape[1], tiles, blocks
    launch.start(covariance_kernel, (batch * tiles,), x, products, sums, out, mean, *sizes, **options)
    return out, mean


def covariance_of_few(x: Tensor) -> tuple[Tensor, Tensor]:
    """The same in float64 on any GPU. As in the kernels relative to the first position, so that constant channels are zero."""
    first = x[..., :1].double()
    shifted = x.double() - first
    mean = shifted.mean(-1, keepdim=True)
    centred = shifted - mean
    return centred @ centred.mT / max(1, x.shape[-1] - 1), first + mean


def products_of(left: Tensor, right: Tensor, same: bool) -> tuple[Tensor, Tensor]:
    """Pieces of left right^T, float64 [B, P, C, C], of which only upper tiles are there if they are the ``same``, and sums."""
    batch, channels, positions = left.shape
    device = launch.device_of(left)
    options = choose("wct_products", device.capability, "any")
    left = readable(left, options)
    right = left if same else readable(right, options)
    blocks, tiles = tiles_of(channels, options, upper=same)
    wanted = math.ceil(PROGRAMS_PER_PROCESSOR * device.processors / (batch * tiles))
    depth = int(options["DEPTH"])
    steps = math.ceil(max(positions / wanted, SHORTEST_PIECE) / depth)
    pieces = math.ceil(positions / (steps * depth))
    products = left.new_empty(batch, pieces, channels, channels, dtype=torch.float64)
    sums = left.new_empty(batch, pieces, channels, dtype=torch.float64)
    sizes = channels, positions, pieces, steps, tiles, blocks
    launch.start(products_kernel, (batch * pieces * tiles,), left, right, products, sums, *sizes, SAME=same, **options)
    return products, sums


def readable(x: Tensor, options: Options) -> Tensor:
    """``x`` as float32 at least where products are float64: Triton 3.6 and 3.7 cannot use 16-bit operands there."""
    return x.float() if options["DOUBLE"] else x


def tiles_of(channels: int, options: Options, *, upper: bool) -> tuple[int, int]:
    """Blocks of the channels, and tiles of a square of these, or of its upper half."""
    blocks = math.ceil(channels / int(options["BLOCK"]))
    return blocks, blocks * (blocks + 1) // 2 if upper else blocks**2
