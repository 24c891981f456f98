"""Files that are no picture, damaged, too large or of a kind that is not read are refused in one line."""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from picture_files import Pixels, png, refusal
from PIL import Image

from fastnst.images import ImageError, open_picture
from fastnst.pictures import picture as limits


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
    assert "not a picture in AVIF, BMP" in refusal(tmp_path / "text.png")
    assert "is a video" in refusal(tmp_path / "clip.mp4")
    assert "is a GIF picture, which is not read here" in refusal(tmp_path / "picture.gif")
    Image.new("RGB", (16, 16), "red").save(tmp_path / "photo.jp2")
    assert "is a JPEG 2000 picture, which is not read here" in refusal(tmp_path / "photo.jp2")
    (tmp_path / "photo.cr3").write_bytes(b"\0\0\0\x18ftypcrx " + bytes(100))
    assert "is a raw Canon picture, which is not read here" in refusal(tmp_path / "photo.cr3")


@pytest.mark.parametrize("length", range(1, 12))
def test_a_file_that_is_shorter_than_any_head_is_no_picture(tmp_path: Path, length: int) -> None:
    (tmp_path / "short.jpg").write_bytes(b"x" * length)
    assert "not a picture in AVIF, BMP" in refusal(tmp_path / "short.jpg")


def test_what_pillow_lacks_is_not_called_broken(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), "red").save(tmp_path / "a.bmp")
    data = bytearray((tmp_path / "a.bmp").read_bytes())
    data[30:34] = struct.pack("<I", 4)  # compression: JPEG
    (tmp_path / "a.bmp").write_bytes(data)
    assert "a BMP of a kind that is not read here" in refusal(tmp_path / "a.bmp")


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
