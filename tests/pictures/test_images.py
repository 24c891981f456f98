"""Every kind of picture file comes in as the pixels a viewer would show, and goes out complete or not at all."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from fastnst import images
from fastnst.images import ImageError, Picture, open_picture, save_picture
from fastnst.pictures import picture as limits
from fastnst.system import atomic

Pixels = NDArray[np.uint8]
LOSSLESS = ("png", "tiff", "bmp", "ppm")
LOSSY = ("jpg", "webp")
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]  # ISO 15948, 8.2


def rgb_of(picture: Picture) -> Pixels:
    assert picture.rgb.mode == "RGB"
    return np.asarray(picture.rgb)


def alpha_of(picture: Picture) -> Pixels:
    assert picture.alpha is not None
    assert picture.alpha.mode == "L"
    return np.asarray(picture.alpha)


def mean_error(a: Pixels, b: Pixels) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b).mean())


def png(width: int, height: int, depth: int, color_type: int, *, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG file written by hand, for kinds that Pillow does not write. ``rows``: each with its filter byte in front."""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# ---- formats and modes ------------------------------------------------------------------------------------------------------


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
    image.save(expected, quality=95, subsampling=0)
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


# ---- transparency -----------------------------------------------------------------------------------------------------------


def gradient_alpha(height: int, width: int) -> Pixels:
    return (np.arange(height * width, dtype=np.uint32) * 7919 % 256).astype(np.uint8).reshape(height, width)


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_alpha_is_split_off_and_comes_back_bit_exactly(tmp_path: Path, photos: dict[str, Pixels], suffix: str) -> None:
    rgb, alpha = photos["cat"], gradient_alpha(*photos["cat"].shape[:2])
    Image.fromarray(np.dstack([rgb, alpha])).save(tmp_path / "in.png")
    picture = open_picture(tmp_path / "in.png")
    assert np.array_equal(rgb_of(picture), rgb)
    assert np.array_equal(alpha_of(picture), alpha)
    save_picture(picture, tmp_path / f"out.{suffix}")
    again = open_picture(tmp_path / f"out.{suffix}")
    assert np.array_equal(alpha_of(again), alpha)
    assert mean_error(rgb_of(again), rgb) < (3 if suffix in LOSSY else 1e-9)


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_colors_below_transparent_pixels_are_kept(tmp_path: Path, photos: dict[str, Pixels], suffix: str) -> None:
    image = Image.fromarray(photos["cat"])
    save_picture(Picture(image, Image.new("L", image.size, 0)), tmp_path / f"out.{suffix}")
    assert mean_error(rgb_of(open_picture(tmp_path / f"out.{suffix}")), photos["cat"]) < (3 if suffix in LOSSY else 1e-9)


@pytest.mark.parametrize("suffix", ["bmp", "ppm", "jpg"])
def test_formats_without_alpha_show_the_picture_on_white(tmp_path: Path, suffix: str) -> None:
    alpha = np.full((16, 16), 255, np.uint8)
    alpha[:, 8:] = 0
    save_picture(Picture(Image.new("RGB", (16, 16), (10, 20, 30)), Image.fromarray(alpha)), tmp_path / f"out.{suffix}")
    picture = open_picture(tmp_path / f"out.{suffix}")
    assert picture.alpha is None
    assert mean_error(rgb_of(picture)[:, :8], np.full((16, 8, 3), (10, 20, 30), np.uint8)) < 3
    assert mean_error(rgb_of(picture)[:, 8:], np.full((16, 8, 3), 255, np.uint8)) < 3


def test_half_transparent_black_is_grey_on_white() -> None:
    picture = Picture(Image.new("RGB", (2, 2), "black"), Image.new("L", (2, 2), 128))
    assert np.array_equal(np.asarray(picture.flattened()), np.full((2, 2, 3), 127))


def test_grey_with_alpha(tmp_path: Path) -> None:
    grey, alpha = gradient_alpha(5, 7), gradient_alpha(7, 5).reshape(5, 7)[::-1]
    Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)]).save(tmp_path / "la.png")
    picture = open_picture(tmp_path / "la.png")
    assert np.array_equal(rgb_of(picture)[..., 1], grey)
    assert np.array_equal(alpha_of(picture), alpha)


