"""Pictures in rows: the pixels that Pillow sees, files that Pillow reads, and one line for what is broken."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from row_pictures import Samples, check_as_whole, lab_like_profile, opened, read_all, smooth

from fastnst.images import ImageError, Saving
from fastnst.pictures.streams import open_rows, open_writer
from fastnst.pictures.tiff_codecs import directory

MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm", ".pam"])
@pytest.mark.parametrize("profile", [False, True])
def test_rows_are_those_of_the_whole_picture_and_of_pillow(tmp_path: Path, mode: str, suffix: str, profile: bool) -> None:
    if (suffix == ".ppm" and "A" in mode) or (suffix in (".ppm", ".pam") and profile) or (suffix == ".pam" and "L" in mode):
        pytest.skip("not what is written in this format")
    path = tmp_path / f"picture{suffix}"
    options = {"icc_profile": lab_like_profile()} if profile else {}
    image = Image.fromarray(smooth(103, 151, 4)).convert(mode)
    image.save(path, **options)
    check_as_whole(path)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def filtered(rows: Samples, pixel: int) -> bytes:
    """Each row by another one of PNG's filters, as its specification says."""
    height, length = rows.shape
    padded = np.zeros((height + 1, length + pixel), int)
    padded[1:, pixel:] = rows
    out = b""
    for y in range(height):
        line = []
        for i in range(length):
            value, a = padded[y + 1, i + pixel], padded[y + 1, i]
            b, c = padded[y, i + pixel], padded[y, i]
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            line.append((value - (0, a, b, (a + b) // 2, paeth)[y % 5]) % 256)
        out += bytes([y % 5, *line])
    return out


def png(pixels: Samples, *extra: bytes, data: bytes | None = None) -> bytes:
    height, width, channels = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    packed = zlib.compress(filtered(pixels.reshape(height, -1), channels)) if data is None else data
    parts = [chunk(b"IDAT", packed[i : i + 50]) for i in range(0, len(packed), 50)]
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head), *extra, *parts, chunk(b"IEND", b"")])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_filter_of_png(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "all.png"
    path.write_bytes(png(smooth(64, 21, channels)))
    check_as_whole(path)


def test_what_is_not_upright_or_not_in_rows_is_decoded_whole(tmp_path: Path) -> None:
    image = Image.fromarray(smooth(20, 30, 4))
    turned = Image.Exif()
    turned[0x0112] = 6
    odd = {
        "turned.png": (image, {"exif": turned.tobytes()}),
        "turned.tif": (image, {"exif": turned}),
        "photo.jpg": (image.convert("RGB"), {}),
    }
    for name, (picture, options) in odd.items():
        picture.save(tmp_path / name, **options)
        assert open_rows(tmp_path / name) is None, name
    rows = {
        "palette.png": (image.convert("P"), {}),
        "packed.tif": (image, {"compression": "tiff_lzw"}),
        "deep.png": (Image.fromarray(np.zeros((4, 4), np.uint16)), {}),
    }
    for name, (picture, options) in rows.items():
        picture.save(tmp_path / name, **options)
        check_as_whole(tmp_path / name)
    upright = Image.Exif()
    upright[0x0112] = 1
    image.save(tmp_path / "upright.png", exif=upright.tobytes())
    check_as_whole(tmp_path / "upright.png")


@pytest.mark.parametrize("big", [False, True])
def test_tiled_tiff(tmp_path: Path, big: bool) -> None:
    pixels, tile = smooth(70, 90, 3), (32, 48)
    across, down = -(-90 // 48), -(-70 // 32)
    blocks = np.zeros((down * 32, across * 48, 3), np.uint8)
    blocks[:70, :90] = pixels
    data = [blocks[y : y + 32, x : x + 48].tobytes() for y in range(0, down * 32, 32) for x in range(0, across * 48, 48)]
    tags = {256: [90], 257: [70], 258: [8, 8, 8], 259: [1], 262: [2], 277: [3], 284: [1], 322: [tile[1]], 323: [tile[0]]}
    tags |= {324: [0] * len(data), 325: [len(data[0])] * len(data)}
    start = len(directory(tags, big))
    tags[324] = [start + index * len(data[0]) for index in range(len(data))]
    path = tmp_path / "tiled.tif"
    path.write_bytes(directory(tags, big) + b"".join(data))
    check_as_whole(path)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm", ".pam"])
@pytest.mark.parametrize("alpha", [False, True])
def test_what_is_written_in_rows_reads_back(tmp_path: Path, suffix: str, alpha: bool) -> None:
    pixels, path = smooth(203, 157, 4 if alpha else 3), tmp_path / f"out{suffix}"
    with path.open("wb") as file:
        writer = open_writer(Saving.by(path.suffix), file, (203, 157), alpha, 3)
        for top in range(0, 203, 60):
            writer.write(pixels[top : top + 60, :, : 4 if writer.holds_alpha else 3])
        writer.finish()
    with opened(path) as rows:
        assert rows.alpha == writer.holds_alpha == (alpha and suffix != ".ppm")
        np.testing.assert_array_equal(read_all(rows, 61), pixels[..., :3])
    image = np.asarray(Image.open(path))
    np.testing.assert_array_equal(image, pixels[..., : image.shape[2]])


def test_a_tiff_beyond_four_gigabytes_is_a_bigtiff(tmp_path: Path) -> None:
    """The offsets alone, of a file with a hole where its pixels would be."""
    path = tmp_path / "huge.tif"
    with path.open("wb") as file:
        open_writer(Saving.by(path.suffix), file, (40_000, 40_000), False, 1)
        start = file.tell()
        file.truncate(start + 3 * 40_000**2)
    with path.open("r+b") as file:
        file.seek(start + 3 * (39_999 * 40_000 + 39_999))
        file.write(b"\x01\x02\x03")
    last = np.empty((1, 40_000, 3), np.uint8)
    with opened(path) as rows:
        assert (rows.height, rows.width) == (40_000, 40_000)
        rows.read(39_999, last)
    assert last[0, -1].tolist() == [1, 2, 3] and not last[0, :-1].any()


def read_file(path: Path) -> None:
    with opened(path) as rows:
        if rows.height * rows.width < 10**6:
            read_all(rows, 10)


def test_broken_files_are_one_line(tmp_path: Path) -> None:
    pixels = smooth(64, 21, 3)
    whole, flat = png(pixels), filtered(pixels.reshape(64, -1), 3)
    crc = bytearray(whole)
    crc[whole.index(b"IDAT") + 54] ^= 1
    wrong = zlib.compress(bytes([7]) + flat[1:])
    broken = {
        "cut.png": (whole[: len(whole) // 2], "cut short"),
        "short.png": (png(pixels, data=zlib.compress(flat[:-9])), "cut short"),
        "crc.png": (bytes(crc), "checksum"),
        "filter.png": (png(pixels, data=wrong), "unknown filter"),
        "noise.png": (png(pixels, data=b"\x78\x9c" + b"\xff" * 60), "broken picture"),
        "cut.ppm": (b"P6 5 5 255\n" + b"1" * 74, "cut short"),
        "zero.ppm": (b"P6 0 5 255\n", "not the size of a picture"),
        "deep.pam": (b"P7\nWIDTH 2\nHEIGHT 2\nDEPTH 3\nMAXVAL 65535\nENDHDR\n" + b"1" * 24, "maximum of 255"),
        "endless.pam": (b"P7\nWIDTH 2\nHEIGHT 2\n" + b"# more\n" * 900, "end of the header"),
    }
    for name, (data, says) in broken.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError, match=says) as caught:
            read_file(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


def test_hostile_tiffs_are_refused_or_read_and_nothing_else(tmp_path: Path) -> None:
    """Every number of the header at its limits."""
    path = tmp_path / "hostile.tif"
    Image.fromarray(smooth(20, 30, 3)).save(path)
    good = path.read_bytes()
    start = struct.unpack("<I", good[4:8])[0]
    for place in range(start, min(start + 160, len(good) - 4), 2):
        for value in (0, 1, 2**31, 2**32 - 1):
            path.write_bytes(good[:place] + struct.pack("<I", value) + good[place + 4 :])
            with suppress(ImageError, AssertionError):  # the latter: left to Pillow
                read_file(path)


def test_an_offset_beyond_any_file_is_one_line(tmp_path: Path) -> None:
    """Which seek() refuses by another exception."""
    pixels = smooth(20, 30, 3)
    tags = {256: [30], 257: [20], 258: [8, 8, 8], 259: [1], 262: [2], 273: [2**63 + 1], 277: [3], 278: [20], 279: [1800]}
    path = tmp_path / "far.tif"
    path.write_bytes(directory(tags, True) + pixels.tobytes())
    with pytest.raises(ImageError, match=r"far.tif: broken picture: the file is cut short"):
        read_file(path)
