"""What keeps pictures still in training, and what a run is judged by: motions, flicker, and pictures that are held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from random_vgg import random_vgg19

from fastnst.train.data import CropSource
from fastnst.train.stability import Motion, flicker, next_frame
from fastnst.train.validation import Validation

CPU = torch.device("cpu")


def smooth(batch: int, size: int) -> torch.Tensor:
    """Pictures that bilinear sampling hardly blurs."""
    y, x = torch.meshgrid(torch.linspace(0, 3, size), torch.linspace(0, 3, size), indexing="ij")
    return torch.stack(
        [torch.stack([torch.sin(x + i), torch.cos(y - i), torch.sin(x * y / 3)]) / 2 + 0.5 for i in range(batch)]
    )


def test_a_map_that_moves_with_its_picture_does_not_flicker() -> None:
    motion = Motion(3, (64, 64), torch.Generator().manual_seed(1), CPU)
    content = smooth(3, 64)
    assert flicker(1 - content, 1 - motion(content), motion) < 1e-10


def test_a_pattern_that_is_fixed_to_the_pixels_flickers() -> None:
    motion = Motion(3, (64, 64), torch.Generator().manual_seed(1), CPU)
    content, grid = smooth(3, 64), 0.2 * (torch.arange(64) % 2)
    assert flicker(content + grid, motion(content) + grid, motion) > 1e-3


def test_motions_are_small_and_follow_from_the_generator() -> None:
    one, other = (Motion(4, (48, 64), torch.Generator().manual_seed(5), CPU) for _ in range(2))
    assert torch.equal(one.grid, other.grid)
    still = torch.nn.functional.affine_grid(torch.eye(2, 3).expand(4, 2, 3), [4, 3, 48, 64], align_corners=False)
    moved = (one.grid - still) * torch.tensor([32.0, 24.0])  # in pixels
    assert 1 < moved.abs().max() < 12
    assert one.seen().float().mean() > 0.6


def test_the_next_frame_is_the_moved_one_with_noise_and_other_brightness() -> None:
    generator = torch.Generator().manual_seed(2)
    content = smooth(2, 64) * 0.5 + 0.25
    motion = Motion(2, (64, 64), generator, CPU)
    difference = next_frame(content, motion, generator) - motion(content)
    assert 0.005 < difference.std() < 0.03
    assert difference.abs().max() < 0.15


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(40):
        Image.fromarray(np.full((40, 40, 3), 6 * i, np.uint8)).save(tmp_path / f"{i:02}.png")
    return tmp_path


def test_pictures_that_are_held_out_are_never_trained_on(folder: Path) -> None:
    source = CropSource(folder, 16, (0.95, 1.05), 3, held_out=4)
    apart = {picture.getpixel((0, 0)) for picture in source.held_out}
    assert len(source.pictures) == 36
    assert apart == {(30, 30, 30), (90, 90, 90), (150, 150, 150), (210, 210, 210)}
    seen = {int(crop[0, 0, 0]) for crop in source.batch(range(400))}
    assert len(seen) == 36
    assert not seen & {value for value, *_ in apart}


def test_small_packs_keep_most_of_their_pictures(folder: Path) -> None:
    assert len(CropSource(folder, 16, (0.95, 1.05), 3, held_out=24).held_out) == 4
    for path in sorted(folder.iterdir())[5:]:
        path.unlink()
    assert not CropSource(folder, 16, (0.95, 1.05), 3, held_out=24).held_out


def test_validation_prefers_the_painting_in_style_and_the_photograph_in_content() -> None:
    rng = np.random.default_rng(0)
    contents, styles = ([Image.fromarray(rng.integers(low, high, (60, 80, 3), np.uint8)) for _ in range(2)]
                        for low, high in ((0, 90), (120, 255)))  # fmt: skip
    validation = Validation(random_vgg19(4), contents, styles, CPU)
    untouched, copied = validation(lambda content, _: content), validation(lambda _, style: style)
    assert copied["validation_style"] < 1e-6 < untouched["validation_style"]
    assert untouched["validation_loss"] == pytest.approx(
        untouched["validation_content"] + 10 * untouched["validation_style"], rel=1e-6
    )
    assert Validation(random_vgg19(4), [], styles, CPU)(lambda content, _: content) == {}
