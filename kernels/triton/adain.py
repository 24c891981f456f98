"""Statistics of channels, adaptive instance normalisation and their gradients.

A row is one channel of one image: n = H W numbers. Where rows are short enough and there are enough of them, one program keeps
one row on chip, so that every tensor is read once (``*_row_kernel``). Otherwise, and in channels_last, rows are split:
partial sums of pieces, their merge, one sweep. No atomics: equal calls give equal bits. Variances are never E[x^2] - E[x]^2.

Everywhere ``row`` counts images times channels, statistics are float32 [N, C, 1, 1], and the unbiased n - 1 is max(n - 1, 1).

A kernel is compiled anew for a size that is 1, a multiple of 16, or neither, because that decides whether memory is read in
vectors. Sizes that no address depends on are named in ``do_not_specialize``: no new value of theirs compiles anything.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastnst.kernels.layout import channels_last
from fastnst.kernels.triton import launch
from fastnst.kernels.triton.configs import choose
from fastnst.kernels.triton.tiles import offsets, quotient

LONGEST_ROW = 32768
"""Numbers of a row that registers hold; a backward pass holds two rows."""
ROW_LIMITS = (512, 2048, 8192, LONGEST_ROW)
"""Rows up to each of these have warps of their own number."""
SHORT_ROW = 4096
"""Rows up to here are not worth splitting, however few they are."""
PROGRAMS_PER_PROCESSOR = 8
"""How many pieces rows are split into keeps every multiprocessor busy that often over."""


# Rows on chip


@triton.jit
def _row(x, length, BLOCK: tl.constexpr):
    """A row's numbers as float32, its positions and which of them exist."""
    at = tl.arange(0, BLOCK)
    inside = at < length
    return tl.load(x + at, mask=inside, other=0.0).to(tl.float32), at, inside


@triton.jit
def _centre(values, inside, length, eps):
    """Deviations from the mean, the mean, the standard deviation.

    Two passes over registers: with d = x - m and m the rounded mean, mean = m + sum(d) / n, and deviations from it are exact
    to the last bit however far the row is from 0.
    """
    rough = quotient(tl.sum(values, 0), length)
    deviation = tl.where(inside, values - rough, 0.0)
    correction = quotient(tl.sum(deviation, 0), length)
    deviation = tl.where(inside, deviation - correction, 0.0)
    variance = quotient(tl.sum(deviation * deviation, 0), tl.maximum(length - 1, 1))
    return deviation, rough + correction, tl.sqrt_rn(variance + eps)


@triton.jit
def stats_row_kernel(x, mean, std, length, eps, BLOCK: tl.constexpr):
    """Mean and standard deviation of one row."""
    row = tl.program_id(0).to(tl.int64)
    values, _, inside = _row(x + row * length, length, BLOCK)
    _, row_mean, row_std = _centre(values, inside, length, eps)
    tl.store(mean + row, row_mean)
    tl.store(std + row, row_std)


@triton.jit
def adain_row_kernel(
    content,
    style,
    out,
    mean,
    std,
    style_mean,
    style_std,
    length,
    style_length,
    eps,
    KNOWN: tl.constexpr,
    BLOCK: tl.constexpr,
    STYLE_BLOCK: tl.constexpr,
):
    """(x - mean) / std * style_std + style_mean for one row; the style's statistics are given if KNOWN, else found first."""
    row = tl.program_id(0).to(tl.int64)
    if KNOWN:
        wanted_mean = tl.load(style_mean + row)
        wanted_std = tl.load(style_std + row)
    else:
        values, _, inside = _row(style + row * style_length, style_length, STYLE_BLOCK)
        _, wanted_mean, wanted_std = _centre(values, inside, style_length, eps)
        tl.store(style_mean + row, wanted_mean)
        tl.store(style_std + row, wanted_std)
    values, at, inside = _row(content + row * length, length, BLOCK)
    deviation, row_mean, row_std = _centre(values, inside, length, eps)
    tl.store(mean + row, row_mean)
    tl.store(std + row, row_std)
    tl.store(out + row * length + at, deviation * quotient(wanted_std, row_std) + wanted_mean, mask=inside)


