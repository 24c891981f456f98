"""``fastnst evaluate --video``: the warping error of each model and of the clip itself, in words, in JSON and on the page."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import skimage.data
import torch
from clips import write_y4m
from PIL import Image

from fastnst import cli
from fastnst.evaluate import timing
from fastnst.evaluate.clips import FRAMES, read_frames
from fastnst.images import ImageError


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "ROUNDS", 2)
        patch.setattr(timing, "SAMPLE_SECONDS", 0.0)
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind, picture in (("photos", skimage.data.chelsea()), ("paintings", skimage.data.coffee())):
        (tmp_path / kind).mkdir()
        Image.fromarray(picture[:64, :72]).save(tmp_path / kind / "one.png")
    photo = skimage.data.astronaut()
    write_y4m(tmp_path / "clip.y4m", [photo[40 : 40 + 72, 60 + 2 * i : 60 + 2 * i + 100].copy() for i in range(3)])
    return tmp_path


def test_models_are_compared_on_a_clip(folder: Path, model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = ["--content", str(folder / "photos"), "--style", str(folder / "paintings"), "--size", "32", "--threads", "1"]
    command = ["evaluate", f"one={model_path}", "-o", str(folder / "out"), *pairs, "--video", str(folder / "clip.y4m")]
    assert cli.main(command) == 0
    line, _ = capsys.readouterr().out.splitlines()
    data = json.loads((folder / "out" / "evaluation.json").read_text())
    errors = data["warping_errors"]
    assert data["clip"] == "clip.y4m"
    assert errors.keys() == {"untouched", "one"}
    assert 0 < errors["untouched"] < errors["one"]  # the model has random weights
    assert f"warping error {errors['one']:.6f}" in line
    page = (folder / "out" / "evaluation.md").read_text()
    assert f"| one | {errors['one']:.6f} | {errors['one'] / errors['untouched']:.2f} |" in page
    assert cli.main([*command, "--json", "--overwrite"]) == 0
    assert json.loads(capsys.readouterr().out)["warping_error"] == errors["one"]


def test_the_extra_is_named_where_a_package_is_missing(
    folder: Path, model_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skimage.registration", None)
    pairs = ["--content", str(folder / "photos"), "--style", str(folder / "paintings")]
    assert cli.main(["evaluate", str(model_path), "-o", str(folder / "out"), *pairs, "--video", "clip.y4m"]) == 1
    assert capsys.readouterr().err.endswith("needs skimage.registration: pip install 'fastnst[evaluate]'\n")
    assert not (folder / "out").exists()


def test_frames_are_the_first_ones_at_sides_that_models_keep(tmp_path: Path) -> None:
    photo = skimage.data.astronaut()
    clip = write_y4m(tmp_path / "long.y4m", [photo[:300, :400] for _ in range(FRAMES + 3)])
    frames = read_frames(clip)
    assert len(frames) == FRAMES
    assert {frame.shape for frame in frames} == {(256, 336, 3)}  # 256 x 341, cut to multiples of 8


def test_a_single_frame_is_no_clip(tmp_path: Path) -> None:
    clip = write_y4m(tmp_path / "one.y4m", [skimage.data.astronaut()[:64, :64]])
    with pytest.raises(ValueError, match=r"one.y4m: two frames or more are needed"):
        read_frames(clip)
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(ImageError, match=r"text.mp4"):
        read_frames(tmp_path / "text.mp4")
