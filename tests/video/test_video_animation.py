"""Videos that become pictures that move."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import moving_square, write_clip
from numpy.typing import NDArray
from PIL import Image

from fastnst import Stylizer, cli
from fastnst.video import is_video

pytest.importorskip("av", reason="PyAV reads and writes these: pip install 'fastnst[video]'")

TIMES = [9000 * index for index in range(7)]  # ten frames a second, which all formats can say


@pytest.fixture
def work(work: Path) -> Path:
    """With ``clip.mkv``, which has sound, too."""
    write_clip(work / "clip.mkv", moving_square(7, 49, 65)[:7], sound="aac", times=TIMES, pixels="yuv444p")
    return work


def run(content: str, *arguments: str) -> int:
    return cli.main(["stylize", content, "style.png", *arguments, "--model", "model.fnst", "--smooth", "0", "--quiet"])


def shown(path: Path) -> list[tuple[NDArray[np.uint8], int]]:
    """Each picture, and for how many milliseconds it is shown."""
    found = []
    with Image.open(path) as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            picture = np.asarray(image.convert("RGB"))
            found.append((picture, round(image.info.get("duration", 0))))
    return found


def psnr(a: Any, b: Any) -> float:
    return float(10 * np.log10(255**2 / np.mean((np.asarray(a, float) - b) ** 2)))


@pytest.mark.parametrize(("suffix", "least"), [(".gif", 18), (".webp", 22), (".apng", 36)])
def test_every_frame_is_there_for_its_time(work: Path, suffix: str, least: float) -> None:
    assert run("clip.mkv", "-o", f"out{suffix}", "--palette", "0") == 0
    found = shown(work / f"out{suffix}")
    assert [milliseconds for _, milliseconds in found][:-1] == [100] * 6
    assert {picture.shape for picture, _ in found} == {(49, 65, 3)}
    stylizer = Stylizer(work / "model.fnst")
    style = stylizer.encode_style(np.asarray(Image.open(work / "style.png")))
    import av

    with av.open(str(work / "clip.mkv")) as clip:
        pictures = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    assert (
        np.mean([psnr(picture, stylizer(each, style, palette=0)) for (picture, _), each in zip(found, pictures, strict=True)])
        > least
    )


@pytest.mark.usefixtures("work")
def test_sound_is_named_as_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["stylize", "clip.mkv", "style.png", "-o", "out.gif", "--model", "model.fnst", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["frames"] == 7
    assert "audio" in report["left_out"]


def test_an_animation_becomes_one_and_a_picture_where_a_picture_is_asked_for(work: Path) -> None:
    pictures = [Image.fromarray(picture) for picture in moving_square(3)]
    pictures[0].save(work / "a.gif", save_all=True, append_images=pictures[1:], duration=50)
    assert run("a.gif", "-o", "moving.webp") == 0
    assert len(shown(work / "moving.webp")) == 3
    pictures[0].save(work / "a.png", save_all=True, append_images=pictures[1:], duration=50)
    assert run("a.png", "-o", "moving.apng") == 0
    assert len(shown(work / "moving.apng")) == 3
    assert run("a.png", "-o", "still.png") == 0
    assert len(shown(work / "still.png")) == 1
    pictures[0].save(work / "photo.jpg")
    assert not is_video(work / "photo.jpg", Path("out.webp"))
    assert run("photo.jpg", "-o", "photo.webp") == 0
    assert len(shown(work / "photo.webp")) == 1


def test_a_killed_run_goes_on_with_the_same_pictures(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastnst.video import segments
    from fastnst.video.frames import VideoError

    monkeypatch.setattr(segments, "SEGMENT", 2)
    monkeypatch.setattr(segments.SegmentedTarget, "interval", 2)
    assert run("clip.mkv", "-o", "wanted.apng") == 0
    write = segments.SegmentedTarget.write

    def stop(target: segments.SegmentedTarget, frame: Any) -> None:
        if target.done == 5:
            raise VideoError("stopped")
        write(target, frame)

    monkeypatch.setattr(segments.SegmentedTarget, "write", stop)
    assert run("clip.mkv", "-o", "out.apng") == 1
    assert not (work / "out.apng").exists()
    monkeypatch.setattr(segments.SegmentedTarget, "write", write)
    assert run("clip.mkv", "-o", "out.apng") == 0
    assert (work / "out.apng").read_bytes() == (work / "wanted.apng").read_bytes()


@pytest.mark.parametrize(
    ("suffix", "quality", "said"),
    [
        (".gif", "5", "out.gif: GIF has no quality to choose"),
        (".webp", "101", "out.webp: the quality of WebP is at most 100, not 101"),
    ],
)
def test_a_quality_that_there_is_not(
    work: Path, capsys: pytest.CaptureFixture[str], suffix: str, quality: str, said: str
) -> None:
    assert run("clip.mkv", "-o", f"out{suffix}", "--video-quality", quality) == 1
    assert capsys.readouterr().err == f"fastnst: error: {said}\n"
    assert not (work / f"out{suffix}").exists()
