"""Colours below fully transparent pixels: nothing that anybody sees depends on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastnst import Stylizer, cli
from fastnst.images import Picture, filled, resize_short_side
from fastnst.pictures import hidden

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


def test_parts_of_a_picture_are_filled_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pull and push of the whole picture at once, and in bands and columns."""
    rng = np.random.default_rng(2)
    for height, width in ((1, 1), (7, 200), (97, 131), (200, 65), (32, 64)):
        rgb = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        alpha = (rng.integers(0, 256, (height, width)) * (rng.random((height, width)) > 0.7)).astype(np.uint8)
        alpha[height // 3 :, width // 3 :] = 0
        weights = alpha.astype(np.int64)[..., None]
        whole = (hidden._colors(np.concatenate([rgb * weights, weights], axis=2)) + 128) >> 8
        expected = np.where(alpha[..., None] > 0, rgb, whole)
        for columns in (32, 96, 1024):
            monkeypatch.setattr(hidden, "_COLUMNS", columns)
            found = filled(Picture(Image.fromarray(rgb), Image.fromarray(alpha))).rgb
            assert np.array_equal(np.asarray(found), expected), (height, width, columns)


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
