"""Transparency of every kind of picture file is split off from the colours, and written where the format has it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from picture_files import LOSSY, Pixels, alpha_of, chunk, gradient_alpha, mean_error, png, rgb_of
from PIL import Image

from fastnst.images import Picture, open_picture, save_picture

ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]  # ISO 15948, 8.2


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
