"""Large compressed pictures in rows by libvips: the pixels that Pillow sees."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from row_pictures import check_as_whole, lab_like_profile, smooth

from fastnst import cli
from fastnst.images import ImageError
from fastnst.jobs import pictures as jobs
from fastnst.pictures import picture as limits
from fastnst.pictures import vips
from fastnst.pictures.streams import open_rows

pyvips = pytest.importorskip("pyvips", reason="reads these: pip install 'fastnst[big]'")


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vips, "MIN_PIXELS", 1)


@pytest.mark.parametrize(
    "options", [{"quality": 95}, {"quality": 60, "subsampling": 0}, {"subsampling": 1, "restart_marker_rows": 2}]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg(tmp_path: Path, channels: int, options: dict[str, Any]) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(smooth(203, 301, channels).squeeze()).save(path, **options)
    check_as_whole(path)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", "jpeg"])
def test_compressed_tiff_of_one_strip(tmp_path: Path, compression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which our own reader would hold whole."""
    monkeypatch.setattr("fastnst.pictures.streams._MOST_HELD", 0)
    path = tmp_path / "a.tif"
    Image.fromarray(smooth(203, 301, 3)).save(path, compression=compression)
    check_as_whole(path)


def test_colour_profiles(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(smooth(90, 120, 3)).save(path, icc_profile=lab_like_profile())
    check_as_whole(path)


def test_what_has_to_be_decoded_whole_is_left_to_pillow(tmp_path: Path) -> None:
    picture = Image.fromarray(smooth(40, 60, 3))
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=turned)
    picture.save(tmp_path / "progressive.jpg", progressive=True)
    picture.convert("CMYK").save(tmp_path / "cmyk.jpg")
    picture.save(tmp_path / "a.webp")
    for path in tmp_path.iterdir():
        assert open_rows(path) is None, path


def test_small_pictures_are_left_to_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(smooth(40, 60, 3)).save(tmp_path / "a.jpg")
    monkeypatch.setattr(vips, "MIN_PIXELS", 2401)
    assert open_rows(tmp_path / "a.jpg") is None


def test_a_damaged_picture_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    Image.fromarray(smooth(200, 300, 3)).save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    rows = open_rows(path)
    assert rows is not None
    with closing(rows), pytest.raises(ImageError, match=r"cut.jpg: broken picture: ") as caught:
        rows.read(0, np.empty((200, 300, 3), np.uint8))
    assert "\n" not in str(caught.value)


def test_more_than_pillow_may_decode(tmp_path: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With tiles and without a word about megapixels, also where there is memory for all of it."""
    for name, side in (("content", 150), ("style", 60)):
        Image.fromarray(smooth(side, side + 7, 3)).save(tmp_path / f"{name}.jpg")
    arguments = [
        "stylize",
        *(str(tmp_path / f"{name}.jpg") for name in ("content", "style")),
        "--model",
        str(model_path),
        "--quiet",
    ]
    assert cli.main([*arguments, "-o", str(tmp_path / "whole.png")]) == 0
    for module in (limits, jobs):
        monkeypatch.setattr(module, "MAX_PIXELS", 150 * 157 - 1)
    assert cli.main([*arguments, "-o", str(tmp_path / "tiles.png"), "--max-memory", "1T"]) == 0
    assert np.array_equal(*(np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("whole", "tiles")))
