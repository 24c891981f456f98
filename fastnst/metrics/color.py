"""How far the colours of two pictures are apart: a 2-Wasserstein distance of their RGB distributions, places aside."""

from __future__ import annotations

import math

import torch
from torch import Tensor

DIRECTIONS = 64
QUANTILES = 1024
MOST_PIXELS = 1 << 16
"""Of larger pictures every k-th pixel is taken."""


def color_distance(a: Tensor, b: Tensor) -> float:
    r"""Sliced 2-Wasserstein distance of the colours of two pictures [1, 3, H, W] of any sizes, in the unit of their values.

    .. math:: \left( \frac{3}{|D|} \sum_{d \in D} \int_0^1 \left( F^{-1}_{d \cdot a}(q) - F^{-1}_{d \cdot b}(q) \right)^2 dq
       \right)^{1/2}

    The factor 3 makes it the length of t for colours that differ by a shift t, as the distance in three dimensions is; in
    general it is at most that one. Directions D are spread evenly over the half sphere, and are the same in every call.

    Source: Rabin, Peyre, Delon and Bernot, SSVM 2011, eq. 5.
    """
    directions = _directions().to(a.device)
    levels = (torch.arange(QUANTILES, dtype=torch.float64, device=a.device) + 0.5) / QUANTILES
    one, other = (_quantiles(picture, directions, levels) for picture in (a, b))
    return float((3 * (one - other).square().mean()).sqrt())


def _directions() -> Tensor:
    """Points of a Fibonacci spiral on the half sphere, [DIRECTIONS, 3]."""
    index = torch.arange(DIRECTIONS, dtype=torch.float64)
    z = (index + 0.5) / DIRECTIONS
    around = math.pi * (1 + math.sqrt(5)) * index
    radius = (1 - z * z).sqrt()
    return torch.stack([radius * around.cos(), radius * around.sin(), z], 1)


def _quantiles(picture: Tensor, directions: Tensor, levels: Tensor) -> Tensor:
    """Values of ``picture`` along each direction at the quantiles ``levels``, float64 [DIRECTIONS, QUANTILES]."""
    colors = picture[0].flatten(1).double()
    colors = colors[:, :: max(1, -(-colors.shape[1] // MOST_PIXELS))]
    ordered = (directions @ colors).sort(1).values
    places = (levels * colors.shape[1]).long().clamp(max=colors.shape[1] - 1)
    return ordered[:, places]
