"""The passes of colour transfer over pictures, and the eigenvalues of its matrices. The rest: ``fastnst.kernels.color``.

A picture is split into pieces, whose sums are added up in float64 in a fixed order. Jacobi's method finds eigenvalues, in a
program for each matrix: it has no branches on the values, so nothing waits for the GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastnst.kernels import color
from fastnst.kernels.layout import channels_last
from fastnst.kernels.triton import launch
from fastnst.kernels.triton.configs import choose
from fastnst.kernels.triton.tiles import offsets, quotient

PROGRAMS_PER_PROCESSOR = 8
"""Pictures are split into enough pieces for so many programs on every multiprocessor."""
MOMENT_SUMS = tl.constexpr(15)
"""The sums of a piece: the shift of each channel, and sums of differences from it and of their products."""
GRADIENT_SUMS = tl.constexpr(12)
"""The sums of a piece: those of each channel of the gradient, and of its products with differences of the picture."""
SWEEPS = tl.constexpr(8)
"""Sweeps of Jacobi's method over the three pairs of axes. As a rule five are enough for all digits of float64."""


# --- kernels ----------------------------------------------------------------------------------------------------------------


@triton.jit
def _at(image, CHANNEL: tl.constexpr, position, length, LAST: tl.constexpr):
    """Offsets of a channel of a picture."""
    return offsets(image, tl.full([], CHANNEL, tl.int64), position, 3, length, LAST)


@triton.jit
def _colors(x, image, position, end, length, LAST: tl.constexpr):
    """The three channels as float32, 0 from ``end`` on."""
    inside = position < end
    red = tl.load(x + _at(image, 0, position, length, LAST), mask=inside, other=0.0).to(tl.float32)
    green = tl.load(x + _at(image, 1, position, length, LAST), mask=inside, other=0.0).to(tl.float32)
    blue = tl.load(x + _at(image, 2, position, length, LAST), mask=inside, other=0.0).to(tl.float32)
    return red, green, blue


@triton.jit
def _differences(x, image, position, end, length, red_shift, green_shift, blue_shift, LAST: tl.constexpr):
    """The three channels less a shift of each, 0 from ``end`` on."""
    red, green, blue = _colors(x, image, position, end, length, LAST)
    inside = position < end
    red = tl.where(inside, red - red_shift, 0.0)
    green = tl.where(inside, green - green_shift, 0.0)
    blue = tl.where(inside, blue - blue_shift, 0.0)
    return red, green, blue


