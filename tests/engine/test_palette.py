"""The palette step: the colours of the result are the style's, and its bytes the same on every way to them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy_palette as reference
import pytest
from numpy.typing import NDArray
from PIL import Image

import fastnst
from fastnst import _engine
from fastnst.cli import main
from fastnst.engine import instruction_sets
from fastnst.engine.palette import Colors, Palette, colors_of

Pixels = NDArray[np.uint8]


def random_picture(seed: int, height: int = 61, width: int = 47) -> Pixels:
    """Colours with a covariance of their own, clipped here and there."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(3, 3)) * rng.uniform(5, 40, 3)
    values = rng.normal(size=(height, width, 3)) @ mixing + rng.uniform(40, 210, 3)
    return np.clip(values, 0, 255).astype(np.uint8)


def mapped(picture: Pixels, style: Pixels, strength: float = 1.0, threads: int = 1) -> Pixels:
    out = picture.copy()
    Palette(colors_of(style), strength).apply(out, threads)
    return out


@pytest.mark.parametrize("seed", range(8))
def test_colours_are_those_of_exact_sums(seed: int) -> None:
    picture = random_picture(seed)
    mean, covariance = colors_of(picture)
    wanted_mean, wanted_covariance = reference.colors(picture)
    assert mean.tobytes() == wanted_mean.tobytes()
    assert covariance.tobytes() == wanted_covariance.tobytes()


def test_sums_of_many_bright_pixels_do_not_overflow() -> None:
    white = np.full((4096, 4096, 3), 255, np.uint8)
    colors = colors_of(white, 2)
    assert colors.mean.tolist() == [255.0] * 3
    assert not colors.covariance.any()


@pytest.mark.parametrize("strength", [1.0, 0.3])
@pytest.mark.parametrize("seed", range(6))
def test_the_map_is_the_formulas(seed: int, strength: float) -> None:
    """Eigenvalues round differently in LAPACK: an entry may differ by a unit of 2^-13, and a colour by one level."""
    picture, style = random_picture(seed), random_picture(seed + 100, 33, 71)
    wanted = reference.apply(*reference.color_map(picture, style, strength), picture)
    out = mapped(picture, style, strength)
    difference = np.abs(out.astype(int) - wanted)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_the_result_has_the_styles_mean_and_covariance() -> None:
    rng = np.random.default_rng(1)
    picture = np.clip(rng.normal(120, 20, (200, 200, 3)), 0, 255).astype(np.uint8)
    style = np.clip(rng.normal(size=(150, 150, 3)) @ (rng.normal(size=(3, 3)) * 12) + 128, 0, 255).astype(np.uint8)
    out, wanted = colors_of(mapped(picture, style)), colors_of(style)
    np.testing.assert_allclose(out.mean, wanted.mean, atol=0.5)
    np.testing.assert_allclose(out.covariance, wanted.covariance, atol=0.02 * np.trace(wanted.covariance))


def test_a_flat_picture_becomes_the_styles_mean_colour() -> None:
    flat, style = np.full((20, 30, 3), 77, np.uint8), random_picture(3)
    out = mapped(flat, style)
    assert np.abs(out.astype(float) - colors_of(style).mean).max() <= 1


