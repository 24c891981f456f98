"""Colour modes: each gives the same whole, in tiles and live, and options say at once what cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from numpy_engine import Lcg, random_picture

from fastnst import Stylizer
from fastnst.color import MODES, keep_color
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
    np.testing.assert_array_equal(luma, keep_color(CONTENT, none))
    assert np.abs(palette.astype(int) - none).mean() > 1 < np.abs(luma.astype(int) - none).mean()


def test_options_that_cannot_be_are_refused(model_path: Path) -> None:
    stylizer = Stylizer(model_path, 1)
    look = stylizer.encode_style(STYLE)
    with pytest.raises(ValueError, match="'sepia' is not one of the colour modes palette, luma, none"):
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
