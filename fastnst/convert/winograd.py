"""Winograd layers in PyTorch, bit for bit as :mod:`fastnst.format.winograd` says; their scales chosen on pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastnst.format.modelfile import Layer
from fastnst.format.winograd import UNIT, centre, positions_of

SAMPLES = 400
"""Values per picture, channel and position from which scales are chosen."""
SHRINKS = tuple(np.geomspace(0.1, 1, 24))
"""Ranges of positions to try, relative to all that occurs."""


def crossed(x: Tensor, dim: int, upsample: bool) -> list[Tensor]:
    """What positions take of the rows or columns ``dim`` of framed maps [N, I, H + 2, W + 2]: 3 or 4 maps."""
    x = x.movedim(dim, 0)
    if upsample:
        a, b, c = x[:-2], x[1:-1], x[2:]
        parts = [a - b, b, b - c]
    else:
        if len(x) % 2:
            x = torch.cat((x, x[-1:]))  # counts for outputs that are cut off
        a, b, c, d = x[:-3:2], x[1:-2:2], x[2:-1:2], x[3::2]
        parts = [a - c, b + c, c - b, b - d]
    return [part.movedim(0, dim) for part in parts]


def windows_of(frame: Tensor, upsample: bool) -> Tensor:
    """The positions [P, N, I, h, w] of framed maps [N, I, H + 2, W + 2]; whole numbers up to 1020 of bytes."""
    return torch.stack([part for row in crossed(frame, 2, upsample) for part in crossed(row, 3, upsample)])


def limits(upsample: bool) -> tuple[Tensor, Tensor]:
    """The least and the largest number that each position [P] may take, ``u`` less its offset."""
    low = torch.full((9 if upsample else 16,), -128)
    low[centre(upsample)] = 0
    return low, low + 255


def squeezed(windows: Tensor, scales: Tensor, upsample: bool) -> Tensor:
    """Positions [P, ...] of whole numbers times ``scales`` int [P], in 8 bits; less their offset, as float32."""
    low, high = limits(upsample)
    out = torch.empty(windows.shape, dtype=torch.float32, device=windows.device)
    for p, scale in enumerate(scales.tolist()):  # one by one: 32-bit copies of all would be large
        numbers = windows[p].int().mul_(scale).add_(UNIT // 2).bitwise_right_shift_(15)
        out[p] = numbers.clamp_(int(low[p]), int(high[p]))
    return out


def outputs_of(products: Tensor, upsample: bool, height: int, width: int) -> Tensor:
    """Positions' products [P, N, O, h, w] into outputs [N, O, height, width], operation by operation as the engine does."""
    side = 3 if upsample else 4

    def along(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        if upsample:
            a, b, c = parts
            return a + b, b - c
        a, b, c, d = parts
        return (a + b) + c, (b - c) - d

    columns = [along([products[r * side + column] for r in range(side)]) for column in range(side)]
    rows = [along([column[parity] for column in columns]) for parity in (0, 1)]
    tiles = torch.stack([torch.stack(row, -1) for row in rows], -3)  # [N, O, h, 2, w, 2]
    return tiles.flatten(4, 5).flatten(2, 3)[..., :height, :width]


def winograd_sums(frame: Tensor, layer: Layer) -> Tensor:
    """A layer's outputs [N, O, H, W] before rounding, in steps from its zero point, of framed maps of bytes; exactly."""
    assert layer.scales is not None
    numbers = positions_of(layer)
    bound = (255 * np.abs(numbers.weights.astype(np.int64)).sum(2) + np.abs(numbers.start)).max()
    exact = torch.float32 if bound < 2**24 else torch.float64
    scales = torch.from_numpy(layer.scales.reshape(-1).astype(np.int64))
    u = squeezed(windows_of(frame, layer.upsample), scales, layer.upsample)  # the windows themselves need not stay
    weights, multiplier = torch.from_numpy(numbers.weights), torch.from_numpy(numbers.multiplier)
    products = u.new_empty((len(u), len(frame), layer.outputs, *u.shape[3:]))
    for p, own in enumerate(u):
        acc = torch.einsum("oi,nihw->nohw", weights[p].to(exact), own.to(exact))
        if p == centre(layer.upsample):
            acc = acc + torch.from_numpy(numbers.start[p]).to(exact)[:, None, None]
        torch.mul(acc.float(), multiplier[p][:, None, None], out=products[p])
    grown = 2 if layer.upsample else 1
    del u, own, acc
    return outputs_of(products, layer.upsample, grown * (frame.shape[2] - 2), grown * (frame.shape[3] - 2))


def choose_scales(frames: Iterable[Tensor], upsample: bool) -> NDArray[np.int16]:
    """For every position the scale with the least squared error over framed maps of bytes [1, I, H + 2, W + 2]."""
    low, high = limits(upsample)
    windows = (windows_of(frame, upsample)[:, 0].flatten(2) for frame in frames)
    # Whole numbers of at most 1020. Of 64 pictures and all positions float32 would take half a gigabyte, as would a joined copy.
    samples = [x[..., :: x.shape[2] // SAMPLES | 1].flatten(1).to(torch.int16) for x in windows]
    chosen = []
    for p in range(len(low)):
        numbers = torch.cat([x[p] for x in samples]).float()
        most = max(numbers.abs().max().item(), 1.0)

        def error(scale: int, p: int = p, numbers: Tensor = numbers) -> float:
            u = ((numbers * scale + UNIT // 2) / UNIT).floor().clamp(int(low[p]), int(high[p]))
            return (u * (UNIT / scale) - numbers).square().mean().item()

        tried = {min(UNIT - 1, round(UNIT * int(high[p]) / (most * shrink))) for shrink in SHRINKS}
        chosen.append(min(sorted(tried), key=error))
    side = 3 if upsample else 4
    return np.array(chosen, np.int16).reshape(side, side)
