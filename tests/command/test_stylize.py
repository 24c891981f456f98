"""The Python face: kinds of content and style, mixing, colour, errors, and the promise that torch stays out."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

import fastnst
from fastnst import ModelError, Stylizer, stylize
from fastnst._engine import keep_color
from fastnst.engine import AdainLook
from fastnst.images import filled, to_srgb

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def stylizer(model_path: Path) -> Stylizer:
    return Stylizer(model_path)


@pytest.fixture
def shipped(tmp_path: Path, model_bytes: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with two models, one of them the default."""
    for name in (stylize.DEFAULT_MODEL, "other"):
        (tmp_path / f"{name}.fnst").write_bytes(model_bytes)
    monkeypatch.setattr("fastnst.engine.models.MODELS", tmp_path)
    return tmp_path


# ---- kinds of content and style ---------------------------------------------------------------------------------------------


def test_result_depends_on_content_style_and_alpha(each_model: Path, photos: dict[str, Pixels]) -> None:
    stylizer = Stylizer(each_model)
    base = stylizer(photos["astronaut"], photos["coffee"])
    assert base.dtype == np.uint8
    assert base.shape == photos["astronaut"].shape
    assert base.std() > 5
    for other in (
        stylizer(photos["astronaut"][::-1], photos["coffee"]),
        stylizer(photos["astronaut"], photos["flower"]),
        stylizer(photos["astronaut"], photos["coffee"], alpha=0.5),
    ):
        assert np.abs(base.astype(int) - other).mean() > 1


def test_alpha_zero_leaves_no_trace_of_the_style(each_model: Path, photos: dict[str, Pixels]) -> None:
    stylizer = Stylizer(each_model)
    plain = [stylizer(photos["cat"], photos[style], alpha=0) for style in ("coffee", "flower")]
    assert np.array_equal(*plain)


def test_image_in_image_out_with_the_pixels_of_the_array(stylizer: Stylizer, photos: dict[str, Pixels]) -> None:
    content, style = photos["cat"], photos["coffee"]
    expected = stylizer(content, style)
    out = stylizer(Image.fromarray(content), Image.fromarray(style))
    assert isinstance(out, Image.Image)
    assert out.mode == "RGB"
    assert np.array_equal(np.asarray(out), expected)


def test_image_keeps_its_alpha(stylizer: Stylizer, photos: dict[str, Pixels]) -> None:
    alpha = photos["coffee"][: photos["cat"].shape[0], : photos["cat"].shape[1], 0]
    content = np.dstack([photos["cat"][: alpha.shape[0]], alpha])
    out = np.asarray(stylizer(Image.fromarray(content), photos["flower"]))
    assert np.array_equal(out[..., 3], alpha)
    assert np.array_equal(out[..., :3], stylizer(content[..., :3], photos["flower"]))


def test_grey_image_is_taken_as_rgb(stylizer: Stylizer, photos: dict[str, Pixels]) -> None:
    grey = photos["cat"][..., 0]
    out = stylizer(Image.fromarray(grey), photos["coffee"])
    assert out.mode == "RGB"
    assert np.array_equal(np.asarray(out), stylizer(np.repeat(grey[..., None], 3, axis=2), photos["coffee"]))


def test_content_image_is_not_changed(stylizer: Stylizer, photos: dict[str, Pixels]) -> None:
    content = Image.fromarray(photos["cat"])
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content.info["icc_profile"] = profile
    out = stylizer(content, photos["coffee"])
    assert content.info == {"icc_profile": profile}
    assert "icc_profile" not in out.info
    assert np.array_equal(np.asarray(content), photos["cat"])


def test_transparent_parts_of_a_style_are_filled(stylizer: Stylizer, photos: dict[str, Pixels]) -> None:
    alpha = np.full(photos["coffee"].shape[:2], 255, np.uint8)
    alpha[:, 150:] = 0
    style = Image.fromarray(np.dstack([photos["coffee"], alpha]))
    look = stylizer.encode_style(style)
    assert np.array_equal(look.mean, stylizer.encode_style(np.asarray(filled(to_srgb(style)).rgb)).mean)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3), (7, 8), (8, 8), (9, 17), (17, 16), (31, 37)])
def test_every_size_comes_back(each_model: Path, photos: dict[str, Pixels], size: tuple[int, int]) -> None:
    content = photos["astronaut"][: size[0], : size[1]]
    assert Stylizer(each_model)(content, photos["coffee"][:50, :50]).shape == (*size, 3)


