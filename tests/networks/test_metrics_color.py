"""The distance of colours is one of distributions: of shifts their length, of places nothing."""

from __future__ import annotations

import pytest
import torch

from fastnst.metrics.color import color_distance


def picture(seed: int, height: int = 40, width: int = 50) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_pictures_of_the_same_colours_are_not_apart_wherever_these_are() -> None:
    one = picture(1)
    shuffled = one.flatten(2)[..., torch.randperm(2000, generator=torch.Generator().manual_seed(0))].view_as(one)
    assert color_distance(one, shuffled) == 0


def test_a_shift_counts_its_length() -> None:
    one, shift = picture(2), torch.tensor([0.3, -0.1, 0.2]).view(1, 3, 1, 1)
    assert color_distance(one, one + shift) == pytest.approx(float(shift.norm()), rel=0.02)


def test_one_colour_and_another_are_as_far_apart_as_they_are() -> None:
    red, blue = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 9, 5)
    red[:, 0], blue[:, 2] = 1, 1
    assert color_distance(red, blue) == pytest.approx(2**0.5, rel=0.05)


def test_normal_colours_are_apart_as_the_closed_form_says() -> None:
    """Isotropic: the distance of deviations s and t along each of three axes is sqrt(3) |s - t|."""
    generator = torch.Generator().manual_seed(5)
    one, other = (torch.randn(1, 3, 200, 200, generator=generator) * scale for scale in (0.1, 0.3))
    assert color_distance(one, other) == pytest.approx(3**0.5 * 0.2, rel=0.03)


def test_it_is_symmetric_and_sees_what_mean_and_covariance_do_not() -> None:
    one = torch.tensor([-1.0, 1.0]).repeat(500).view(1, 1, 20, 50).expand(1, 3, 20, 50)
    other = torch.randn(1, 1, 20, 50, generator=torch.Generator().manual_seed(1)).expand(1, 3, 20, 50)
    assert color_distance(one, other) == color_distance(other, one) > 0.3