def test_extreme_pictures_stay_within_32_bits() -> None:
    """The largest gain that two pictures can have: hardly any variance on one side, black and white on the other."""
    nearly_flat = np.zeros((64, 64, 3), np.uint8)
    nearly_flat[0, 0] = 255
    loud = np.zeros((64, 64, 3), np.uint8)
    loud[:, ::2] = 255
    for picture, style in ((nearly_flat, loud), (255 - nearly_flat, loud), (loud, nearly_flat)):
        wanted = reference.apply(*reference.color_map(picture, style, 1.0), picture)
        assert np.abs(mapped(picture, style).astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("pixels", [1, 2, 255, 256, 257, 16384, 16385])
def test_any_number_of_pixels_and_threads_gives_the_same_bytes(pixels: int) -> None:
    picture, style = random_picture(5, 1, pixels), random_picture(6)
    outs = {mapped(picture, style, threads=threads).tobytes() for threads in (1, 2, 3, 8)}
    assert len(outs) == 1
    assert {colors_of(picture, threads).covariance.tobytes() for threads in (1, 2, 3, 8)} == {
        reference.colors(picture)[1].tobytes()
    }


PATHS = [name for name, runs in instruction_sets() if runs]
SCRIPT = """
import hashlib, sys
import numpy as np
from fastnst.engine.palette import Palette, colors_of
rng, digest = np.random.default_rng(7), hashlib.sha256()
for height, width in ((1, 1), (3, 5), (64, 64), (97, 331)):
    picture, style = (np.clip(rng.normal(m, 60, (height, width, 3)), 0, 255).astype(np.uint8) for m in (90, 150))
    Palette(colors_of(style, 2), 0.9).apply(picture, 2)
    digest.update(picture.tobytes())
print(digest.hexdigest())
"""


def test_every_path_gives_the_same_bytes() -> None:
    digests = {}
    for name in PATHS:
        environment = os.environ | {"FASTNST_ISA": name}
        done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
        digests[name] = done.stdout
    assert len(set(digests.values())) == 1, digests


@pytest.mark.parametrize("model", ["adain-nano", "wct-16x"])
def test_tiles_and_the_whole_have_the_same_palette(model: str, tmp_path: Path) -> None:
    content, style = random_picture(11, 700, 560), random_picture(12, 120, 90)
    Image.fromarray(content).save(tmp_path / "content.png")
    Image.fromarray(style).save(tmp_path / "style.png")
    whole = fastnst.Stylizer(model, threads=2, max_memory="1G")(content, style)
    least = next(size for size in range(1 << 20, 1 << 28, 1 << 20) if can_be_tiled(model, content, size))
    tiled = fastnst.Stylizer(model, threads=2, max_memory=least)
    assert tiled.plan((content.shape[0], content.shape[1])).tiling
    np.testing.assert_array_equal(tiled(content, style), whole)
    paths = [str(tmp_path / name) for name in ("content.png", "style.png")]
    out = tmp_path / "out.png"
    files = ["stylize", *paths, "-o", str(out), "--model", model, "--max-memory", "60M", "--style-size", "0", "--quiet"]
    assert main(files) == 0
    np.testing.assert_array_equal(np.asarray(Image.open(out)), whole)


def can_be_tiled(model: str, content: Pixels, budget: int) -> bool:
    try:
        fastnst.Stylizer(model).engine.tiling((content.shape[0], content.shape[1]), budget, 2)
    except ValueError:
        return False
    return True


def test_styles_seen_in_tiles_have_the_same_colours() -> None:
    style = random_picture(21, 600, 500)
    whole = fastnst.Stylizer("adain-nano", max_memory="1G").encode_style(style)
    tiled = fastnst.Stylizer("adain-nano", max_memory="4M")
    assert tiled.plan((600, 500)).tiling
    look = tiled.encode_style(style)
    assert look.colors is not None
    assert whole.colors is not None
    assert look.colors.covariance.tobytes() == whole.colors.covariance.tobytes()


def test_strength_is_scaled_by_alpha_and_nothing_is_left_at_zero() -> None:
    stylizer = fastnst.Stylizer("adain-nano")
    content, style = random_picture(1, 64, 64), random_picture(2, 64, 64)
    without = stylizer(content, style, alpha=0.5, palette=0)
    wanted = without.copy()
    Palette(colors_of(style), 0.5).apply(wanted, 1)
    np.testing.assert_array_equal(stylizer(content, style, alpha=0.5), wanted)
    np.testing.assert_array_equal(stylizer(content, style, alpha=0), stylizer(content, style, alpha=0, palette=0))
    assert (without != wanted).any()


def test_a_mixture_has_the_mixed_colours() -> None:
    stylizer = fastnst.Stylizer("adain-nano")
    styles = [random_picture(seed, 40, 40) for seed in (1, 2)]
    look = stylizer.mix(styles, [3, 1])
    assert look.colors is not None
    wanted = Colors.mix([colors_of(style) for style in styles], [0.75, 0.25])
    np.testing.assert_array_equal(look.colors.covariance, wanted.covariance)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"palette": 1.5}, "palette must lie in 0..1"),
        ({"palette": float("nan")}, "palette must lie in 0..1"),
        ({"palette": 0.5, "preserve_color": True}, "choose one"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fastnst.Stylizer("adain-nano")(random_picture(1, 16, 16), random_picture(2, 16, 16), **options)  # type: ignore[arg-type]


def test_preserved_colours_are_as_without_a_palette() -> None:
    stylizer = fastnst.Stylizer("adain-nano")
    content, style = random_picture(1, 48, 48), random_picture(2, 48, 48)
    np.testing.assert_array_equal(
        stylizer(content, style, preserve_color=True), stylizer(content, style, preserve_color=True, palette=0)
    )


@pytest.mark.parametrize("which", ["mean", "covariance"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 1e6])
def test_colours_that_no_picture_has_are_refused(which: str, value: float) -> None:
    colors = colors_of(random_picture(1))
    bad = Colors(colors.mean.copy(), colors.covariance.copy())
    getattr(bad, which)[...] = value
    with pytest.raises(ValueError, match="no picture has"):
        _engine.map_colors(random_picture(2), colors, bad, 1.0, 1)


def test_pictures_of_another_kind_are_refused() -> None:
    with pytest.raises(TypeError):
        _engine.map_colors(np.zeros((4, 4, 3), np.float32), colors_of(random_picture(1)), colors_of(random_picture(2)), 1.0, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="without pixels"):
        colors_of(np.zeros((0, 4, 3), np.uint8))