@triton.jit
def adain_backward_row_kernel(
    grad,
    content,
    style,
    dcontent,
    dstyle,
    dstyle_mean,
    dstyle_std,
    mean,
    std,
    style_mean,
    style_std,
    length,
    style_length,
    KNOWN: tl.constexpr,
    BLOCK: tl.constexpr,
    STYLE_BLOCK: tl.constexpr,
):
    """One row's gradients: of the style's statistics if KNOWN, else of the style.

    With h = (x - mean) / std: dstyle_mean = sum(g), dstyle_std = sum(g h),
    dx = style_std / std (g - sum(g) / n - h sum(g h) / (n - 1)).
    """
    row = tl.program_id(0).to(tl.int64)
    row_std = tl.load(std + row)
    wanted_std = tl.load(style_std + row)
    slope, at, inside = _row(grad + row * length, length, BLOCK)
    values, at, inside = _row(content + row * length, length, BLOCK)
    normal = tl.where(inside, (values - tl.load(mean + row)) * quotient(1.0, row_std), 0.0)
    total = tl.sum(slope, 0)
    along = tl.sum(slope * normal, 0)
    change = slope - quotient(total, length) - normal * quotient(along, tl.maximum(length - 1, 1))
    tl.store(dcontent + row * length + at, change * quotient(wanted_std, row_std), mask=inside)
    if KNOWN:
        tl.store(dstyle_mean + row, total)
        tl.store(dstyle_std + row, along)
    else:
        values, at, inside = _row(style + row * style_length, style_length, STYLE_BLOCK)
        factor = quotient(along, tl.maximum(style_length - 1, 1) * wanted_std)
        change = (values - tl.load(style_mean + row)) * factor + quotient(total, style_length)
        tl.store(dstyle + row * style_length + at, change, mask=inside)


# Rows split into pieces. A tile is CHANNELS channels at POSITIONS positions; LAST is channels_last.


