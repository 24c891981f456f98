"""Colour modes: each gives the same whole, in tiles and live, and options say at once what cannot be."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy_colors
import pytest
from numpy.typing import NDArray
from numpy_engine import Lcg, random_picture
from PIL import Image

from fastnst import Stylizer
from fastnst._engine import count_levels, keep_color, keep_lab, level_tables, map_levels
from fastnst.color import MODES, PRESERVING
from fastnst.color.histograms import histogram_of
from fastnst.engine.palette import colors_of
from fastnst.options import Options
from fastnst.pictures.streams import ArrayRows, ArrayWriter
from fastnst.video.camera import Live

Pixels = NDArray[np.uint8]
CONTENT, STYLE = random_picture(Lcg(2), 170, 210), random_picture(Lcg(3), 60, 70) // 2 + 90


def stylized(stylizer: Stylizer, options: Options) -> Pixels:
    size = (CONTENT.shape[0], CONTENT.shape[1])
    target = ArrayWriter(*size)
    stylizer.stylize(ArrayRows(CONTENT), target, options, stylizer.plan(size, options))
    assert target.pixels is not None
    return target.pixels


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_is_the_same_whole_in_tiles_and_live(mode: str, model_path: Path) -> None:
    whole, little = Stylizer(model_path, 1, "1G"), Stylizer(model_path, 1, "800K")
    options = Options(look=whole.encode_style(STYLE), alpha=0.8, colors=mode, smoothing=0.0)
    assert not whole.plan((170, 210)).tiling and little.plan((170, 210)).tiling
    wanted = stylized(whole, options)
    np.testing.assert_array_equal(stylized(little, options), wanted)
    np.testing.assert_array_equal(Live(whole, options).stylize(CONTENT), wanted)


def test_modes_are_what_their_names_say(model_path: Path) -> None:
    stylizer = Stylizer(model_path, 1)
    look = stylizer.encode_style(STYLE)
    palette, luma, none = (stylized(stylizer, Options(look=look, colors=mode)) for mode in ("palette", "luma", "none"))
    np.testing.assert_array_equal(palette, stylizer(CONTENT, look))
    np.testing.assert_array_equal(none, stylizer(CONTENT, look, palette=0))
    np.testing.assert_array_equal(luma, keep_color(CONTENT, none, 1))
    assert np.abs(palette.astype(int) - none).mean() > 1 < np.abs(luma.astype(int) - none).mean()


def lab_of(pixels: Pixels) -> NDArray[np.float64]:
    """L*, a* and b* of sRGB, as IEC 61966-2-1 and CIE 15 have it."""
    encoded = pixels / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
    relative = linear @ (matrix / matrix.sum(axis=1, keepdims=True)).T
    f = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative * 841 / 108 + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def test_lab_takes_the_lightness_alone() -> None:
    rng = np.random.default_rng(5)
    content, styled = (rng.integers(80, 176, (60, 70, 3)).astype(np.uint8) for _ in range(2))
    result, wanted = lab_of(keep_lab(content, styled, 1)), lab_of(content)
    wanted[..., 0] = lab_of(styled)[..., 0]
    inside = (keep_lab(content, styled, 1) % 255 != 0).all(axis=2)  # of sRGB
    assert inside.mean() > 0.7
    assert np.abs(result - wanted)[inside].max() < 1.2  # half a level of each channel


def test_lab_of_the_content_itself_changes_nothing() -> None:
    levels = np.arange(256, dtype=np.uint8)
    grey = np.repeat(levels[:, None, None], 3, axis=2)
    np.testing.assert_array_equal(keep_lab(grey, grey, 1), grey)
    colors = np.stack(np.meshgrid(*[levels[::5]] * 3), axis=-1).reshape(52, -1, 3)
    np.testing.assert_array_equal(keep_lab(colors, colors, 1), colors)


def test_lab_is_these_bytes_everywhere() -> None:
    pixels = random_picture(Lcg(7), 64, 64)
    digest = hashlib.sha256(keep_lab(pixels, pixels[::-1].copy(), 1).tobytes()).hexdigest()
    assert digest == "d78cd7b0c3502587ed64d94e91e173daf2701e2c74da8b588adafa8060e9881b"


def test_lab_and_histograms_are_those_of_integers_of_any_size() -> None:
    rng = np.random.default_rng(11)
    content, styled = rng.integers(0, 256, (2, 300, 400, 3)).astype(np.uint8)
    content[0], styled[1] = rng.choice(np.array([0, 1, 10, 11, 254, 255], np.uint8), (2, 400, 3))
    np.testing.assert_array_equal(keep_lab(content, styled, 2), numpy_colors.keep_lab(content, styled))
    own, wanted = (
        np.stack([np.bincount(each[..., c].ravel(), minlength=256) for c in range(3)]) for each in (content, styled // 3)
    )
    np.testing.assert_array_equal(histogram_of(content).counts, own)
    tables = numpy_colors.level_tables(own, wanted)
    np.testing.assert_array_equal(histogram_of(content).tables(histogram_of(styled // 3)), tables)
    mapped = content.copy()
    map_levels(tables, mapped, 2)
    np.testing.assert_array_equal(mapped, np.stack([tables[c][content[..., c]] for c in range(3)], axis=-1))


def test_what_is_no_picture_of_one_size_is_refused() -> None:
    with pytest.raises(ValueError, match="different sizes"):
        keep_lab(CONTENT, CONTENT[1:], 1)
    with pytest.raises(ValueError, match="H x W x 3"):
        count_levels(CONTENT[0])
    with pytest.raises(ValueError, match=r"\[3, 256\]"):
        level_tables(np.zeros((3, 255), np.uint64), np.zeros((3, 256), np.uint64))


def test_match_has_the_colors_of_the_content(model_path: Path) -> None:
    stylizer = Stylizer(model_path, 1)
    wide = (np.array(Image.fromarray(CONTENT).resize((420, 340), Image.Resampling.BICUBIC)) // 2 + 60).astype(np.uint8)
    result = stylizer(wide, STYLE, preserve_color="match")
    own, wanted = colors_of(result), colors_of(wide)
    np.testing.assert_allclose(own.mean, wanted.mean, atol=1)
    np.testing.assert_allclose(own.covariance, wanted.covariance, atol=0.03 * np.trace(wanted.covariance))


def test_histogram_has_the_levels_of_the_content() -> None:
    rng = np.random.default_rng(3)
    content = np.clip(rng.normal(90, 40, (80, 90, 3)), 0, 255).astype(np.uint8)
    decoded = rng.integers(0, 256, content.shape).astype(np.uint8)
    result = MODES["histogram"](Options()).apply(content, decoded.copy(), 1)
    own, wanted, before = (np.cumsum(histogram_of(each).counts, axis=1) / 7200 for each in (result, content, decoded))
    assert np.abs(own - wanted).max() < 0.01 < np.abs(before - wanted).max()


def test_histograms_by_hand() -> None:
    ours, theirs = np.zeros((1, 4, 3), np.uint8), np.zeros((1, 4, 3), np.uint8)
    ours[..., 0], theirs[..., 0] = [[5, 5, 9, 200]], [[10, 20, 30, 255]]
    tables = histogram_of(ours).tables(histogram_of(theirs))
    assert tables[0][[5, 9, 200]].tolist() == [10, 30, 255]
    np.testing.assert_array_equal(histogram_of(CONTENT).tables(histogram_of(CONTENT))[:, CONTENT[0, 0]][0, 0], CONTENT[0, 0, 0])


@pytest.mark.parametrize("mode", PRESERVING)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1)])
def test_the_smallest_pictures_keep_their_colors(mode: str, shape: tuple[int, int], model_path: Path) -> None:
    content = np.full((*shape, 3), (200, 30, 90), np.uint8)
    result = Stylizer(model_path, 1)(content, STYLE, preserve_color=mode)
    assert result.shape == content.shape
    if mode == "histogram":
        np.testing.assert_array_equal(result, content)


def test_modes_by_their_names_in_python(model_path: Path) -> None:
    stylizer = Stylizer(model_path, 1)
    np.testing.assert_array_equal(
        stylizer(CONTENT, STYLE, preserve_color="luma"), stylizer(CONTENT, STYLE, preserve_color=True)
    )
    with pytest.raises(ValueError, match="preserve_color is one of luma, lab, match, histogram, not 'palette'"):
        stylizer(CONTENT, STYLE, preserve_color="palette")


def test_options_that_cannot_be_are_refused(model_path: Path) -> None:
    stylizer = Stylizer(model_path, 1)
    look = stylizer.encode_style(STYLE)
    with pytest.raises(ValueError, match="'sepia' is not one of the colour modes palette, none, luma, lab"):
        stylized(stylizer, Options(look=look, colors="sepia"))
    with pytest.raises(ValueError, match="choose one"):
        stylizer(CONTENT, look, preserve_color=True, palette=0.5)
    for name in ("alpha", "palette"):
        with pytest.raises(ValueError, match=rf"{name} must lie in 0\.\.1, not 1.5"):
            Options(**{name: 1.5})


def test_options_do_not_change_with_what_they_were_made_of() -> None:
    levels, weights = [4, 2], [1.0, 3.0]
    options = Options(levels=levels, weights=weights)
    levels.append(1)
    weights.clear()
    assert (options.levels, options.weights) == ((4, 2), (1.0, 3.0))


def test_a_picture_done_whole_needs_no_folder_for_temporary_files(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError("no usable temporary directory")

    stylizer = Stylizer(model_path, 1, "1G")
    monkeypatch.setattr("tempfile.gettempdir", nowhere)
    assert stylizer(CONTENT, STYLE).shape == CONTENT.shape