def test_palette_with_a_transparent_entry(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(tmp_path / "one.png", transparency=1)
    image.save(tmp_path / "each.png", transparency=bytes([255, 7, 99]))
    for name, alpha in (("one.png", [[255, 0, 255]]), ("each.png", [[255, 7, 99]])):
        picture = open_picture(tmp_path / name)
        assert rgb_of(picture).tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]
        assert alpha_of(picture).tolist() == alpha


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("color_type", [0, 2, 3])
@pytest.mark.parametrize("interlaced", [False, True])
def test_transparency_keys_of_every_color_and_depth(tmp_path: Path, depth: int, color_type: int, interlaced: bool) -> None:
    if (color_type == 2 and depth < 8) or (color_type == 3 and depth > 8):
        pytest.skip("not in the format")
    top, channels = (1 << depth) - 1, 3 if color_type == 2 else 1
    values = (np.arange(9 * 11 * channels).reshape(9, 11, channels) * 37) & top
    key = values[3, 4].copy()
    values[:, 7] = key
    rows = b""
    for y, x, down, across in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = values[y::down, x::across]
        if part.size:
            bits = (part.reshape(len(part), -1, 1) >> np.arange(depth - 1, -1, -1)) & 1
            rows += b"".join(b"\0" + np.packbits(row.ravel()).tobytes() for row in bits.astype(np.uint8))
    if color_type == 3:
        palette = bytes(i * 50 % 256 for i in range(3 * (top + 1)))
        extra = chunk(b"PLTE", palette) + chunk(b"tRNS", bytes(0 if i == key[0] else 255 for i in range(top + 1)))
        shown = np.frombuffer(palette, np.uint8).reshape(-1, 3)[values[..., 0]]
    else:
        extra = chunk(b"tRNS", (key if channels == 3 else key[:1]).astype(">u2").tobytes())
        shown = np.broadcast_to(np.rint(values * (255 / top)), (9, 11, 3))
    data = bytearray(png(11, 9, depth, color_type, rows=rows, extra=extra))
    data[28] = interlaced
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "key.png").write_bytes(data)
    picture = open_picture(tmp_path / "key.png")
    assert np.array_equal(alpha_of(picture) == 0, (values == key).all(axis=2))
    assert np.array_equal(rgb_of(picture), shown)


def test_one_color_marked_as_transparent(tmp_path: Path) -> None:
    Image.fromarray(np.array([[9, 200]], np.uint8)).save(tmp_path / "grey.png", transparency=200)
    Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)).save(tmp_path / "color.png", transparency=(1, 2, 3))
    deep = struct.pack(">2H", 300, 40000)
    (tmp_path / "deep.png").write_bytes(png(2, 1, 16, 0, rows=b"\0" + deep, extra=chunk(b"tRNS", struct.pack(">H", 40000))))
    (tmp_path / "bit.png").write_bytes(png(2, 1, 1, 0, rows=b"\0\x40", extra=chunk(b"tRNS", struct.pack(">H", 0))))
    assert alpha_of(open_picture(tmp_path / "grey.png")).tolist() == [[255, 0]]
    assert alpha_of(open_picture(tmp_path / "color.png")).tolist() == [[0, 255]]
    assert alpha_of(open_picture(tmp_path / "deep.png")).tolist() == [[255, 0]]
    assert rgb_of(open_picture(tmp_path / "deep.png"))[..., 0].tolist() == [[1, 156]]
    assert alpha_of(open_picture(tmp_path / "bit.png")).tolist() == [[0, 255]]


# ---- EXIF orientation -------------------------------------------------------------------------------------------------------

