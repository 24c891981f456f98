"""Regions in Python's integers, by the text of ``csrc/engine/regions.h``; knows nothing of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

FULL = 256
Bytes = NDArray[np.uint8]
Weights = NDArray[np.int64]  # [parts, rows, columns]


def shared(numbers: Sequence[int], whole: int) -> list[int]:
    """Integers in proportion to numbers, with the sum ``whole``."""
    total = sum(numbers)
    reached = [(2 * whole * each + total) // (2 * total) for each in accumulate(numbers)]
    return [now - before for now, before in zip(reached, [0, *reached], strict=False)]


def taps(side: int, step: int, pixels: int) -> list[list[int]]:
    """For each cell along a side what it takes of each pixel of a mask, with the sum 2^15."""
    half = 2 * max(side, step * pixels)
    centres = [(2 * cell + 1) * step * pixels for cell in range(-(-side // step))]
    return [shared([max(0, half - abs((2 * j + 1) * side - at)) for j in range(pixels)], 1 << 15) for at in centres]


def scaled(mask: Bytes, height: int, width: int, step: int) -> Weights:
    """A mask on a grid of cells: 0 to FULL."""
    rows, columns = (np.array(taps(*each)) for each in ((height, step, mask.shape[0]), (width, step, mask.shape[1])))
    down = (rows @ mask.astype(np.int64) + (1 << 6)) >> 7
    return (((down @ columns.T + (1 << 14)) >> 15) + 127) // 255


def shares(masks: Sequence[Bytes], height: int, width: int, step: int) -> Weights:
    """Of each region and the rest."""
    shape = (-(-height // step), -(-width // step))
    found = np.array([scaled(mask, height, width, step) for mask in masks], np.int64).reshape(-1, *shape)
    for y, x in np.argwhere(found.sum(0) > FULL):
        found[:, y, x] = shared(found[:, y, x].tolist(), FULL)
    return np.concatenate([found, FULL - found.sum(0, keepdims=True)])


def painted(masks: Sequence[Bytes], strength: Bytes | None, paints_rest: bool, height: int, width: int, step: int) -> Weights:
    """Of each region, the rest and the content."""
    found = shares(masks, height, width, step)
    if not paints_rest:
        found[-1] = 0
        for y, x in np.argwhere(found.sum(0) > 0):
            found[:-1, y, x] = shared(found[:-1, y, x].tolist(), FULL)
    by = np.full(found.shape[1:], FULL) if strength is None else scaled(strength, height, width, step)
    reached = (by * np.cumsum(found, axis=0) + 128) >> 8
    found = np.diff(reached, axis=0, prepend=0)
    return np.concatenate([found, FULL - found.sum(0, keepdims=True)])


def blended(weights: Weights, parts: Sequence[Bytes | None]) -> Bytes:
    """Of bytes [H, W, C]; None for a part that has no weight anywhere."""
    total: Any = 128
    for weight, part in zip(weights, parts, strict=True):
        if part is None:
            assert not weight.any()
        else:
            total = total + weight[..., None] * part.astype(np.int64)
    return (total >> 8).astype(np.uint8)
