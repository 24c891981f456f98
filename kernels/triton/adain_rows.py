"""Rows in registers: one program reads a channel of an image once and keeps it there."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from fastnst.kernels.layout import channels_last
from fastnst.kernels.triton import launch
from fastnst.kernels.triton.configs import choose
from fastnst.kernels.triton.tiles import quotient

LONGEST_ROW = 32768
"""The longest row that registers can hold, in numbers; a backward pass holds two rows."""
ROW_LIMITS = (512, 2048, 8192, LONGEST_ROW)
"""Limits of the length of rows between which the number of warps differs."""
SHORT_ROW = 4096
"""Rows up to this length are not worth splitting, however few they are."""


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


def size(x: Tensor) -> int:
    """The number of elements of a row."""
    return x.shape[2] * x.shape[3]


def on_chip(longest: int, *maps: Tensor) -> bool:
    """Whether to use a program for each row of ``maps``: rows have at most ``longest`` numbers, and there are enough of them.

    Rows that are not read in vectors take more registers, so the limit is half as long.
    """
    if any(channels_last(x) or size(x) > (longest if size(x) % 16 == 0 else longest // 2) for x in maps):
        return False
    rows = maps[0].shape[0] * maps[0].shape[1]
    return rows >= launch.device_of(maps[0]).processors or all(size(x) <= SHORT_ROW for x in maps)


def start_rows(kernel: Any, sizes: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    """Start a program for each row of the first argument; ``sizes`` are those of the rows that it keeps."""
    x = arguments[0]
    limit = next(limit for limit in ROW_LIMITS if max(sizes) <= limit)
    options = choose("adain_row", launch.device_of(x).capability, str(limit))
    launch.start(kernel, (x.shape[0] * x.shape[1],), *arguments, **constants, **options)
