"""How alike two pictures are, without a network: PSNR and SSIM."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures [N, 3, H, W], 0..1, of the mean error; infinite for equal ones."""
    error = (a.double() - b.double()).square().mean()
    return float(-10 * error.log10())


def ssim(a: Tensor, b: Tensor) -> float:
    """:func:`similarity`, computed in float64, as a number."""
    return float(similarity(a.double(), b.double()))


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of pictures [N, C, H, W], 0..1, at least 11 pixels a side: mean over channels and places; with
    gradient.

    Source: Wang et al., IEEE Transactions on Image Processing 2004, eq. 13, with its Gaussian window of 11 pixels, sigma
    1.5, without padding.

    Raises:
        ValueError: sizes differ, or a side is below 11.
    """
    if a.shape != b.shape or min(a.shape[2:]) < WINDOW:
        raise ValueError(f"expected two pictures of one size, {WINDOW} pixels a side or more")
    x, y = (each.flatten(0, 1)[:, None] for each in (a, b))
    mean_x, mean_y = _blurred(x), _blurred(y)
    # Weights of the window sum to 1, so these are its (biased) moments.
    var_x, var_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + K1**2) / (mean_x**2 + mean_y**2 + K1**2)
    structure = (2 * covariance + K2**2) / (var_x + var_y + K2**2)
    return (luminance * structure).mean()


def _blurred(x: Tensor) -> Tensor:
    places = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    bell = torch.exp(-(places**2) / (2 * SIGMA**2))
    bell = bell / bell.sum()
    return F.conv2d(F.conv2d(x, bell.view(1, 1, -1, 1)), bell.view(1, 1, 1, -1))