def test_strides_do_not_matter(stylizer: Stylizer, photos: dict[str, Pixels]) -> None:
    views = photos["astronaut"][::-2, ::2], photos["astronaut"][..., ::-1], np.asfortranarray(photos["cat"])
    for view in views:
        assert np.array_equal(stylizer(view, view), stylizer(view.copy("C"), view.copy("C")))


def test_threads_do_not_change_the_pixels(each_model: Path, photos: dict[str, Pixels]) -> None:
    results = [Stylizer(each_model, threads=threads)(photos["china"], photos["coffee"]) for threads in (1, 2, 3, 8)]
    for result in results[1:]:
        assert np.array_equal(result, results[0])


def test_one_stylizer_in_many_threads(stylizer: Stylizer, photos: dict[str, Pixels]) -> None:
    contents = list(photos.values()) * 4
    expected = [stylizer(content, photos["coffee"]) for content in photos.values()] * 4
    with ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda content: stylizer(content, photos["coffee"]), contents)
        assert all(np.array_equal(*pair) for pair in zip(results, expected, strict=True))


# ---- levels of WCT ----------------------------------------------------------------------------------------------------------


def test_wct_takes_the_same_calls(wct_path: Path, photos: dict[str, Pixels]) -> None:
    stylizer = Stylizer(wct_path)
    content, coffee, flower = photos["cat"], photos["coffee"], photos["flower"]
    full = stylizer(content, coffee)
    assert full.shape == content.shape
    assert full.std() > 5
    assert np.array_equal(full, stylizer(content, stylizer.encode_style(coffee), levels=(1, 4, 2)))
    assert np.array_equal(full, np.asarray(stylizer(Image.fromarray(content), Image.fromarray(coffee))))
    for other in (
        stylizer(content, flower),
        stylizer(content, coffee, alpha=0.5),
        stylizer(content, coffee, levels=[4]),
        stylizer(content, [coffee, flower], weights=[1, 2]),
        stylizer(content, coffee, preserve_color=True),
    ):
        assert np.abs(full.astype(int) - other).mean() > 1


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (7, 8), (17, 16)])
def test_wct_gives_every_size_back(wct_path: Path, photos: dict[str, Pixels], size: tuple[int, int]) -> None:
    content = photos["astronaut"][: size[0], : size[1]]
    assert Stylizer(wct_path)(content, photos["coffee"][:50, :50]).shape == (*size, 3)


def test_levels_that_a_model_has_not(wct_path: Path, stylizer: Stylizer, photos: dict[str, Pixels]) -> None:
    with pytest.raises(ValueError, match="no level 5"):
        Stylizer(wct_path)(photos["cat"], photos["coffee"], levels=(5, 4))
    with pytest.raises(ValueError, match="AdaIN"):
        stylizer(photos["cat"], photos["coffee"], levels=(4,))
    look = Stylizer(wct_path).encode_style(photos["coffee"])
    with pytest.raises(ValueError, match="the look is of the model"):
        stylizer(photos["cat"], look)


# ---- looks and mixing -------------------------------------------------------------------------------------------------------


def test_look_stands_for_its_style(stylizer: Stylizer, photos: dict[str, Pixels]) -> None:
    look = stylizer.encode_style(photos["coffee"])
    assert isinstance(look, AdainLook)
    assert np.array_equal(stylizer(photos["cat"], look), stylizer(photos["cat"], photos["coffee"]))


def test_mix_is_the_weighted_mean_of_the_looks(stylizer: Stylizer, photos: dict[str, Pixels]) -> None:
    coffee, flower = (stylizer.encode_style(photos[name]) for name in ("coffee", "flower"))
    mixed = stylizer.mix([photos["coffee"], flower], weights=[3, 1])
    np.testing.assert_allclose(mixed.mean, 0.75 * coffee.mean + 0.25 * flower.mean, rtol=1e-14)
    np.testing.assert_allclose(mixed.std, 0.75 * coffee.std + 0.25 * flower.std, rtol=1e-14)
    assert np.array_equal(
        stylizer(photos["cat"], [photos["coffee"], photos["flower"]], weights=[3, 1]), stylizer(photos["cat"], mixed)
    )


def test_mix_weights_are_relative_and_equal_by_default(stylizer: Stylizer, photos: dict[str, Pixels]) -> None:
    content, styles = photos["cat"], [photos["coffee"], photos["flower"]]
    equal = stylizer(content, styles)
    assert np.array_equal(equal, stylizer(content, styles, weights=(20, 20)))
    assert np.array_equal(equal, stylizer(content, tuple(styles), weights=np.array([0.1, 0.1])))
    assert not np.array_equal(equal, stylizer(content, styles, weights=(0.7, 0.3)))
    assert np.array_equal(stylizer(content, styles, weights=(0, 5)), stylizer(content, styles[1]))


