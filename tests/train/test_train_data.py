"""Training pictures: what stylizing reads is read alike, and what cannot be read is named, counted and left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from fastnst.images import ImageError, open_picture
from fastnst.train.crd.domains import resized
from fastnst.train.crd.settings import CrdSettings
from fastnst.train.crd.translation import Pictures
from fastnst.train.data import CropSource, opened, picture_files

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
EXIF_ORIENTATION = 0x0112


def save(path: Path, pixels: NDArray[np.uint8] = NOISE, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)  # type: ignore[arg-type]
    return path


def spoil(folder: Path) -> None:
    """Three pictures that cannot be read, of three kinds."""
    (folder / "b-cut.png").write_bytes(save(folder / "whole.png").read_bytes()[:500])
    (folder / "whole.png").unlink()
    (folder / "c-empty.jpg").touch()
    (folder / "d-folder.png").mkdir()


def test_broken_pictures_are_named_counted_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "e.png"):
        save(tmp_path / name)
    whole = CropSource(tmp_path, 16, (1.0, 1.0), 3)
    spoil(tmp_path)
    source = CropSource(tmp_path, 16, (1.0, 1.0), 3)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[:2] for line in lines[:-1]] == [
        ["warning", str(tmp_path / name)] for name in ("b-cut.png", "c-empty.jpg", "d-folder.png")
    ]
    assert all(line.endswith("; skipped") for line in lines[:-1])
    assert lines[-1] == f"warning: {tmp_path}: 3 of 5 pictures skipped"
    assert torch.equal(source.batch(range(8)), whole.batch(range(8)))


def test_other_processes_leave_the_warnings_to_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "a.png")
    spoil(tmp_path)
    monkeypatch.setenv("RANK", "1")
    CropSource(tmp_path, 16, (1.0, 1.0))
    assert capsys.readouterr().err == ""


def test_a_folder_without_any_picture_that_can_be_read_is_refused(tmp_path: Path) -> None:
    spoil(tmp_path)
    with pytest.raises(ImageError, match=r"b-cut.png: .*; none of the 3 pictures in .* can be read"):
        CropSource(tmp_path, 16, (1.0, 1.0))
    with pytest.raises(FileNotFoundError, match="absent: no such folder"):
        CropSource(tmp_path / "absent", 16, (1.0, 1.0))
    (tmp_path / "none").mkdir()
    with pytest.raises(FileNotFoundError, match="none: no pictures"):
        picture_files(tmp_path / "none")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright_as_in_stylizing(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    path = save(tmp_path / "turned.png", exif=exif)
    upright = np.asarray(open_picture(path).rgb)
    assert upright.shape == ((40, 60, 3) if orientation < 5 else (60, 40, 3))
    assert np.array_equal(np.asarray(opened(path)), upright)
    assert (orientation == 1) == np.array_equal(upright, NOISE)


def test_what_is_transparent_is_white_as_styles_are(tmp_path: Path) -> None:
    alpha = np.where(np.arange(60) < 30, 0, 255).astype(np.uint8)
    path = save(tmp_path / "clear.png", np.dstack([NOISE, np.broadcast_to(alpha, (40, 60))]))
    seen = np.asarray(opened(path))
    assert np.array_equal(seen, np.asarray(open_picture(path).flattened()))
    assert (seen[:, :30] == 255).all() and np.array_equal(seen[:, 30:], NOISE[:, 30:])


@pytest.mark.parametrize("suffix", ["tif", "bmp", "ppm", "jpeg", "webp"])
def test_every_kind_that_stylizing_reads_is_trained_on(suffix: str, tmp_path: Path) -> None:
    save(tmp_path / f"picture.{suffix}")
    assert CropSource(tmp_path, 16, (1.0, 1.0)).crop(0).shape == (3, 16, 16)


def test_deep_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20), 0x8000, np.uint16)).save(tmp_path / "deep.png")
    assert (CropSource(tmp_path, 16, (1.0, 1.0)).crop(0) == 128).all()


@pytest.mark.parametrize("paired", [False, True])
def test_pictures_of_domains_likewise(paired: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ["train"] if paired else ["trainA", "trainB"]
    for folder in folders:
        for i in range(4):
            save(tmp_path / folder / f"{i}.png")
        spoil(tmp_path / folder)
    task = "paired" if paired else "unpaired"
    pictures = Pictures(tmp_path, CrdSettings(task=task, pictures="x", size=16, held_out=0, select="last"))
    assert len(pictures) == 4
    batch = pictures.batch(range(9), torch.device("cpu"))
    assert {name: tuple(each.shape) for name, each in batch.items()} == {"A": (9, 3, 16, 16), "B": (9, 3, 16, 16)}
    assert capsys.readouterr().err.count("3 of 7 pictures skipped") == len(folders)


def test_a_pair_too_narrow_to_be_halved_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [save(tmp_path / "narrow.png", NOISE[:, :1]), save(tmp_path / "pair.png")]
    assert resized(paths, 16, paired=True).shape == (1, 6, 16, 16)
    assert str(paths[0]) in capsys.readouterr().err
