"""How steady a stylized video is where its motion is not known: by the optical flow of its source.

Flow is TV-L1 (Zach et al., DAGM 2007), by scikit-image. Places that one frame shows and the other hides are left out: those
where the flow there and the flow back do not cancel (Sundaram et al., ECCV 2010, eq. 5). The rest is compared as Lai et al. do
(ECCV 2018, section 4.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Picture = NDArray[np.uint8]  # [H, W, 3]
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Flow:
    """From a frame to the one before it.

    Attributes:
        grid: [1, H, W, 2], for each pixel its place in the frame before, as :func:`torch.nn.functional.grid_sample` takes it.
        seen: bool [H, W], whether both frames show it.
    """

    grid: Tensor
    seen: Tensor


def flows(frames: Sequence[Picture]) -> list[Flow]:
    """The flow from every frame but the first to the one before it.

    Raises:
        ValueError: fewer than two frames, or frames of several sizes.
    """
    if len(frames) < 2 or len({frame.shape for frame in frames}) > 1:
        raise ValueError(f"two frames or more of one size are needed: {len(frames)} frames")
    grey = [(frame @ np.array(LUMA, np.float32) / 255).astype(np.float32) for frame in frames]
    return [_flow(before, now) for before, now in pairwise(grey)]


def _flow(before: NDArray[np.float32], now: NDArray[np.float32]) -> Flow:
    from skimage.registration import optical_flow_tvl1

    between = cast("Callable[..., NDArray[np.float32]]", optical_flow_tvl1)  # [2, H, W], rows first
    back, forth = torch.from_numpy(between(now, before)), torch.from_numpy(between(before, now))
    grid = _grid(back)
    returned = F.grid_sample(forth[None], grid, padding_mode="border", align_corners=True)[0]
    apart = (back + returned).square().sum(0)
    within = (grid[0].abs() <= 1).all(-1)
    return Flow(grid, within & (apart <= 0.01 * (back.square().sum(0) + returned.square().sum(0)) + 0.5))


def _grid(flow: Tensor) -> Tensor:
    """The places that ``flow`` [2, H, W], in pixels, leads to: [1, H, W, 2] of x and y in -1..1."""
    height, width = flow.shape[1:]
    y = torch.arange(height, dtype=flow.dtype)[:, None] + flow[0]
    x = torch.arange(width, dtype=flow.dtype) + flow[1]
    return torch.stack((2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1), -1)[None]


def warping_error(frames: Sequence[Picture], motion: Sequence[Flow]) -> float:
    """Mean squared difference, of values 0..1, between each frame and the one before it moved by the flow of their source.

    Args:
        frames: stylized, as many and as large as those that ``motion`` was made of.

    Raises:
        ValueError: another number of frames, or no pixel that two frames share.
    """
    if len(frames) != len(motion) + 1:
        raise ValueError(f"{len(frames)} frames do not match {len(motion)} flows")
    tensors = [torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255 for frame in frames]
    errors = []
    for before, now, flow in zip(tensors, tensors[1:], motion, strict=False):
        if not flow.seen.any():
            raise ValueError("two frames that follow each other share no pixels")
        expected = F.grid_sample(before, flow.grid.float(), padding_mode="border", align_corners=True)
        errors.append((now - expected)[0, :, flow.seen].square().mean())
    return float(torch.stack(errors).mean())
