"""Padding that the networks here share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def reflection_pad(x: Tensor, margin: int = 1) -> Tensor:
    """[N, C, H, W] with ``margin`` reflected pixels on every side, in ``x``'s own type.

    Autocast on CPUs, unlike that on GPUs, would have it in float32: three copies that a padding, which computes nothing, has no
    use for.
    """
    with torch.autocast("cpu", enabled=False):
        return F.pad(x, (margin,) * 4, mode="reflect")
