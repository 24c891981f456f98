"""What the numbers of a generator's maps mean, channel by channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fastnst.convert.quantisation import Ranges
from fastnst.format.graphfile import STEP

SAMPLES = 2048
"""Positions per picture from which ranges are chosen."""
SHRINKS = tuple(np.geomspace(0.2, 1, 24))
"""Ranges of bytes to try, relative to all that occurs."""


@dataclass
class Grids:
    """What a map's numbers mean: ``scale * (number - zero)``, float64 [C] each; of bytes and of 16 bits."""

    scale: Tensor
    zero: Tensor

    def steps(self, q: Tensor) -> Tensor:
        """Numbers [1, C, H, W] from zero on."""
        return q - self.zero.to(q.dtype)[:, None, None]


def sampled(maps: Sequence[Tensor]) -> Tensor:
    """Values [C, n] of maps [1, C, H, W] at evenly spaced places."""
    return torch.cat([x[0].flatten(1)[:, :: x[0, 0].numel() // SAMPLES | 1] for x in maps], 1)


def choose_grids(values: Tensor, ranges: Ranges) -> Grids:
    """The grids of bytes for ``values`` [C, n], each channel's own: of the range with the least squared error, or without one
    value in 10,000 at each end.

    The first is 0.9 dB better on average over 12 test pictures of a student of CRD.
    """
    if ranges == "percentile":
        low, high = (torch.from_numpy(np.quantile(values.numpy(), share, 1)) for share in (1e-4, 1 - 1e-4))
        candidates = [(low.float().clamp(max=0), high.float().clamp(min=1e-6))]
    else:
        low, high = values.amin(1).clamp(max=0), values.amax(1).clamp(min=1e-6)
        candidates = [(low * shrink, high * shrink) for shrink in SHRINKS]
    best_error = torch.full_like(low, torch.inf)
    best_scale, best_zero = torch.ones_like(low), torch.zeros_like(low)
    for bottom, top in candidates:
        scale = (top - bottom) / 255
        zero = (-bottom / scale).round()
        q = (values / scale[:, None] + zero[:, None]).round().clamp(0, 255)
        error = ((q - zero[:, None]) * scale[:, None] - values).square().mean(1)
        better = error < best_error
        best_error, best_scale = torch.where(better, error, best_error), torch.where(better, scale, best_scale)
        best_zero = torch.where(better, zero, best_zero)
    return Grids(best_scale.double(), best_zero.double())


def behind(first: Grids, second: Grids) -> Grids:
    """The grids of a map to which channels are added; nothing reads those between."""
    gap = -len(first.scale) % STEP
    scale = torch.cat([first.scale, first.scale.new_ones(gap), second.scale])
    return Grids(scale, torch.cat([first.zero, first.zero.new_zeros(gap), second.zero]))