# ---- colour -----------------------------------------------------------------------------------------------------------------


def test_preserve_color_is_keep_color_of_the_result(stylizer: Stylizer, photos: dict[str, Pixels]) -> None:
    content, style = photos["flower"], photos["coffee"]
    kept = stylizer(content, style, preserve_color=True)
    assert np.array_equal(kept, keep_color(content, stylizer(content, style, palette=0), 1))


def ycbcr(pixels: Pixels) -> NDArray[np.float64]:
    """Full-range BT.601, as JPEG (JFIF 1.02)."""
    red, green, blue = np.moveaxis(pixels.astype(np.float64), 2, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([luma, (blue - luma) / 1.772, (red - luma) / 1.402], axis=-1)


def test_keep_color_has_the_luma_of_one_and_the_chroma_of_the_other(photos: dict[str, Pixels]) -> None:
    content, styled = photos["flower"], photos["china"][: photos["flower"].shape[0]]
    content, styled = (pixels[:100, :300] // 2 + 64 for pixels in (content, styled))  # no value is clipped
    result = ycbcr(keep_color(content, styled, 2))
    assert np.abs(result[..., 0] - ycbcr(styled)[..., 0]).max() < 0.51  # rounding to an integer shift
    assert np.abs(result[..., 1:] - ycbcr(content)[..., 1:]).max() < 1e-9


def test_keep_color_is_exact_and_clamped_in_every_band() -> None:
    """Against Python's integers, on a picture of several bands with every extreme."""
    rng = np.random.default_rng(0)
    content, styled = rng.choice(np.array([0, 1, 77, 128, 254, 255], np.uint8), (2, 700, 900, 3))
    result = keep_color(content, styled, 2)
    for y, x in [(0, 0), (699, 899), *rng.integers(0, 700, (500, 2))]:
        before, after = content[y, x].tolist(), styled[y, x].tolist()
        difference = [a - b for a, b in zip(after, before, strict=True)]
        shift = (19595 * difference[0] + 38470 * difference[1] + 7471 * difference[2] + 32768) // 65536
        assert result[y, x].tolist() == [min(255, max(0, value + shift)) for value in before]


def test_keep_color_of_the_content_itself_changes_nothing(photos: dict[str, Pixels]) -> None:
    assert np.array_equal(keep_color(photos["flower"], photos["flower"], 1), photos["flower"])


# ---- errors -----------------------------------------------------------------------------------------------------------------

GOOD = np.zeros((16, 16, 3), np.uint8)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (GOOD.astype(np.float32), "dtype uint8, not float32"),
        (GOOD.astype(np.int8), "dtype uint8, not int8"),
        (GOOD[..., 0], r"shape \(height, width, 3\), not \(16, 16\)"),
        (GOOD[..., :1], r"not \(16, 16, 1\)"),
        (np.zeros((16, 16, 4), np.uint8), r"not \(16, 16, 4\)"),
        (GOOD[None], r"not \(1, 16, 16, 3\)"),
        (GOOD[:0], "has no pixels"),
        (GOOD[:, :0], "has no pixels"),
        ("content.png", "PIL image or a numpy array, not str"),
    ],
)
def test_wrong_arrays_raise_value_error(stylizer: Stylizer, bad: Pixels, message: str) -> None:
    with pytest.raises(ValueError, match=f"content .*{message}"):
        stylizer(bad, GOOD)
    with pytest.raises(ValueError, match=f"style .*{message}"):
        stylizer(GOOD, [bad])


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), float("inf")])
def test_wrong_alpha_raises_value_error(stylizer: Stylizer, alpha: float) -> None:
    with pytest.raises(ValueError, match=r"alpha must lie in 0\.\.1"):
        stylizer(GOOD, GOOD, alpha=alpha)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "one weight for each style: 1 weights, 2 styles"),
        ([1, 1, 1], "one weight for each style"),
        ([1, -0.5], "at least 0"),
        ([0, 0], "not all 0"),
        ([float("nan"), 1], "at least 0"),
        ([float("inf"), 1], "at least 0"),
        ([1e308, 1e308], "too large to be summed"),
    ],
)
def test_wrong_weights_raise_value_error(stylizer: Stylizer, weights: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stylizer(GOOD, [GOOD, GOOD], weights=weights)


def test_no_style_and_looks_of_another_model_raise_value_error(stylizer: Stylizer) -> None:
    with pytest.raises(ValueError, match="at least one style"):
        stylizer(GOOD, [])
    with pytest.raises(ValueError, match="another model"):
        stylizer(GOOD, AdainLook(np.zeros(3), np.ones(3)))


@pytest.mark.parametrize("threads", [0, -1, 1025])
def test_wrong_threads_raise_value_error(model_path: Path, threads: int) -> None:
    with pytest.raises(ValueError, match="threads must be 1 to 1024"):
        Stylizer(model_path, threads=threads)


# ---- models -----------------------------------------------------------------------------------------------------------------


def test_default_and_named_models_come_from_the_package(shipped: Path, photos: dict[str, Pixels], stylizer: Stylizer) -> None:
    expected = stylizer(photos["cat"], photos["coffee"])
    for model in (None, "other", str(shipped / "other.fnst"), shipped / "other.fnst"):
        assert np.array_equal(Stylizer(model)(photos["cat"], photos["coffee"]), expected)


def test_models_lists_what_the_cards_say(shipped: Path, model_bytes: bytes) -> None:
    default, other = fastnst.models()
    assert (default.name, other.name) == (stylize.DEFAULT_MODEL, "other")
    assert other.path == shipped / "other.fnst"
    assert (other.kind, other.parameters, other.macs_per_pixel) == ("adain", 12345, 678.9)
    assert other.file_bytes == len(model_bytes)
    assert other.distilled_from is None


def test_every_shipped_model_is_listed_and_the_default_is_among_them() -> None:
    names = {path.stem for path in (Path(fastnst.__file__).parent / "models").glob("*.fnst")}
    assert {model.name for model in fastnst.models()} == names
    if names:  # a source tree without its first trained model has none
        assert stylize.DEFAULT_MODEL in names


@pytest.mark.usefixtures("shipped")
def test_unknown_model_names_list_the_known() -> None:
    with pytest.raises(ModelError, match="no model is named 'vgg'; the package has adain-16x, other"):
        Stylizer("vgg")


def test_missing_and_unsuitable_model_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing\.fnst: no such model file"):
        Stylizer(tmp_path / "missing.fnst")
    with pytest.raises(FileNotFoundError, match=r"missing\.fnst: no such model file"):
        Stylizer("missing.fnst")
    with pytest.raises(ModelError, match="is a folder"):
        Stylizer(tmp_path)


@pytest.mark.parametrize("content", [b"", b"FNST", b"<html>", bytes(5000)])
def test_broken_model_files_raise_model_error_with_their_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.fnst").write_bytes(content)
    with pytest.raises(ModelError, match=r"broken\.fnst: "):
        Stylizer(tmp_path / "broken.fnst")


def test_model_with_a_flipped_bit_raises_model_error(tmp_path: Path, model_bytes: bytes) -> None:
    damaged = bytearray(model_bytes)
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "flipped.fnst").write_bytes(damaged)
    with pytest.raises(ModelError, match=r"flipped\.fnst: "):
        Stylizer(tmp_path / "flipped.fnst")


