"""Temporal stability: a small change of the content shall change the result only as much.

The next frame of a video is much like the last one, a little moved, a little brighter, with other noise. Where the network
paints it differently, users see flicker. So it gets both frames in training, and the difference of its results is a loss (Gao
et al., ECCV 2018; Wang et al., arXiv:2004.07442, who call it compound regularisation).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SHIFT = 6.0
"""The largest motion of a frame in pixels, along each axis."""
TURN = math.radians(1.5)
ZOOM = 0.03
NOISE = 0.015
"""Standard deviation of the noise, for values 0..1."""
BRIGHTNESS = 0.03


class Motion:
    """A small motion of each picture of a batch: shift, rotation and zoom.

    Args:
        batch: the number of pictures.
        size: height and width in pixels.
        generator: the source of random numbers, on the CPU.
        device: the device of the pictures.
    """

    def __init__(self, batch: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> None:
        shift_x, shift_y, turn, zoom = (torch.rand(4, batch, generator=generator) * 2 - 1).unbind()
        angle, scale = turn * TURN, 1 + zoom * ZOOM
        cos, sin = scale * angle.cos(), scale * angle.sin()
        height, width = size
        rows = [
            cos,
            -sin * height / width,
            shift_x * SHIFT * 2 / width,
            sin * width / height,
            cos,
            shift_y * SHIFT * 2 / height,
        ]
        theta = torch.stack(rows, 1).view(batch, 2, 3).to(device)
        self.grid = F.affine_grid(theta, [batch, 3, height, width], align_corners=False)

    def __call__(self, pictures: Tensor) -> Tensor:
        """``pictures`` [N, 3, H, W], moved with bilinear interpolation; beyond the edges their pixels are repeated."""
        return F.grid_sample(pictures, self.grid, padding_mode="border", align_corners=False)

    def seen(self) -> Tensor:
        """Which pixels of the moved picture come from inside the picture before: bool [N, 1, H, W]."""
        return (self.grid.abs() <= 1).all(-1).unsqueeze(1)


def next_frame(content: Tensor, motion: Motion, generator: torch.Generator) -> Tensor:
    """A possible next frame of ``content`` [N, 3, H, W], RGB 0..1, in a video."""
    noise = torch.randn(content.shape, generator=generator).to(content.device) * NOISE
    brightness = ((torch.rand(len(content), 1, 1, 1, generator=generator) * 2 - 1) * BRIGHTNESS).to(content.device)
    return (motion(content) + noise + brightness).clamp(0, 1)


def flicker(before: Tensor, after: Tensor, motion: Motion) -> Tensor:
    """Mean squared difference of ``after`` and the moved ``before``, [N, 3, H, W] each, over the pixels that both have."""
    seen = motion.seen()
    return ((motion(before) - after).square() * seen).sum() / (3 * seen.sum())
