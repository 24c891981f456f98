"""Masks that move with a video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import moving_square, read_y4m, write_y4m
from PIL import Image

from fastnst import Stylizer, cli


@pytest.fixture
def work(work: Path) -> Path:
    """With eight equal pictures with numbers from 3 on, and masks: a white bar that moves."""
    (still,) = moving_square(1)
    (work / "masks").mkdir()
    bars = []
    for index in range(8):
        Image.fromarray(still).save(work / f"in_{index + 3}.png")
        bar = np.zeros((24, 32), np.uint8)
        bar[:, 4 * index : 4 * index + 8] = 255
        bars.append(np.repeat(bar[..., None], 3, 2))
        Image.fromarray(bar).save(work / "masks" / f"bar{index + 98}.png")  # 98, 99, 100: no order of letters
    write_y4m(work / "masks.y4m", bars)
    return work


def run(output: str, *more: str) -> int:
    command = ["stylize", "in_%d.png", *more, "-o", output, "--model", "model.fnst", "--quiet", "--overwrite"]
    return cli.main(command)


def made(pattern: str, count: int = 8) -> list[np.ndarray]:
    return [np.asarray(Image.open(pattern % (index + 3))) for index in range(count)]


@pytest.mark.parametrize("masks", ["masks", "masks/bar%d.png", "masks.y4m"])
def test_each_frame_has_its_own_mask(work: Path, masks: str) -> None:
    """Though all frames are equal."""
    assert run("out_%d.png", "--region", f"{masks}=style.png") == 0
    stylizer = Stylizer(work / "model.fnst")
    style = stylizer.encode_style(np.asarray(Image.open("style.png")))
    if masks == "masks.y4m":
        bars = [np.asarray(Image.fromarray(picture).convert("L")) for picture in read_y4m(work / masks)[1]]
    else:
        bars = [np.asarray(Image.open(work / "masks" / f"bar{index + 98}.png")) for index in range(8)]
    for index, picture in enumerate(made("out_%d.png")):
        content = np.asarray(Image.open(f"in_{index + 3}.png"))
        assert np.array_equal(picture, stylizer(content, regions=[(bars[index], style)]))


def test_a_part_of_the_video_takes_its_masks(work: Path) -> None:
    assert run("all_%d.png", "style.png", "--alpha-map", "masks") == 0
    assert run("part_%d.png", "style.png", "--alpha-map", "masks", "--start", "0.12") == 0
    for whole, part in zip(made("all_%d.png")[3:], made("part_%d.png", 5), strict=True):
        assert np.array_equal(whole, part)
    assert not np.array_equal(*made("all_%d.png", 2))
    assert not (work / "part_8.png").exists()


def test_the_output_ends_with_the_masks(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (104, 105):
        (work / "masks" / f"bar{number}.png").unlink()
    assert run("out_%d.png", "style.png", "--alpha-map", "masks") == 0
    wanted = "fastnst: warning: masks: holds 6 masks, and in_%d.png more frames: the output ends there\n"
    assert capsys.readouterr().err == wanted
    assert sorted(path.name for path in work.glob("out_*")) == [f"out_{number}.png" for number in range(3, 9)]


@pytest.mark.usefixtures("work")
def test_what_cannot_be_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*more: str) -> str:
        assert run("out_%d.png", *more) == 1
        assert not list(Path().glob("out_*"))
        (line,) = capsys.readouterr().err.splitlines()
        return line.removeprefix("fastnst: error: ")

    alone = ["stylize", "in_3.png", "--region", "masks.y4m=style.png", "-o", "one.png", "--model", "model.fnst"]
    assert cli.main(alone) == 1
    assert capsys.readouterr().err.endswith("masks.y4m holds a mask for each frame, which is for videos alone\n")
    Path("broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(30))
    assert refused("--region", "broken.mp4=style.png").startswith("broken.mp4: ")
    assert "regions have their own" in refused("--region", "masks=style.png", "--smooth", "0.5")
    Path("masks/bar101.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert refused("--region", "masks=style.png").startswith("masks/bar101.png: ")
    Path("masks/bar101.png").unlink()
    assert refused("--region", "masks=style.png") == "masks: number 101 is missing between 98 and 105"
    Path("masks/bar101.png").write_bytes(Path("masks/bar99.png").read_bytes())
    Path("masks/other99.png").write_bytes(Path("masks/bar99.png").read_bytes())
    assert refused("--region", "masks=style.png") == "masks/other99.png: has the number of bar99.png"
    Path("empty").mkdir()
    assert refused("--region", "empty=style.png") == "empty: holds no picture"