@triton.jit
def _piece(length, piece_tiles, pieces, POSITIONS: tl.constexpr):
    """A program's image, and the first and the last position of its piece."""
    program = tl.program_id(0)
    piece_length = piece_tiles.to(tl.int64) * POSITIONS
    begin = (program % pieces).to(tl.int64) * piece_length
    return (program // pieces).to(tl.int64), begin, tl.minimum(begin + piece_length, length)


@triton.jit(do_not_specialize=["piece_tiles", "pieces"])
def moments_kernel(x, sums, length, piece_tiles, pieces, LAST: tl.constexpr, POSITIONS: tl.constexpr):
    """The MOMENT_SUMS of one piece; the shifts are the means of its first tile."""
    image, begin, end = _piece(length, piece_tiles, pieces, POSITIONS)
    lane = tl.arange(0, POSITIONS)
    red, green, blue = _colors(x, image, begin + lane, end, length, LAST)
    count = tl.minimum(end - begin, POSITIONS)
    red_shift = quotient(tl.sum(red, 0), count)
    green_shift = quotient(tl.sum(green, 0), count)
    blue_shift = quotient(tl.sum(blue, 0), count)
    zero = tl.zeros([POSITIONS], tl.float32)
    s0, s1, s2, p00, p01, p02, p11, p12, p22 = zero, zero, zero, zero, zero, zero, zero, zero, zero
    for start in range(begin, end, POSITIONS):
        red, green, blue = _differences(x, image, start + lane, end, length, red_shift, green_shift, blue_shift, LAST)
        s0 += red
        s1 += green
        s2 += blue
        p00 += red * red
        p01 += red * green
        p02 += red * blue
        p11 += green * green
        p12 += green * blue
        p22 += blue * blue
    into = sums + tl.program_id(0).to(tl.int64) * MOMENT_SUMS
    tl.store(into + 0, red_shift)
    tl.store(into + 1, green_shift)
    tl.store(into + 2, blue_shift)
    tl.store(into + 3, tl.sum(s0, 0))
    tl.store(into + 4, tl.sum(s1, 0))
    tl.store(into + 5, tl.sum(s2, 0))
    tl.store(into + 6, tl.sum(p00, 0))
    mixed = tl.sum(p01, 0)
    tl.store(into + 7, mixed)
    tl.store(into + 9, mixed)
    mixed = tl.sum(p02, 0)
    tl.store(into + 8, mixed)
    tl.store(into + 12, mixed)
    tl.store(into + 10, tl.sum(p11, 0))
    mixed = tl.sum(p12, 0)
    tl.store(into + 11, mixed)
    tl.store(into + 13, mixed)
    tl.store(into + 14, tl.sum(p22, 0))


@triton.jit(do_not_specialize=["piece_tiles", "pieces"])
def gradient_kernel(grad, x, shift, sums, length, piece_tiles, pieces, LAST: tl.constexpr, POSITIONS: tl.constexpr):
    """The GRADIENT_SUMS of one piece."""
    image, begin, end = _piece(length, piece_tiles, pieces, POSITIONS)
    lane = tl.arange(0, POSITIONS)
    of_image = shift + image * 3
    red_shift, green_shift, blue_shift = tl.load(of_image), tl.load(of_image + 1), tl.load(of_image + 2)
    zero = tl.zeros([POSITIONS], tl.float32)
    s0, s1, s2, p00, p01, p02, p10, p11, p12, p20, p21, p22 = (
        zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero,
    )  # fmt: skip
    for start in range(begin, end, POSITIONS):
        a, b, c = _colors(grad, image, start + lane, end, length, LAST)
        red, green, blue = _differences(x, image, start + lane, end, length, red_shift, green_shift, blue_shift, LAST)
        s0 += a
        s1 += b
        s2 += c
        p00 += a * red
        p01 += a * green
        p02 += a * blue
        p10 += b * red
        p11 += b * green
        p12 += b * blue
        p20 += c * red
        p21 += c * green
        p22 += c * blue
    into = sums + tl.program_id(0).to(tl.int64) * GRADIENT_SUMS
    tl.store(into + 0, tl.sum(s0, 0))
    tl.store(into + 1, tl.sum(s1, 0))
    tl.store(into + 2, tl.sum(s2, 0))
    tl.store(into + 3, tl.sum(p00, 0))
    tl.store(into + 4, tl.sum(p01, 0))
    tl.store(into + 5, tl.sum(p02, 0))
    tl.store(into + 6, tl.sum(p10, 0))
    tl.store(into + 7, tl.sum(p11, 0))
    tl.store(into + 8, tl.sum(p12, 0))
    tl.store(into + 9, tl.sum(p20, 0))
    tl.store(into + 10, tl.sum(p21, 0))
    tl.store(into + 11, tl.sum(p22, 0))


@triton.jit
def _shifted(x, shift, image, position, length, LAST: tl.constexpr):
    of_image = shift + image * 3
    shifts = tl.load(of_image), tl.load(of_image + 1), tl.load(of_image + 2)
    return _differences(x, image, position, length, length, shifts[0], shifts[1], shifts[2], LAST)


@triton.jit
def _row(matrix, image, ROW: tl.constexpr, red, green, blue):
    """A row of a picture's matrix times its colours."""
    of_row = matrix + image * 9 + 3 * ROW
    return tl.load(of_row) * red + tl.load(of_row + 1) * green + tl.load(of_row + 2) * blue


@triton.jit(do_not_specialize=["tiles"])
def sweep_kernel(
    x, matrix, shift, y, other_matrix, other_shift, offset, out, length, tiles,
    TWO: tl.constexpr, LAST: tl.constexpr, POSITIONS: tl.constexpr,
):  # fmt: skip
    """matrix (x - shift) + offset, and of TWO terms the same of y, of a tile of positions."""
    program = tl.program_id(0)
    image = (program // tiles).to(tl.int64)
    position = (program % tiles).to(tl.int64) * POSITIONS + tl.arange(0, POSITIONS)
    red, green, blue = _shifted(x, shift, image, position, length, LAST)
    if TWO:
        other_red, other_green, other_blue = _shifted(y, other_shift, image, position, length, LAST)
    for row in tl.static_range(3):
        value = tl.load(offset + image * 3 + row) + _row(matrix, image, row, red, green, blue)
        if TWO:
            value += _row(other_matrix, image, row, other_red, other_green, other_blue)
        tl.store(out + _at(image, row, position, length, LAST), value, mask=position < length)


@triton.jit
def _rotated(app, aqq, apq, arp, arq, v0p, v0q, v1p, v1q, v2p, v2q):
    """A symmetric matrix and its vectors after the rotation of axes p and q that makes ``apq`` 0; r is the third axis."""
    apart = aqq - app
    most = tl.abs(apart) + tl.sqrt(apart * apart + 4 * apq * apq)
    tangent = tl.where(apart < 0, -2 * apq, 2 * apq) / tl.where(most == 0, 1.0, most)
    c = 1 / tl.sqrt(tangent * tangent + 1)
    s = tangent * c
    return (
        app - tangent * apq, aqq + tangent * apq, apq * 0, c * arp - s * arq, s * arp + c * arq,
        c * v0p - s * v0q, s * v0p + c * v0q, c * v1p - s * v1q, s * v1p + c * v1q, c * v2p - s * v2q, s * v2p + c * v2q,
    )  # fmt: skip


@triton.jit
def eigenvalues_kernel(matrices, values, vectors):
    """Eigenvalues, in any order, and vectors, as columns, of one symmetric 3 x 3 matrix in float64."""
    image = tl.program_id(0).to(tl.int64)
    of_image = matrices + image * 9
    a00, a11, a22 = tl.load(of_image), tl.load(of_image + 4), tl.load(of_image + 8)
    a01, a02, a12 = tl.load(of_image + 1), tl.load(of_image + 2), tl.load(of_image + 5)
    one, zero = tl.full([], 1.0, tl.float64), tl.full([], 0.0, tl.float64)
    v00, v01, v02, v10, v11, v12, v20, v21, v22 = one, zero, zero, zero, one, zero, zero, zero, one
    for _ in range(SWEEPS):
        a00, a11, a01, a02, a12, v00, v01, v10, v11, v20, v21 = _rotated(a00, a11, a01, a02, a12, v00, v01, v10, v11, v20, v21)
        a00, a22, a02, a01, a12, v00, v02, v10, v12, v20, v22 = _rotated(a00, a22, a02, a01, a12, v00, v02, v10, v12, v20, v22)
        a11, a22, a12, a01, a02, v01, v02, v11, v12, v21, v22 = _rotated(a11, a22, a12, a01, a02, v01, v02, v11, v12, v21, v22)
    into = values + image * 3
    tl.store(into, a00)
    tl.store(into + 1, a11)
    tl.store(into + 2, a22)
    into = vectors + image * 9
    tl.store(into, v00)
    tl.store(into + 1, v01)
    tl.store(into + 2, v02)
    tl.store(into + 3, v10)
    tl.store(into + 4, v11)
    tl.store(into + 5, v12)
    tl.store(into + 6, v20)
    tl.store(into + 7, v21)
    tl.store(into + 8, v22)


# --- passes -----------------------------------------------------------------------------------------------------------------


class _Pieces:
    """The split of pictures like ``x`` into pieces of whole tiles, at most TILES each, and enough to keep the device busy."""

    def __init__(self, x: Tensor) -> None:
        device = launch.device_of(x)
        options = dict(choose("color_piece", device.capability, "any"))
        self.images, self.length = x.shape[0], x.shape[2] * x.shape[3]
        self.tile = min(int(options["POSITIONS"]), triton.next_power_of_2(self.length))
        tiles = triton.cdiv(self.length, self.tile)
        wanted = tiles * self.images // (device.processors * PROGRAMS_PER_PROCESSOR)
        self.piece_tiles = max(1, min(int(options["TILES"]), wanted))
        self.pieces = triton.cdiv(tiles, self.piece_tiles)
        self.last, self.warps = channels_last(x), int(options["num_warps"])

    def sums(self, kernel: object, count: int, *maps: Tensor) -> Tensor:
        """The sums that ``kernel`` computes for each piece, float64 [N, pieces, count]."""
        sums = maps[0].new_empty((self.images, self.pieces, count), dtype=torch.float32)
        sizes = self.length, self.piece_tiles, self.pieces
        constants = {"LAST": self.last, "POSITIONS": self.tile, "num_warps": self.warps}
        launch.start(kernel, (self.images * self.pieces,), *maps, sums, *sizes, **constants)
        return sums.double()

    def counts(self, sums: Tensor) -> Tensor:
        """The number of positions of each piece, [pieces, 1]."""
        begin = torch.arange(self.pieces, dtype=sums.dtype, device=sums.device) * (self.piece_tiles * self.tile)
        return (self.length - begin).clamp(max=self.piece_tiles * self.tile).unsqueeze(-1)


def color_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Means [N, 3] and covariances [N, 3, 3], divided by the positions, of the colours of ``x``, in float64.

    Those of pieces are merged: sum(n_i m_i) / n, then sum(q_i + n_i (m_i - m)^2) (Chan, Golub and LeVeque).
    """
    pieces = _Pieces(x)
    sums = pieces.sums(moments_kernel, MOMENT_SUMS.value, x)
    counts = pieces.counts(sums)
    shift, rest, products = sums[..., :3], sums[..., 3:6], sums[..., 6:].unflatten(-1, (3, 3))
    means = shift + rest / counts
    mean = (means * counts).sum(1) / pieces.length
    apart = means - mean.unsqueeze(1)
    inside = products - _outer(rest, rest / counts)
    return mean, (inside + _outer(apart, apart * counts)).sum(1) / pieces.length


def _products(grad: Tensor, x: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    shift = mean.float()
    sums = _Pieces(x).sums(gradient_kernel, GRADIENT_SUMS.value, grad, x, shift).sum(1)
    total, products = sums[:, :3], sums[:, 3:].unflatten(-1, (3, 3))
    return total, products + _outer(total, shift.double() - mean)


def _sweep(terms: Sequence[color.Term], offset: Tensor) -> Tensor:
    x, matrix, shift = terms[0]
    y, other_matrix, other_shift = terms[1] if len(terms) > 1 else (None, None, None)
    out, length = torch.empty_like(x), x.shape[2] * x.shape[3]
    options = dict(choose("color_sweep", launch.device_of(x).capability, "any"))
    options["POSITIONS"] = min(int(options["POSITIONS"]), triton.next_power_of_2(length))
    tiles = triton.cdiv(length, options["POSITIONS"])
    arguments = x, matrix, shift, y, other_matrix, other_shift, offset, out, length, tiles
    launch.start(sweep_kernel, (x.shape[0] * tiles,), *arguments, TWO=y is not None, LAST=channels_last(x), **options)
    return out


def eigenvalues(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues of symmetric matrices, float64 [N, 3, 3], in any order, and vectors as columns; NaN for infinite input."""
    matrices = matrices.contiguous()
    values, vectors = matrices.new_empty(matrices.shape[:2]), torch.empty_like(matrices)
    launch.start(eigenvalues_kernel, (matrices.shape[0],), matrices, values, vectors, num_warps=1)
    return values, vectors


def _outer(a: Tensor, b: Tensor) -> Tensor:
    return a.unsqueeze(-1) * b.unsqueeze(-2)


PASSES = color.Passes(color_moments, _products, _sweep, eigenvalues)
color_moments_backward = partial(color.moments_backward, PASSES)
color_apply = partial(color.apply, PASSES)
color_apply_backward = partial(color.apply_backward, PASSES)
