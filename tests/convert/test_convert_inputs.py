"""What conversion reads: folders of calibration pictures, and files of weights, of which unfit ones are refused in one line."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from skimage import data
from torch import Tensor
from trained_pair import (
    SMALL,
    Trained,
)

from fastnst.convert import convert
from fastnst.convert.pair import load_pair
from fastnst.convert.pictures import LONGEST, PICTURES, SHORT_SIDE, STRIDE, calibration_pairs, read_picture

# --- calibration pictures ---------------------------------------------------------------------------------------------------


def test_pictures_are_cut_to_whole_strides() -> None:
    folder = Path(data.__file__).parent
    picture = read_picture(folder / "coffee.png")
    assert picture.dtype == torch.uint8
    assert min(picture.shape[2:]) == SHORT_SIDE
    assert all(side % STRIDE == 0 and side <= LONGEST for side in picture.shape[2:])


def test_content_and_style_folders_are_used(tmp_path: Path) -> None:
    for kind, colour in (("content", 10), ("style", 200)):
        (tmp_path / kind).mkdir()
        for i in range(2 if kind == "content" else 3):
            Image.new("RGB", (300, 260), (colour, i, 0)).save(tmp_path / kind / f"{i}.png")
    contents, styles = calibration_pairs(tmp_path)
    assert [int(p[0, 0, 0, 0]) for p in contents] == [10] * 3
    assert [int(p[0, 1, 0, 0]) for p in contents] == [0, 1, 0]
    assert [int(p[0, 1, 0, 0]) for p in styles] == [0, 1, 2]


def test_choice_is_even_and_limited(tmp_path: Path) -> None:
    for i in range(50):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i:02}.png")
    contents, styles = calibration_pairs(tmp_path)
    seen = [int(p[0, 0, 0, 0]) for p in contents]
    assert len(seen) == len(styles) == PICTURES
    assert seen == sorted(set(seen))
    assert seen[0] == 0
    assert seen[-1] >= 48
    assert all(not torch.equal(a, b) for a, b in zip(contents, styles, strict=True))


@pytest.mark.parametrize("kind", ["empty", "absent", "file", "broken picture"])
def test_folders_that_cannot_calibrate(source: Path, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "folder"
    if kind == "file":
        folder.write_bytes(b"")
    elif kind != "absent":
        folder.mkdir()
        if kind == "broken picture":
            (folder / "a.png").write_bytes(b"no picture")
    with pytest.raises((ValueError, OSError), match="folder"):
        convert(source, folder, tmp_path / "out.fnst")
    assert not (tmp_path / "out.fnst").exists()


# --- weights that are refused -----------------------------------------------------------------------------------------------


def spoil(tensors: dict[str, Tensor], how: str) -> dict[str, Tensor]:
    name = "decoder.conv2_1.weight"
    if how == "missing":
        del tensors[name]
    elif how == "first missing":
        del tensors["encoder.conv1_1.weight"]
    elif how == "extra":
        tensors["decoder.conv5_1.weight"] = torch.zeros(1)
    elif how == "nan":
        tensors[name][0, 0, 0, 0] = torch.nan
    elif how == "infinite":
        tensors["encoder.conv0.bias"][0] = torch.inf
    elif how == "shape":
        tensors[name] = tensors[name][:, 1:].contiguous()
    elif how == "flat":
        tensors["encoder.conv1_2.weight"] = tensors["encoder.conv1_2.weight"].flatten()
    elif how == "checkpoint":
        tensors = {f"model.{key}": value for key, value in tensors.items()}
    return tensors


@pytest.mark.parametrize("how", ["missing", "first missing", "extra", "nan", "infinite", "shape", "flat", "checkpoint"])
def test_tensors_that_are_no_pair(trained: Trained, tmp_path: Path, how: str) -> None:
    path = tmp_path / "bad.safetensors"
    save_file(spoil(trained.tensors(), how), path)
    with pytest.raises(ValueError, match=r"bad\.safetensors") as caught:
        load_pair(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", ["pickle", "empty", "cut", "html"])
def test_files_that_are_no_safetensors(source: Path, tmp_path: Path, how: str) -> None:
    path = tmp_path / "bad.safetensors"
    if how == "pickle":
        path.write_bytes(pickle.dumps({"encoder.conv0.weight": 1}))
    else:
        path.write_bytes({"empty": b"", "cut": source.read_bytes()[:5000], "html": b"<html>" * 100}[how])
    with pytest.raises(ValueError, match=r"bad\.safetensors") as caught:
        load_pair(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.safetensors"):
        load_pair(tmp_path / "gone.safetensors")


def test_half_precision_weights_are_read(trained: Trained, tmp_path: Path) -> None:
    save_file({name: value.half() for name, value in trained.tensors().items()}, tmp_path / "half.safetensors")
    assert load_pair(tmp_path / "half.safetensors").encoder[0].weight.dtype == torch.float64


def test_channels_may_be_missing_on_either_side(source: Path, tmp_path: Path) -> None:
    """As they are once dead ones are removed; but not where encoder and decoder meet."""
    tensors = load_file(source)
    for name in ("decoder.conv2_2.weight", "decoder.conv2_2.bias"):
        tensors[name] = tensors[name][:5].contiguous()
    tensors["decoder.conv2_1.weight"] = tensors["decoder.conv2_1.weight"][:, :5].contiguous()
    save_file(tensors, tmp_path / "cut.safetensors")
    pair = load_pair(tmp_path / "cut.safetensors")
    assert pair.widths == list(SMALL)
    assert [conv.weight.shape[1] for conv in pair.decoder][-4:] == [5, SMALL[1], SMALL[0], 3]
    tensors["decoder.conv4_1.weight"] = tensors["decoder.conv4_1.weight"][:, :5].contiguous()
    save_file(tensors, tmp_path / "torn.safetensors")
    with pytest.raises(ValueError, match=r"decoder.conv4_1.weight has shape \[11, 5, 3, 3\], expected \[11, 16, 3, 3\]"):
        load_pair(tmp_path / "torn.safetensors")


def test_reading_leaves_the_trained_file_as_it_was(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    shutil.copy(source, copy)
    load_pair(copy)
    assert copy.read_bytes() == source.read_bytes()
