"""Colours below fully transparent pixels: nothing that anybody sees depends on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy_hidden
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastnst import Stylizer, cli
from fastnst.images import Picture, filled, resize_short_side
from fastnst.pictures.hidden import CELL, Filling, cell_sums

Pixels = NDArray[np.uint8]
COLORS = ((0, 0, 0), (255, 0, 255), (255, 255, 255))


def cut_out(color: tuple[int, int, int]) -> Pixels:
    """A disc with a soft edge on transparent ``color``, RGBA."""
    y, x = np.mgrid[:90, :130]
    far = np.hypot(x - 60, y - 45)
    rgba = np.zeros((90, 130, 4), np.uint8)
    rgba[..., 3] = np.clip((40 - far) * 64, 0, 255)
    rgba[..., :3] = np.where(rgba[..., 3:] > 0, np.stack([90 + x, 140 - y, 60 + 0 * x], -1), color)
    return rgba


def picture_of(rgba: Pixels) -> Picture:
    return Picture(Image.fromarray(rgba[..., :3].copy()), Image.fromarray(rgba[..., 3].copy()))


def all_the_same(arrays: list[Pixels]) -> bool:
    return all(np.array_equal(arrays[0], other) for other in arrays[1:])


def test_filling_keeps_what_is_visible_and_forgets_what_is_not() -> None:
    results = [np.asarray(filled(picture_of(cut_out(color))).rgb) for color in COLORS]
    assert all_the_same(results)
    rgba = cut_out(COLORS[0])
    visible = rgba[..., 3] > 0
    assert np.array_equal(results[0][visible], rgba[visible][:, :3])


def test_filling_continues_the_colors_beside_it() -> None:
    """A picture of two colours with its middle hidden: beside each edge lies its own colour, and no new edge between them."""
    rgba = np.full((64, 128, 4), 255, np.uint8)
    rgba[:, :30, :3], rgba[:, 90:, :3] = (200, 20, 20), (20, 20, 200)
    rgba[:, 30:90, 3] = 0
    result = np.asarray(filled(picture_of(rgba)).rgb).astype(int)
    assert np.abs(result[:, 30] - (200, 20, 20)).max() < 60 and np.abs(result[:, 89] - (20, 20, 200)).max() < 60
    assert np.abs(np.diff(result, axis=1)).max() < 60


def random_alpha(kind: str, height: int, width: int, rng: np.random.Generator) -> Pixels:
    alpha = rng.integers(1, 256, (height, width), np.uint8)
    hidden: Any = {
        "none": False,
        "all": True,
        "most": rng.random((height, width)) < 0.9,
        "all but a few": rng.random((height, width)) < 0.9995,
        "stripes": np.arange(width) % 7 > 0,
        "a corner": (np.arange(height)[:, None] >= height // 3) & (np.arange(width) >= width // 4),
    }[kind]
    return np.where(hidden, np.uint8(0), alpha)


@pytest.mark.parametrize("kind", ["none", "all", "most", "all but a few", "stripes", "a corner"])
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 2), (3, 1), (7, 200), (31, 33), (32, 64), (64, 257), (97, 131), (200, 65), (100, 2100), (1, 1025)]
)
def test_filling_is_that_of_numpy_at_once_and_in_bands(size: tuple[int, int], kind: str) -> None:
    rng = np.random.default_rng(2)
    height, width = size
    rgb, alpha = rng.integers(0, 256, (*size, 3), np.uint8), random_alpha(kind, height, width, rng)
    expected = numpy_hidden.filled(rgb, alpha)
    given = rgb.copy()
    assert np.array_equal(np.asarray(filled(Picture(Image.fromarray(rgb), Image.fromarray(alpha))).rgb), expected)
    tops = range(0, height, CELL)
    filling = Filling(height, width, [cell_sums(rgb[top : top + CELL], alpha[top : top + CELL]) for top in tops])
    bands = [filling.band(index, lambda first, last: (rgb[first:last], alpha[first:last])) for index in range(len(tops))]
    assert np.array_equal(np.concatenate(bands), expected)
    assert np.array_equal(rgb, given)


def test_filling_takes_as_much_memory_as_it_says_however_wide_the_picture() -> None:
    """What a band takes for a while does not grow with the picture; the cells' colours do, by a 170th of its pixels' bytes."""
    rng = np.random.default_rng(3)
    planned = []
    for width in (1024, 65_536):
        rgb, alpha = rng.integers(0, 256, (CELL, width, 3), np.uint8), random_alpha("most", CELL, width, rng)
        planned.append(Filling(CELL, width, [cell_sums(rgb, alpha)]).memory)
    assert planned[1] - planned[0] == 6 * (65_536 - 1024) // CELL
    assert planned[0] < 1 << 19


def test_filling_refuses_arrays_of_other_sizes() -> None:
    rgb, alpha = np.zeros((40, 50, 3), np.uint8), np.zeros((40, 50), np.uint8)
    cells = [cell_sums(rgb[:32], alpha[:32]), cell_sums(rgb[32:], alpha[32:])]
    for height, width in ((40, 65), (32, 50), (0, 50), (40, 0)):
        with pytest.raises(ValueError, match="other cells"):
            Filling(height, width, cells)
    filling = Filling(40, 50, cells)
    with pytest.raises(ValueError, match="no such band"):
        filling.band(2, lambda *_: (rgb, alpha))
    with pytest.raises(ValueError, match="other rows"):
        filling.band(0, lambda *_: (rgb[:32], alpha[:32]))
    with pytest.raises(ValueError, match="uint8"):
        cell_sums(rgb[:32], alpha[:31])
    with pytest.raises(ValueError, match="32 rows or fewer"):
        cell_sums(rgb, alpha)


def test_a_picture_that_is_hidden_altogether_is_grey() -> None:
    assert (np.asarray(filled(picture_of(np.zeros((5, 40, 4), np.uint8))).rgb) == 127).all()


@pytest.mark.parametrize("preserve", [False, True])
def test_hidden_colors_do_not_change_the_result(model_path: Path, photos: dict[str, Pixels], preserve: bool) -> None:
    """Neither of a content nor of a style; the colours that the result hides included."""
    stylizer, photo = Stylizer(model_path), photos["coffee"][:80, :90]
    cuts = [Image.fromarray(cut_out(color)) for color in COLORS]
    assert all_the_same([np.asarray(stylizer(cut, photo, preserve_color=preserve)) for cut in cuts])
    assert all_the_same([np.asarray(stylizer(photo, cut, preserve_color=preserve)) for cut in cuts])


@pytest.mark.parametrize("options", [[], ["--size", "57"], ["--style-size", "31"], ["--preserve-color"]])
def test_hidden_colors_do_not_change_files(tmp_path: Path, model_path: Path, options: list[str]) -> None:
    results = []
    for number, color in enumerate(COLORS):
        path = tmp_path / f"{number}.png"
        Image.fromarray(cut_out(color)).save(path)
        arguments = ["stylize", str(path), str(path), "-o", str(tmp_path / "out.png"), "--model", str(model_path), "--quiet"]
        assert cli.main([*arguments, "--overwrite", *options]) == 0
        results.append(np.asarray(Image.open(tmp_path / "out.png")))
    assert results[0].shape[2] == 4
    assert all_the_same(results)


@pytest.mark.parametrize("short", [30, 200])
def test_resizing_does_not_mix_hidden_colors_in(short: int) -> None:
    """A flat colour stays that, up to its edge, whatever lies below."""
    for color in COLORS:
        rgba = cut_out(color)
        rgba[..., :3] = np.where(rgba[..., 3:] > 0, (90, 140, 60), color)
        small = resize_short_side(picture_of(rgba), short)
        assert small.alpha is not None
        visible = np.asarray(small.alpha) > 0
        assert np.abs(np.asarray(small.rgb)[visible].astype(int) - (90, 140, 60)).max() <= 1
