"""Rows split into pieces: partial sums of the pieces, their merge, and one sweep over the map.

A tile is CHANNELS channels at POSITIONS positions; LAST is channels_last.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastnst.kernels.layout import channels_last
from fastnst.kernels.triton import launch
from fastnst.kernels.triton.adain_rows import size
from fastnst.kernels.triton.configs import choose
from fastnst.kernels.triton.tiles import offsets, quotient

PROGRAMS_PER_PROCESSOR = 8
"""Rows are split into enough pieces for so many programs on every multiprocessor."""


@triton.jit
def _piece(channels, length, piece_length, pieces, CHANNELS: tl.constexpr):
    """A program's image, piece and channels, and the piece's first and last position."""
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
    # Relative to the first piece's mean, because a mean of large means has a large rounding error.
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


class Pieces:
    """The split of the rows of ``x`` into pieces of whole tiles, at most TILES each, and enough to keep the device busy."""

    def __init__(self, x: Tensor) -> None:
        last, device = channels_last(x), launch.device_of(x)
        options = dict(choose("adain_piece", device.capability, "channels_last" if last else "contiguous"))
        numbers, tiles, widest, warps = (int(options[name]) for name in ("NUMBERS", "TILES", "CHANNELS", "num_warps"))
        images, self.channels = (x.shape[0], x.shape[1]) if last else (1, x.shape[0] * x.shape[1])
        across = min(widest, triton.next_power_of_2(self.channels))
        positions = min(numbers // across, triton.next_power_of_2(size(x)))
        blocks = images * triton.cdiv(self.channels, across)
        row = triton.cdiv(size(x), positions)  # in tiles, as in the next line
        piece = max(1, min(tiles, row * blocks // (device.processors * PROGRAMS_PER_PROCESSOR)))
        self.pieces = triton.cdiv(row, piece)
        self.sizes = self.channels, size(x)
        self.piece_tiles, self.piece_length = piece, piece * positions
        self.warps = min(warps, max(1, positions * across // 256))
        self.tile = {"LAST": last, "POSITIONS": positions, "CHANNELS": across}
        self.images, self.blocks = images, blocks

    def start(self, kernel: Any, *arguments: Any) -> None:
        """Start a program for each piece of each block of channels."""
        grid = (self.blocks * self.pieces,)
        sizes = *self.sizes, self.piece_tiles, self.pieces
        launch.start(kernel, grid, *arguments, *sizes, **self.tile, num_warps=self.warps)

    def merge(self, kernel: Any, *arguments: Any) -> None:
        """Start a program for each block of channels."""
        across = self.tile["CHANNELS"]
        at_once = min(triton.next_power_of_2(self.pieces), max(1, 1024 // across))
        sizes = *self.sizes, self.piece_length, self.pieces
        launch.start(kernel, (self.blocks,), *arguments, *sizes, PIECES=at_once, CHANNELS=across, num_warps=4)

    def partial(self, x: Tensor) -> Tensor:
        """A float32 number for each piece of each row."""
        return x.new_empty((self.images, self.pieces, self.channels), dtype=torch.float32)
