"""Every format, depth and colour mode of picture file comes in as the pixels a viewer would show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from picture_files import LOSSY, ORIENTATION, Pixels, alpha_of, gradient_alpha, mean_error, png, rgb_of
from PIL import Image

from fastnst import images
from fastnst.images import ImageError, Picture, open_picture, save_picture
from fastnst.pictures.profile import srgb_profile

LOSSLESS = ("png", "tiff", "bmp", "ppm")


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_formats_keep_every_pixel(tmp_path: Path, photos: dict[str, Pixels], suffix: str) -> None:
    path = tmp_path / f"out.{suffix}"
    save_picture(Picture(Image.fromarray(photos["cat"])), path)
    assert np.array_equal(rgb_of(open_picture(path)), photos["cat"])


@pytest.mark.parametrize("suffix", LOSSY)
def test_lossy_formats_stay_close(tmp_path: Path, photos: dict[str, Pixels], suffix: str) -> None:
    path = tmp_path / f"out.{suffix}"
    save_picture(Picture(Image.fromarray(photos["cat"])), path)
    assert mean_error(rgb_of(open_picture(path)), photos["cat"]) < 3


def test_jpeg_has_full_color_resolution_and_quality_95(tmp_path: Path, photos: dict[str, Pixels]) -> None:
    path, expected = tmp_path / "out.JPG", tmp_path / "expected.jpg"
    image = Image.fromarray(photos["cat"])
    save_picture(Picture(image), path)
    image.save(expected, quality=95, subsampling=0, icc_profile=srgb_profile())
    assert path.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp", "jpg", "bmp"])
def test_grey_becomes_three_equal_channels(tmp_path: Path, photos: dict[str, Pixels], suffix: str) -> None:
    grey = photos["coffee"][..., 1]
    Image.fromarray(grey).save(tmp_path / f"grey.{suffix}")
    pixels = rgb_of(open_picture(tmp_path / f"grey.{suffix}"))
    if suffix not in LOSSY:
        assert np.array_equal(pixels, np.repeat(grey[..., None], 3, axis=2))
    assert mean_error(pixels, np.repeat(grey[..., None], 3, axis=2)) < 3


def test_one_bit_becomes_black_and_white(tmp_path: Path) -> None:
    bits = np.eye(9, dtype=bool)
    Image.fromarray(bits).save(tmp_path / "bits.png")
    assert np.array_equal(rgb_of(open_picture(tmp_path / "bits.png"))[..., 2], bits * np.uint8(255))


SIXTEEN_BIT = np.array([[0, 1, 128, 129, 255, 256], [257, 32767, 32768, 65278, 65534, 65535]], np.uint16)


def as_sixteen_bit(folder: Path, kind: str) -> Path:
    suffix = kind.partition(" ")[0]
    path = folder / f"deep.{suffix}"
    match kind:
        case "png" | "tiff":
            Image.fromarray(SIXTEEN_BIT).save(path)
        case "tiff big-endian":
            tifffile.imwrite(path, SIXTEEN_BIT, byteorder=">")
        case "pgm":
            path.write_bytes(b"P5 6 2 65535\n" + SIXTEEN_BIT.astype(">u2").tobytes())
        case "tiff 32-bit":
            Image.fromarray(SIXTEEN_BIT.astype(np.int32)).save(path)
        case "tiff float":
            Image.fromarray((SIXTEEN_BIT / 65535).astype(np.float32)).save(path)
    return path


@pytest.mark.parametrize("kind", ["png", "tiff", "tiff big-endian", "pgm", "tiff 32-bit", "tiff float"])
def test_deep_grey_is_scaled_and_rounded_not_clipped(tmp_path: Path, kind: str) -> None:
    expected = np.rint(SIXTEEN_BIT / 257).astype(np.uint8)
    assert np.array_equal(rgb_of(open_picture(as_sixteen_bit(tmp_path, kind)))[..., 0], expected)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_deep_color_is_rounded_as_deep_grey_is(tmp_path: Path, photos: dict[str, Pixels], suffix: str) -> None:
    deep = photos["cat"][:20, :30].astype(np.uint16) * 256 + 199
    path = tmp_path / f"deep.{suffix}"
    if suffix == "tiff":
        tifffile.imwrite(path, deep, photometric="rgb")
    else:
        path.write_bytes(png(30, 20, 16, 2, rows=b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)))
    assert np.array_equal(rgb_of(open_picture(path)), np.rint(deep / 257))


@pytest.mark.parametrize("values", [[[-1, 5]], [[0, 70000]]])
def test_integers_beyond_16_bit_are_refused(tmp_path: Path, values: list[list[int]]) -> None:
    Image.fromarray(np.array(values, np.int32)).save(tmp_path / "deep.tiff")
    with pytest.raises(ImageError, match=r"deep\.tiff: .*integer pixels outside 0\.\.65535"):
        open_picture(tmp_path / "deep.tiff")


@pytest.mark.parametrize("value", [-0.01, 1.01, np.nan, np.inf])
def test_floats_outside_0_to_1_are_refused(tmp_path: Path, value: float) -> None:
    Image.fromarray(np.array([[0.5, value]], np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(ImageError, match=r"float\.tiff: .*float pixels outside 0\.\.1"):
        open_picture(tmp_path / "float.tiff")


@pytest.mark.parametrize("suffix", ["jpg", "tiff"])
def test_cmyk_looks_like_its_rgb_original(tmp_path: Path, photos: dict[str, Pixels], suffix: str) -> None:
    image = Image.fromarray(photos["flower"])
    image.convert("CMYK").save(tmp_path / f"ink.{suffix}", **({"quality": 95} if suffix == "jpg" else {}))
    with Image.open(tmp_path / f"ink.{suffix}") as stored:
        assert stored.mode == "CMYK"
    assert mean_error(rgb_of(open_picture(tmp_path / f"ink.{suffix}")), photos["flower"]) < 3


def test_palette_becomes_the_colors_it_names(tmp_path: Path, photos: dict[str, Pixels]) -> None:
    palette = Image.fromarray(photos["cat"]).quantize(16)
    palette.save(tmp_path / "palette.png")
    colors = np.array(palette.getpalette()).reshape(-1, 3)
    assert np.array_equal(rgb_of(open_picture(tmp_path / "palette.png")), colors[np.asarray(palette)])


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_first_frame_of_an_animation(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "lime")]
    frames[0].save(tmp_path / f"moving.{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(rgb_of(open_picture(tmp_path / f"moving.{suffix}"))[3, 3], (255, 0, 0))


@pytest.mark.parametrize(("suffix", "alike"), [("jfif", "jpg"), ("jpe", "jpg"), ("dib", "bmp")])
def test_other_names_of_formats(tmp_path: Path, photos: dict[str, Pixels], suffix: str, alike: str) -> None:
    for name in (suffix, alike):
        save_picture(Picture(Image.fromarray(photos["cat"])), tmp_path / f"a.{name}")
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"a.{alike}").read_bytes()
    assert mean_error(rgb_of(open_picture(tmp_path / f"a.{suffix}")), photos["cat"]) < 3


def test_a_dib_without_the_header_of_files(tmp_path: Path, photos: dict[str, Pixels]) -> None:
    Image.fromarray(photos["cat"]).save(tmp_path / "a.dib")
    assert not (tmp_path / "a.dib").read_bytes().startswith(b"BM")
    assert np.array_equal(rgb_of(open_picture(tmp_path / "a.dib")), photos["cat"])


def test_the_first_picture_of_an_mpo(tmp_path: Path, photos: dict[str, Pixels]) -> None:
    first, second = Image.fromarray(photos["cat"]), Image.new("RGB", (30, 20), "lime")
    first.save(tmp_path / "a.mpo", save_all=True, append_images=[second], quality=95)
    assert mean_error(rgb_of(open_picture(tmp_path / "a.mpo")), photos["cat"]) < 3


def test_avif_in_and_out(tmp_path: Path, photos: dict[str, Pixels]) -> None:
    alpha = gradient_alpha(*photos["cat"].shape[:2])
    Image.fromarray(np.dstack([photos["cat"], alpha])).save(tmp_path / "in.avif", quality=100, subsampling="4:4:4")
    picture = open_picture(tmp_path / "in.avif")
    assert mean_error(rgb_of(picture), photos["cat"]) < 3
    assert np.array_equal(alpha_of(picture), alpha)
    save_picture(picture, tmp_path / "out.avif")
    assert mean_error(rgb_of(open_picture(tmp_path / "out.avif")), photos["cat"]) < 4


def test_heic_and_its_orientation(tmp_path: Path, photos: dict[str, Pixels]) -> None:
    heif = pytest.importorskip("pillow_heif", reason="reads these: pip install 'fastnst[heif]'")
    heif.register_heif_opener()
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(photos["cat"]).save(tmp_path / "a.heic", format="HEIF", quality=95)
    Image.fromarray(photos["cat"]).save(tmp_path / "turned.heic", format="HEIF", quality=95, exif=exif.tobytes())
    assert mean_error(rgb_of(open_picture(tmp_path / "a.heic")), photos["cat"]) < 6
    assert mean_error(rgb_of(open_picture(tmp_path / "turned.heic")), np.rot90(photos["cat"], -1)) < 6


# ---- size -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "short", "expected"),
    [((300, 200), 100, (150, 100)), ((200, 301), 100, (100, 151)), ((3, 1000), 1, (1, 333)), ((20, 30), 40, (40, 60))],
)
def test_resize_short_side_keeps_proportions(size: tuple[int, int], short: int, expected: tuple[int, int]) -> None:
    picture = images.resize_short_side(Picture(Image.new("RGB", size, "red"), Image.new("L", size, 77)), short)
    assert picture.rgb.size == expected
    assert picture.alpha is not None
    assert picture.alpha.size == expected
    assert np.array_equal(rgb_of(picture)[0, 0], (255, 0, 0))
    assert set(alpha_of(picture).flat) == {77}


def test_resize_to_zero_or_same_size_changes_nothing(photos: dict[str, Pixels]) -> None:
    picture = Picture(Image.fromarray(photos["cat"]))
    assert images.resize_short_side(picture, 0) is picture
    assert images.resize_short_side(picture, 201) is picture


def test_resize_averages_what_it_shrinks() -> None:
    """One-pixel stripes: picking every n-th pixel would give pure black or white."""
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = rgb_of(images.resize_short_side(Picture(Image.fromarray(stripes)), 8))
    assert np.abs(small[:, 1:-1].astype(int) - 127).max() < 16


def test_resize_beyond_the_pixel_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 100 megapixels"):
        images.resize_short_side(Picture(Image.new("RGB", (1, 10_000))), 512)