# ---- the package ------------------------------------------------------------------------------------------------------------


def test_import_and_use_need_no_torch(model_path: Path) -> None:
    """With torch and every other package but numpy and Pillow forbidden."""
    script = f"""
import sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "triton", "safetensors", "scipy", "skimage", "sklearn", "tqdm"):
            raise AssertionError("imports " + name)
sys.meta_path.insert(0, Forbid())
import fastnst
assert "numpy" not in sys.modules, "import fastnst alone should load nothing else"
import numpy
out = fastnst.Stylizer({str(model_path)!r})(numpy.zeros((9, 9, 3), "uint8"), numpy.zeros((9, 9, 3), "uint8"))
assert out.shape == (9, 9, 3)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_version_is_that_of_the_project() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert re.search(r'^version = "(.+)"$', project, re.MULTILINE)[1] == fastnst.__version__


def test_package_has_the_promised_names_and_no_others() -> None:
    promised = {"Look", "LookError", "ModelError", "Stylizer", "__version__", "load_look", "looks", "models"}
    assert set(fastnst.__all__) == promised <= set(dir(fastnst))
    assert issubclass(fastnst.ModelError, ValueError)
    with pytest.raises(AttributeError, match="no attribute 'stylise'"):
        fastnst.stylise  # noqa: B018
