"""The warping error: nothing for what moves along, what was put there for what does not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastnst.metrics.warping import View, move, warping_error


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """A smooth random picture, [1, 3, 120, 160]."""
    noise = torch.rand(1, 3, 15, 20, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(noise, size=(120, 160), mode="bicubic").clamp(0, 1)


PANS = [View(60 + 3 * index, 60 - 2 * index) for index in range(5)]
ZOOMS = [View(80, 60, 0.97**index) for index in range(5)]
HALVES = [View(60 + 1.5 * index, 60) for index in range(5)]


def test_a_whole_pan_is_a_crop(photo: Tensor) -> None:
    assert torch.allclose(move(photo, View(80.5, 60.5), 40, 60), photo[:, :, 41:81, 51:111], atol=1e-5)
    assert warping_error([move(photo, view, 40, 60) for view in PANS], PANS) < 1e-9


@pytest.mark.parametrize("views", [ZOOMS, HALVES], ids=["zoom", "half a pixel"])
def test_what_moves_along_has_no_error_but_interpolation(photo: Tensor, views: list[View]) -> None:
    clip = [move(photo, view, 40, 60) for view in views]
    still = warping_error(clip, [View(80, 60)] * 5)
    assert warping_error(clip, views) < 4e-5 < 0.1 * still


def test_flicker_is_measured_exactly(photo: Tensor) -> None:
    clip = [move(photo, view, 40, 60) + 0.1 * (index % 2) for index, view in enumerate(PANS)]
    assert warping_error(clip, PANS) == pytest.approx(0.01, rel=1e-4)


def test_noise_counts_twice(photo: Tensor) -> None:
    generator = torch.Generator().manual_seed(1)
    clip = [move(photo, view, 40, 60) for view in PANS]
    noisy = [frame + 0.05 * torch.randn(frame.shape, generator=generator) for frame in clip]
    assert warping_error(noisy, PANS) == pytest.approx(2 * 0.05**2, rel=0.1)


def test_refusals(photo: Tensor) -> None:
    frame = move(photo, View(80, 60), 40, 60)
    with pytest.raises(ValueError, match="two frames or more"):
        warping_error([frame], [View(80, 60)])
    with pytest.raises(ValueError, match="a view of each"):
        warping_error([frame, frame], [View(80, 60)])
    with pytest.raises(ValueError, match="share no pixels"):
        warping_error([frame, frame], [View(40, 60), View(120, 60)])