@triton.jit
def _piece(channels, length, piece_length, pieces, CHANNELS: tl.constexpr):
    """Where a program works: its image, piece and channels, and the piece's first and last position."""
    program = tl.program_id(0)
    blocks = tl.cdiv(channels, CHANNELS)
    channel = (program % blocks).to(tl.int64) * CHANNELS + tl.arange(0, CHANNELS)
    piece = (program // blocks % pieces).to(tl.int64)
    image = (program // blocks // pieces).to(tl.int64)
    begin = piece * piece_length
    return image, piece, channel, begin, tl.minimum(begin + piece_length, length)


@triton.jit
def _tile(image, channel, channels, position, end, length, LAST: tl.constexpr):
    """Offsets of a tile [positions, channels] and which of them exist."""
    at = offsets(image, channel[None, :], position[:, None], channels, length, LAST)
    return at, (position < end)[:, None] & (channel < channels)[None, :]


@triton.jit(do_not_specialize=["piece_tiles", "pieces"])
def stats_piece_kernel(
    x,
    means,
    squares,
    channels,
    length,
    piece_tiles,
    pieces,
    LAST: tl.constexpr,
    POSITIONS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Mean and sum of squared deviations of one piece of every channel of a block, [image, piece, channel].

    Sums of d = x - s and d^2, where s is the mean of the piece's first tile: sum(d^2) is then at most 1 + tiles times the sum
    of squared deviations, which bounds what is lost when sum(d)^2 / n is taken from it.
    """
    image, piece, channel, begin, end = _piece(channels, length, piece_tiles.to(tl.int64) * POSITIONS, pieces, CHANNELS)
    lane = tl.arange(0, POSITIONS)
    at, inside = _tile(image, channel, channels, begin + lane, end, length, LAST)
    first = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    shift = quotient(tl.sum(first, 0), tl.minimum(end - begin, POSITIONS))
    sums = tl.zeros([POSITIONS, CHANNELS], tl.float32)
    squared = tl.zeros([POSITIONS, CHANNELS], tl.float32)
    for start in range(begin, end, POSITIONS):
        at, inside = _tile(image, channel, channels, start + lane, end, length, LAST)
        values = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        deviation = tl.where(inside, values - shift[None, :], 0.0)
        sums += deviation
        squared += deviation * deviation
    count = (end - begin).to(tl.float32)
    total = tl.sum(sums, 0)
    rest = tl.sum(squared, 0) - total * quotient(total, count)
    into = (image * pieces + piece) * channels + channel
    tl.store(means + into, shift + quotient(total, count), mask=channel < channels)
    tl.store(squares + into, tl.where(rest < 0, 0.0, rest), mask=channel < channels)


@triton.jit(do_not_specialize=["channels", "length", "piece_length", "pieces"])
def stats_merge_kernel(
    means, squares, mean, std, eps, channels, length, piece_length, pieces, PIECES: tl.constexpr, CHANNELS: tl.constexpr
):
    """Statistics from those of pieces: M = sum(n_i m_i) / n, then sum(q_i + n_i (m_i - M)^2) (Chan, Golub and LeVeque)."""
    image, _, channel, _, _ = _piece(channels, length, piece_length, 1, CHANNELS)
    lane = tl.arange(0, PIECES)
    start = image * pieces * channels
    # Relative to the first piece's mean: a mean of large means would be rounded more than they were.
    origin = tl.load(means + start + channel, mask=channel < channels, other=0.0)
    weighted = tl.zeros([PIECES, CHANNELS], tl.float32)
    for first in range(0, pieces, PIECES):
        piece = (first + lane).to(tl.int64)
        inside = (piece < pieces)[:, None] & (channel < channels)[None, :]
        part = tl.load(means + start + piece[:, None] * channels + channel[None, :], mask=inside, other=0.0)
        count = tl.minimum(length - piece * piece_length, piece_length).to(tl.float32)
        weighted += tl.where(inside, (part - origin[None, :]) * quotient(count, length)[:, None], 0.0)
    offset = tl.sum(weighted, 0)
    squared = tl.zeros([PIECES, CHANNELS], tl.float32)
    for first in range(0, pieces, PIECES):
        piece = (first + lane).to(tl.int64)
        inside = (piece < pieces)[:, None] & (channel < channels)[None, :]
        into = start + piece[:, None] * channels + channel[None, :]
        part = tl.load(means + into, mask=inside, other=0.0) - origin[None, :] - offset[None, :]
        count = tl.minimum(length - piece * piece_length, piece_length).to(tl.float32)
        squared += tl.where(inside, tl.load(squares + into, mask=inside, other=0.0) + part * part * count[:, None], 0.0)
    variance = quotient(tl.sum(squared, 0), tl.maximum(length - 1, 1))
    tl.store(mean + image * channels + channel, origin + offset, mask=channel < channels)
    tl.store(std + image * channels + channel, tl.sqrt_rn(variance + eps), mask=channel < channels)


@triton.jit(do_not_specialize=["piece_tiles", "pieces"])
def affine_kernel(
    x,
    out,
    centre,
    numerator,
    denominator,
    offset,
    factor,
    offset_factor,
    channels,
    length,
    piece_tiles,
    pieces,
    LAST: tl.constexpr,
    POSITIONS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """(x - centre) numerator / denominator factor + offset offset_factor, with four numbers per row and two for all."""
    image, _, channel, begin, end = _piece(channels, length, piece_tiles.to(tl.int64) * POSITIONS, pieces, CHANNELS)
    row = image * channels + channel
    known = channel < channels
    middle = tl.load(centre + row, mask=known, other=0.0)
    slope = tl.load(numerator + row, mask=known, other=0.0)
    slope = quotient(slope, tl.load(denominator + row, mask=known, other=1.0)) * factor
    constant = tl.load(offset + row, mask=known, other=0.0) * offset_factor
    for start in range(begin, end, POSITIONS):
        at, inside = _tile(image, channel, channels, start + tl.arange(0, POSITIONS), end, length, LAST)
        values = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        tl.store(out + at, (values - middle[None, :]) * slope[None, :] + constant[None, :], mask=inside)


@triton.jit(do_not_specialize=["piece_tiles", "pieces"])
def grad_piece_kernel(
    grad,
    x,
    mean,
    sums,
    products,
    channels,
    length,
    piece_tiles,
    pieces,
    LAST: tl.constexpr,
    POSITIONS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """sum(g) and sum(g (x - mean)) of one piece of every channel of a block, [image, piece, channel]."""
    image, piece, channel, begin, end = _piece(channels, length, piece_tiles.to(tl.int64) * POSITIONS, pieces, CHANNELS)
    middle = tl.load(mean + image * channels + channel, mask=channel < channels, other=0.0)
    total = tl.zeros([POSITIONS, CHANNELS], tl.float32)
    along = tl.zeros([POSITIONS, CHANNELS], tl.float32)
    for start in range(begin, end, POSITIONS):
        at, inside = _tile(image, channel, channels, start + tl.arange(0, POSITIONS), end, length, LAST)
        slope = tl.load(grad + at, mask=inside, other=0.0).to(tl.float32)
        values = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        total += slope
        along += slope * (values - middle[None, :])
    into = (image * pieces + piece) * channels + channel
    tl.store(sums + into, tl.sum(total, 0), mask=channel < channels)
    tl.store(products + into, tl.sum(along, 0), mask=channel < channels)


@triton.jit(do_not_specialize=["channels", "length", "piece_length", "pieces"])
def grad_merge_kernel(
    sums,
    products,
    std,
    dstyle_mean,
    dstyle_std,
    channels,
    length,
    piece_length,
    pieces,
    PIECES: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """sum(g) and sum(g (x - mean)) / std from the sums of pieces."""
    image, _, channel, _, _ = _piece(channels, length, piece_length, 1, CHANNELS)
    start = image * pieces * channels
    total = tl.zeros([PIECES, CHANNELS], tl.float32)
    along = tl.zeros([PIECES, CHANNELS], tl.float32)
    for first in range(0, pieces, PIECES):
        piece = (first + tl.arange(0, PIECES)).to(tl.int64)
        inside = (piece < pieces)[:, None] & (channel < channels)[None, :]
        into = start + piece[:, None] * channels + channel[None, :]
        total += tl.load(sums + into, mask=inside, other=0.0)
        along += tl.load(products + into, mask=inside, other=0.0)
    row = image * channels + channel
    known = channel < channels
    tl.store(dstyle_mean + row, tl.sum(total, 0), mask=known)
    deviation = tl.load(std + row, mask=known, other=1.0)
    tl.store(dstyle_std + row, quotient(tl.sum(along, 0), deviation), mask=known)


@triton.jit(do_not_specialize=["piece_tiles", "pieces"])
def grad_sweep_kernel(
    grad,
    x,
    dx,
    mean,
    std,
    style_std,
    sums,
    products,
    channels,
    length,
    piece_tiles,
    pieces,
    LAST: tl.constexpr,
    POSITIONS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """style_std / std (g - sum(g) / n - h sum(g h) / (n - 1)), the sums given; h = (x - mean) / std."""
    image, _, channel, begin, end = _piece(channels, length, piece_tiles.to(tl.int64) * POSITIONS, pieces, CHANNELS)
    row = image * channels + channel
    known = channel < channels
    deviation = tl.load(std + row, mask=known, other=1.0)
    middle = tl.load(mean + row, mask=known, other=0.0)
    scale = quotient(tl.load(style_std + row, mask=known, other=0.0), deviation)
    average = quotient(tl.load(sums + row, mask=known, other=0.0), length)
    along = quotient(tl.load(products + row, mask=known, other=0.0), tl.maximum(length - 1, 1) * deviation)
    for start in range(begin, end, POSITIONS):
        at, inside = _tile(image, channel, channels, start + tl.arange(0, POSITIONS), end, length, LAST)
        slope = tl.load(grad + at, mask=inside, other=0.0).to(tl.float32)
        values = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        change = slope - average[None, :] - (values - middle[None, :]) * along[None, :]
        tl.store(dx + at, change * scale[None, :], mask=inside)


# How rows are given to programs


def statistic(x: Tensor) -> Tensor:
    """A float32 number per row of ``x``."""
    return x.new_empty((*x.shape[:2], 1, 1), dtype=torch.float32)


def size(x: Tensor) -> int:
    """Numbers of a row."""
    return x.shape[2] * x.shape[3]


def on_chip(longest: int, *maps: Tensor) -> bool:
    """Whether a program for each row of ``maps`` is the way: rows of at most ``longest`` numbers, and not too few.

    Rows that are not read in vectors take more registers: half as many numbers of them fit.
    """
    if any(channels_last(x) or size(x) > (longest if size(x) % 16 == 0 else longest // 2) for x in maps):
        return False
    rows = maps[0].shape[0] * maps[0].shape[1]
    return rows >= launch.device_of(maps[0]).processors or all(size(x) <= SHORT_ROW for x in maps)


def start_rows(kernel: Any, sizes: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    """A program for each row of the first argument; ``sizes`` are those of the rows that it keeps."""
    x = arguments[0]
    limit = next(limit for limit in ROW_LIMITS if max(sizes) <= limit)
    options = choose("adain_row", launch.device_of(x).capability, str(limit))
    launch.start(kernel, (x.shape[0] * x.shape[1],), *arguments, **constants, **options)


class Pieces:
    """How the rows of ``x`` are split: into pieces of whole tiles, at most TILES, and enough pieces to keep the device busy."""

    def __init__(self, x: Tensor) -> None:
        last, device = channels_last(x), launch.device_of(x)
        options = dict(choose("adain_piece", device.capability, "channels_last" if last else "contiguous"))
        numbers, tiles, widest, warps = (int(options[name]) for name in ("NUMBERS", "TILES", "CHANNELS", "num_warps"))
        images, self.channels = (x.shape[0], x.shape[1]) if last else (1, x.shape[0] * x.shape[1])
        across = min(widest, triton.next_power_of_2(self.channels))
        positions = min(numbers // across, triton.next_power_of_2(size(x)))
        blocks = images * triton.cdiv(self.channels, across)
        row = triton.cdiv(size(x), positions)  # in tiles, as is the next
        piece = max(1, min(tiles, row * blocks // (device.processors * PROGRAMS_PER_PROCESSOR)))
        self.pieces = triton.cdiv(row, piece)
        self.sizes = self.channels, size(x)
        self.piece_tiles, self.piece_length = piece, piece * positions
        self.warps = min(warps, max(1, positions * across // 256))
        self.tile = {"LAST": last, "POSITIONS": positions, "CHANNELS": across}
        self.images, self.blocks = images, blocks

    def start(self, kernel: Any, *arguments: Any) -> None:
        """A program for each piece of each block of channels."""
        grid = (self.blocks * self.pieces,)
        sizes = *self.sizes, self.piece_tiles, self.pieces
        launch.start(kernel, grid, *arguments, *sizes, **self.tile, num_warps=self.warps)

    def merge(self, kernel: Any, *arguments: Any) -> None:
        """A program for each block of channels."""
        across = self.tile["CHANNELS"]
        at_once = min(triton.next_power_of_2(self.pieces), max(1, 1024 // across))
        sizes = *self.sizes, self.piece_length, self.pieces
        launch.start(kernel, (self.blocks,), *arguments, *sizes, PIECES=at_once, CHANNELS=across, num_warps=4)

    def partial(self, x: Tensor) -> Tensor:
        """A float32 number for each piece of each row."""
        return x.new_empty((self.images, self.pieces, self.channels), dtype=torch.float32)


# What the operators call


def channel_stats(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and sqrt(unbiased variance + eps) of every channel of x [N, C, H, W]."""
    mean, std = statistic(x), statistic(x)
    if on_chip(LONGEST_ROW, x):
        start_rows(stats_row_kernel, (size(x),), x, mean, std, size(x), float(eps), BLOCK=triton.next_power_of_2(size(x)))
    else:
        pieces = Pieces(x)
        means, squares = pieces.partial(x), pieces.partial(x)
        pieces.start(stats_piece_kernel, x, means, squares)
        pieces.merge(stats_merge_kernel, means, squares, mean, std, float(eps))
    return mean, std


def channel_stats_backward(grad_mean: Tensor, grad_std: Tensor, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """dx = grad_mean / n + grad_std (x - mean) / (max(n - 1, 1) std)."""
    dx = torch.empty_like(x)
    factors = 1 / max(size(x) - 1, 1), 1 / size(x)
    Pieces(x).start(affine_kernel, x, dx, mean, grad_std, std, grad_mean, *factors)
    return dx


def adain_apply(content: Tensor, style_mean: Tensor, style_std: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """(content - mean) / std * style_std + style_mean, and the content's mean and std."""
    if on_chip(LONGEST_ROW, content):
        out, mean, std = torch.empty_like(content), statistic(content), statistic(content)
        start_rows(
            adain_row_kernel,
            (size(content),),
            *(content, None, out, mean, std, style_mean, style_std, size(content), 1, float(eps)),
            KNOWN=True,
            BLOCK=triton.next_power_of_2(size(content)),
            STYLE_BLOCK=1,
        )
        return out, mean, std
    mean, std = channel_stats(content, eps)
    out = torch.empty_like(content)
    Pieces(content).start(affine_kernel, content, out, mean, style_std, std, style_mean, 1.0, 1.0)
    return out, mean, std


def adain_apply_backward(
    grad: Tensor, content: Tensor, mean: Tensor, std: Tensor, style_std: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of ``adain_apply``'s result with respect to content, style_mean and style_std."""
    grad = laid_out_as(content, grad)
    dcontent, dstyle_mean, dstyle_std = torch.empty_like(content), statistic(content), statistic(content)
    if on_chip(LONGEST_ROW // 2, content):
        start_rows(
            adain_backward_row_kernel,
            (size(content),) * 2,
            *(grad, content, None, dcontent, None, dstyle_mean, dstyle_std, mean, std, None, style_std, size(content), 1),
            KNOWN=True,
            BLOCK=triton.next_power_of_2(size(content)),
            STYLE_BLOCK=1,
        )
        return dcontent, dstyle_mean, dstyle_std
    pieces = Pieces(content)
    sums, products = pieces.partial(content), pieces.partial(content)
    pieces.start(grad_piece_kernel, grad, content, mean, sums, products)
    pieces.merge(grad_merge_kernel, sums, products, std, dstyle_mean, dstyle_std)
    pieces.start(grad_sweep_kernel, grad, content, dcontent, mean, std, style_std, dstyle_mean, dstyle_std)
    return dcontent, dstyle_mean, dstyle_std


def adain(content: Tensor, style: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The content with the style's statistics, then mean and std of the content and of the style."""
    if on_chip(LONGEST_ROW, content, style):
        out = torch.empty_like(content)
        mean, std, style_mean, style_std = (statistic(content) for _ in range(4))
        start_rows(
            adain_row_kernel,
            (size(content), size(style)),
            *(content, style, out, mean, std, style_mean, style_std, size(content), size(style), float(eps)),
            KNOWN=False,
            BLOCK=triton.next_power_of_2(size(content)),
            STYLE_BLOCK=triton.next_power_of_2(size(style)),
        )
        return out, mean, std, style_mean, style_std
    style_mean, style_std = channel_stats(style, eps)
    return *adain_apply(content, style_mean, style_std, eps), style_mean, style_std


def adain_backward(
    grad: Tensor,
    content: Tensor,
    style: Tensor,
    content_mean: Tensor,
    content_std: Tensor,
    style_mean: Tensor,
    style_std: Tensor,
) -> tuple[Tensor, Tensor]:
    """Gradients of ``adain``'s first result with respect to content and style."""
    if on_chip(LONGEST_ROW // 2, content, style):
        grad = laid_out_as(content, grad)
        dcontent, dstyle = torch.empty_like(content), torch.empty_like(style)
        statistics = content_mean, content_std, style_mean, style_std
        start_rows(
            adain_backward_row_kernel,
            (size(content), size(style)),
            *(grad, content, style, dcontent, dstyle, None, None, *statistics, size(content), size(style)),
            KNOWN=False,
            BLOCK=triton.next_power_of_2(size(content)),
            STYLE_BLOCK=triton.next_power_of_2(size(style)),
        )
        return dcontent, dstyle
    dcontent, dstyle_mean, dstyle_std = adain_apply_backward(grad, content, content_mean, content_std, style_std)
    return dcontent, channel_stats_backward(dstyle_mean, dstyle_std, style, style_mean, style_std)


def laid_out_as(x: Tensor, grad: Tensor) -> Tensor:
    """``grad`` in ``x``'s layout."""
    return grad.contiguous(memory_format=torch.channels_last if channels_last(x) else torch.contiguous_format)
