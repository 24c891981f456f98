"""How steady a stylized video is: the warping error, and clips whose motion is known because it was made.

Two frames show the same things at places that the motion between them relates. What a stylizer draws should move along: the
warping error is the mean squared difference between a frame and the one before it, moved to where its things are now (Lai et
al., ECCV 2018, section 4.3, with the true motion in the place of an estimated one, so that nothing is hidden or found wrong).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class View:
    """What a frame shows of a still photograph: the rectangle about (``x``, ``y``) in its pixels, ``zoom`` of them for one."""

    x: float
    y: float
    zoom: float = 1.0


def move(photo: Tensor, view: View, height: int, width: int) -> Tensor:
    """The frame, [1, C, height, width], that ``view`` makes of a photograph [1, C, H, W]; bicubic, its border repeated."""
    ys = view.y + view.zoom * (torch.arange(height) - (height - 1) / 2)
    xs = view.x + view.zoom * (torch.arange(width) - (width - 1) / 2)
    return _sample(photo, ys, xs)


def _sample(picture: Tensor, ys: Tensor, xs: Tensor) -> Tensor:
    """``picture`` at every pair of the places ``ys`` and ``xs``, counted in pixels from the middle of the first one."""
    height, width = picture.shape[2:]
    y, x = torch.meshgrid(2 * ys / (height - 1) - 1, 2 * xs / (width - 1) - 1, indexing="ij")
    grid = torch.stack((x, y), -1)[None].to(picture.dtype)
    return F.grid_sample(picture, grid, mode="bicubic", padding_mode="border", align_corners=True)


def warping_error(frames: Sequence[Tensor], views: Sequence[View]) -> float:
    """Mean squared difference between each frame and its predecessor, moved to where its things are now.

    Only pixels count whose place lies within both frames, three pixels or more from the border, where interpolation ends.

    Args:
        frames: stylized, each [1, C, H, W], 0..1.
        views: the motion of their source.

    Raises:
        ValueError: less than two frames, another number of views, or frames that share no pixels.
    """
    if len(frames) < 2 or len(frames) != len(views):
        raise ValueError(f"two frames or more are needed, and a view of each: {len(frames)} frames, {len(views)} views")
    pairs = zip(frames, frames[1:], views, views[1:], strict=False)
    errors = [_pair_error(*each) for each in pairs]
    return float(torch.stack(errors).mean())


def _pair_error(before: Tensor, now: Tensor, old: View, new: View, border: int = 3) -> Tensor:
    height, width = now.shape[2:]
    ys = (new.zoom * (torch.arange(height) - (height - 1) / 2) + new.y - old.y) / old.zoom + (height - 1) / 2
    xs = (new.zoom * (torch.arange(width) - (width - 1) / 2) + new.x - old.x) / old.zoom + (width - 1) / 2
    rows = ((ys >= border) & (ys <= height - 1 - border)).nonzero()[:, 0]
    columns = ((xs >= border) & (xs <= width - 1 - border)).nonzero()[:, 0]
    if not len(rows) or not len(columns):
        raise ValueError("two frames that follow each other share no pixels")
    expected = _sample(before, ys[rows], xs[columns])
    return F.mse_loss(now[..., rows, :][..., columns], expected)