ORIENTATION = 0x0112
UPRIGHT = {  # what a viewer does with stored pixels, EXIF 2.32 table 6
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "tiff", "jpg", "webp"])
def test_exif_orientation_is_applied_and_not_passed_on(
    tmp_path: Path, photos: dict[str, Pixels], suffix: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"turned.{suffix}"
    stored = photos["astronaut"][:96, :160]
    Image.fromarray(stored).save(path, exif=exif, **({"quality": 95} if suffix in LOSSY else {}))
    picture = open_picture(path)
    assert mean_error(rgb_of(picture), UPRIGHT[orientation](stored)) < (4 if suffix in LOSSY else 1e-9)
    save_picture(picture, tmp_path / f"out.{suffix}")
    with Image.open(tmp_path / f"out.{suffix}") as out:
        assert out.getexif().get(ORIENTATION, 1) == 1
        assert out.size == picture.rgb.size


def test_alpha_turns_with_the_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    stored = np.dstack([np.zeros((5, 7, 3), np.uint8), gradient_alpha(5, 7)])
    Image.fromarray(stored).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(alpha_of(open_picture(tmp_path / "turned.png")), np.rot90(stored[..., 3], -1))


def test_damaged_exif_leaves_the_picture_as_stored(tmp_path: Path, photos: dict[str, Pixels]) -> None:
    Image.fromarray(photos["cat"]).save(tmp_path / "in.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert np.array_equal(rgb_of(open_picture(tmp_path / "in.png")), photos["cat"])


# ---- colour profiles --------------------------------------------------------------------------------------------------------


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def icc(space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A version 2 ICC profile with the given tags (ICC.1:2001-04)."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249), **tags}
    table, data, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", offset + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s12s4s", offset + len(data), bytes(4), 0x02400000, b"mntr", space, pcs, bytes(12), b"acsp")
    header += bytes(128 - len(header) - 60) + fixed(0.9642, 1, 0.8249) + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + data


def gamma(exponent: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256)) + b"\0\0"


# sRGB's primaries adapted to D50 (IEC 61966-2-1, as in every sRGB profile).
RED, GREEN, BLUE = (0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)


def matrix_profile(*primaries: tuple[float, float, float]) -> bytes:
    columns = {name + b"XYZ": b"XYZ \0\0\0\0" + fixed(*xyz) for name, xyz in zip((b"r", b"g", b"b"), primaries, strict=True)}
    return icc(b"RGB ", b"XYZ ", columns | {name + b"TRC": gamma(2.2) for name in (b"r", b"g", b"b")})


@pytest.mark.parametrize("suffix", ["png", "tiff", "jpg", "webp"])
def test_color_profile_is_converted_to_srgb(tmp_path: Path, photos: dict[str, Pixels], suffix: str) -> None:
    """A profile whose red is sRGB's green and the other way round: the converted picture has them swapped."""
    path = tmp_path / f"swapped.{suffix}"
    image = Image.fromarray(photos["flower"])
    image.save(path, icc_profile=matrix_profile(GREEN, RED, BLUE), **({"quality": 95} if suffix in LOSSY else {}))
    # 2.2 is not quite sRGB's curve: most of the error is in the shadows.
    assert mean_error(rgb_of(open_picture(path)), photos["flower"][..., [1, 0, 2]]) < 4
    save_picture(open_picture(path), tmp_path / f"out.{suffix}")
    with Image.open(tmp_path / f"out.{suffix}") as out:
        assert "icc_profile" not in out.info


def test_srgb_profile_changes_nothing(tmp_path: Path, photos: dict[str, Pixels]) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(photos["flower"]).save(tmp_path / "in.png", icc_profile=profile)
    assert np.array_equal(rgb_of(open_picture(tmp_path / "in.png")), photos["flower"])


def test_grey_profile_is_converted(tmp_path: Path) -> None:
    """Linear grey: 0.5 becomes sRGB's 188."""
    profile = icc(b"GRAY", b"XYZ ", {b"kTRC": gamma(1.0)})
    Image.fromarray(np.array([[0, 128, 255]], np.uint8)).save(tmp_path / "linear.png", icc_profile=profile)
    values = rgb_of(open_picture(tmp_path / "linear.png")).astype(int)
    assert np.abs(values - np.array([0, 188, 255])[None, :, None]).max() <= 1


def test_palette_and_alpha_go_through_the_profile(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "in.png", icc_profile=matrix_profile(GREEN, RED, BLUE), transparency=bytes([255, 77]))
    picture = open_picture(tmp_path / "in.png")
    assert np.abs(rgb_of(picture).astype(int) - [[[0, 255, 0], [0, 0, 255]]]).max() <= 2
    assert alpha_of(picture).tolist() == [[255, 77]]


def test_cmyk_profile_is_used(tmp_path: Path) -> None:
    """A printer whose cyan, magenta and yellow are invisible: only black ink counts."""
    identity = bytes(range(256))
    lightness = b"".join(bytes([0 if corner & 1 else 255, 128, 128]) for corner in range(16))  # black varies fastest
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + 4 * identity + lightness + 3 * identity
    inks = np.zeros((1, 3, 4), np.uint8)
    inks[0, 1, :3], inks[0, 2, 3] = 255, 255
    image = Image.frombytes("CMYK", (3, 1), inks.tobytes())
    image.save(tmp_path / "ink.tiff", icc_profile=icc(b"CMYK", b"Lab ", {b"A2B0": table}))
    values = rgb_of(open_picture(tmp_path / "ink.tiff")).astype(int)
    assert np.abs(values - np.array([255, 255, 0])[None, :, None]).max() <= 2


@pytest.mark.parametrize("profile", [b"nonsense", bytes(200), icc(b"GRAY", b"XYZ ", {b"kTRC": gamma(1.0)})])
def test_broken_or_unsuitable_profile_is_ignored(tmp_path: Path, photos: dict[str, Pixels], profile: bytes) -> None:
    Image.fromarray(photos["cat"]).save(tmp_path / "in.png", icc_profile=profile)
    assert np.array_equal(rgb_of(open_picture(tmp_path / "in.png")), photos["cat"])


# ---- what is refused --------------------------------------------------------------------------------------------------------


def refusal(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        open_picture(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_missing_folder_empty_and_special_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    assert "no such file" in refusal(tmp_path / "missing.png")
    assert "is a folder" in refusal(tmp_path)
    assert "is empty" in refusal(tmp_path / "empty.png")
    assert "not a regular file" in refusal(tmp_path / "pipe.png")


def test_other_kinds_of_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("<html>not found</html>")
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    Image.new("RGB", (4, 4)).save(tmp_path / "picture.gif")
    assert "not a picture in JPEG, PNG" in refusal(tmp_path / "text.png")
    assert "is a video" in refusal(tmp_path / "clip.mp4")
    assert "is a GIF picture, which is not read here" in refusal(tmp_path / "picture.gif")
    Image.new("RGB", (16, 16), "red").save(tmp_path / "photo.jp2")
    assert "is a JPEG 2000 picture, which is not read here" in refusal(tmp_path / "photo.jp2")
    (tmp_path / "photo.cr3").write_bytes(b"\0\0\0\x18ftypcrx " + bytes(100))
    assert "is a raw Canon picture, which is not read here" in refusal(tmp_path / "photo.cr3")


def test_what_pillow_lacks_is_not_called_broken(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), "red").save(tmp_path / "a.bmp")
    data = bytearray((tmp_path / "a.bmp").read_bytes())
    data[30:34] = struct.pack("<I", 4)  # compression: JPEG
    (tmp_path / "a.bmp").write_bytes(data)
    assert "a BMP of a kind that is not read here" in refusal(tmp_path / "a.bmp")


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


def test_heic_without_its_extra_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert "HEIC pictures need the extra heif: pip install 'fastnst[heif]'" in refusal(tmp_path / "a.heic")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "bmp", "ppm"])
def test_truncated_pictures_are_refused(tmp_path: Path, photos: dict[str, Pixels], suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(photos["cat"]).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refusal(path)


@pytest.mark.parametrize("size", [(14_000, 14_000), (10_001, 10_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path, size: tuple[int, int]) -> None:
    """The file has no pixels at all, so that an attempt to decode it would end in another message."""
    (tmp_path / "bomb.png").write_bytes(png(*size, 8, 2, rows=b""))
    assert "more than 100 megapixels" in refusal(tmp_path / "bomb.png")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "bmp", "ppm"])
def test_damaged_bytes_give_a_picture_or_an_image_error(
    tmp_path: Path, photos: dict[str, Pixels], suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_PIXELS", 10**6)  # damage that only makes the picture large would take its time
    path = tmp_path / f"damaged.{suffix}"
    Image.fromarray(photos["cat"][:16, :16]).save(path)
    intact = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(intact)
        for position in rng.integers(0, len(damaged), rng.integers(1, 6)):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(ImageError):  # any other error fails the test
            open_picture(path)
            continue
        refused += 1
    assert 0 < refused < 150


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


# ---- writing ----------------------------------------------------------------------------------------------------------------


def test_output_is_hidden_until_complete_and_synced_before_it_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    sync, replace = os.fsync, Path.replace

    def watched_sync(descriptor: int) -> None:
        steps.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    def watched_replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    with atomic.atomic_output(tmp_path / "out.png") as file:
        file.write(b"content")
        (partial,) = tmp_path.iterdir()
        assert partial.name.startswith(".")
    assert steps == [partial.name, "rename", tmp_path.name]
    assert (tmp_path / "out.png").read_bytes() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_interrupted_output_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"old")

    def write_half() -> None:
        with atomic.atomic_output(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_outputs_are_image_errors(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    picture = Picture(Image.new("RGB", (2, 2)))
    with pytest.raises(ImageError, match="cannot be written: Not a directory"):
        save_picture(picture, tmp_path / "file" / "out.png")
    with pytest.raises(ImageError, match="cannot be written: No such file"):
        save_picture(picture, tmp_path / "missing" / "out.png")


def test_picture_too_large_for_the_format_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"wide\.webp: cannot be written"):
        save_picture(Picture(Image.new("RGB", (16_384, 1))), tmp_path / "wide.webp")
    assert list(tmp_path.iterdir()) == []


def test_longest_file_name(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".png")
    save_picture(Picture(Image.new("RGB", (2, 2), "lime")), path)
    assert np.array_equal(rgb_of(open_picture(path))[0, 0], (0, 255, 0))


def test_only_partial_files_of_dead_processes_of_this_machine_are_removed(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with atomic.atomic_output(tmp_path / "out.png"):
        (ours,) = tmp_path.iterdir()
        stale = tmp_path / ours.name.replace(f"-{os.getpid()}-", f"-{child.pid}-")
        elsewhere = tmp_path / f".fastnst-other.machine-{child.pid}-0.partial"
        users = tmp_path / "download.partial"
        for path in (stale, elsewhere, users):
            path.touch()
        atomic.remove_stale_partials(tmp_path)
        assert set(tmp_path.iterdir()) == {ours, elsewhere, users}
