"""Videos as pictures with numbers, and sound from another file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import frames, moving_square, packets, write_clip, write_y4m
from PIL import Image

from fastnst import Stylizer, cli


@pytest.fixture
def work(work: Path) -> Path:
    """With eight pictures with numbers from 7 on, too."""
    for number, picture in enumerate(moving_square(8, 49, 65), 7):
        Image.fromarray(picture).save(work / f"frame_{number:04}.png")
    return work


def run(content: str, *arguments: str) -> int:
    return cli.main(["stylize", content, "style.png", *arguments, "--model", "model.fnst", "--smooth", "0", "--quiet"])


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("fastnst: error: ")


def test_each_picture_is_what_it_becomes_alone(work: Path) -> None:
    assert run("frame_%04d.png", "-o", "out_%d.png") == 0
    stylizer = Stylizer(work / "model.fnst")
    style = stylizer.encode_style(np.asarray(Image.open("style.png")))
    assert sorted(path.name for path in work.glob("out_*")) == sorted(f"out_{number}.png" for number in range(7, 15))
    for number in range(7, 15):
        wanted = stylizer(np.asarray(Image.open(f"frame_{number:04}.png")), style)
        assert np.array_equal(np.asarray(Image.open(f"out_{number}.png")), wanted)


def test_smoothing_follows_the_pictures(work: Path) -> None:
    command = ["stylize", "frame_%04d.png", "style.png", "--model", "model.fnst", "--quiet"]
    assert cli.main([*command, "-o", "calm_%04d.png", "--smooth", "1"]) == 0
    assert cli.main([*command, "-o", "quick_%04d.png", "--smooth", "0"]) == 0
    first, last = (
        [np.asarray(Image.open(work / f"{name}_{number:04}.png")) for name in ("calm", "quick")] for number in (7, 14)
    )
    assert np.array_equal(*first)
    assert not np.array_equal(*last)


def test_a_run_that_was_stopped_goes_on(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastnst.video.frames import VideoError
    from fastnst.video.sequence import SequenceTarget

    monkeypatch.setattr(SequenceTarget, "interval", 2)
    write, written = SequenceTarget.write, list[int]()

    def watched(target: SequenceTarget, frame: Any) -> None:
        if len(written) == 5:
            raise VideoError("stopped")
        written.append(target.done)
        write(target, frame)

    monkeypatch.setattr(SequenceTarget, "write", watched)
    assert run("frame_%04d.png", "-o", "out_%04d.png") == 1
    assert not list(work.glob("out_*"))
    written.clear()
    assert run("frame_%04d.png", "-o", "out_%04d.png") == 0
    assert written == [4, 5, 6, 7]
    assert len(list(work.glob("out_*"))) == 8


def test_existing_pictures_are_kept_without_overwrite(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "out_0009.png").write_bytes(b"precious")
    assert run("frame_%04d.png", "-o", "out_%04d.png") == 1
    assert refused(capsys) == "out_0009.png: exists already; --overwrite replaces it"
    assert (work / "out_0009.png").read_bytes() == b"precious"
    assert run("frame_%04d.png", "-o", "out_%04d.png", "--overwrite") == 0
    assert (work / "out_0009.png").read_bytes() != b"precious"


def test_pictures_that_do_not_fit_are_named(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nothing_%04d.png", "-o", "out_%04d.png") == 1
    assert refused(capsys) == "nothing_%04d.png: no picture has such a name"
    Image.new("RGB", (9, 9)).save(work / "frame_0012.png")
    assert run("frame_%04d.png", "-o", "out_%04d.png") == 1
    assert refused(capsys) == "frame_0012.png: is 9 x 9, and those before it 65 x 49"
    (work / "frame_0012.png").unlink()
    assert run("frame_%04d.png", "-o", "out_%04d.png") == 1
    assert refused(capsys) == "frame_0012.png: is missing between 7 and 14"
    assert not list(work.glob("out_*"))


def test_the_suffix_of_pictures_with_numbers_is_one_that_is_written(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("frame_%04d.png", "-o", "out_%04d.txt") == 2
    assert "out_%04d.txt: the suffix of an output is one of" in refused(capsys)
    assert not list(work.glob("out_*"))


def test_a_y4m_becomes_pictures_and_they_a_y4m(work: Path) -> None:
    write_y4m(work / "clip.y4m", moving_square(5))
    assert run("clip.y4m", "-o", "out_%02d.jpg") == 0
    assert sorted(path.name for path in work.glob("out_*")) == [f"out_{number:02}.jpg" for number in range(1, 6)]
    assert run("frame_%04d.png", "-o", "out.y4m", "--rate", "12.5") == 0
    assert b" F25:2 " in (work / "out.y4m").read_bytes()[:80]


def test_pictures_become_a_video_with_sound(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    av = pytest.importorskip("av", reason="PyAV reads and writes these: pip install 'fastnst[video]'")
    write_clip(work / "song.mka", moving_square(2), sound="aac", kind="matroska")
    assert run("frame_%04d.png", "-o", "out.mp4", "--rate", "24", "--audio", "song.mka") == 0
    made = frames(work / "out.mp4")
    assert [Fraction(frame.pts) * frame.time_base for frame in made] == [Fraction(index, 24) for index in range(8)]
    sound, whole = packets(work / "out.mp4", "audio"), packets(work / "song.mka", "audio")
    assert 0 < len(sound) < len(whole)
    assert [data for *_, data in sound] == [data for *_, data in whole[: len(sound)]]
    assert sound[-1][0] <= Fraction(8, 24)
    with av.open(str(work / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    assert run("frame_%04d.png", "-o", "out_%04d.png", "--audio", "song.mka") == 1
    assert refused(capsys) == "song.mka: cannot be the sound: out_%04d.png holds none"
    assert run("song.mka", "-o", "again.mp4", "--audio", "song.mka") == 1
    assert refused(capsys) == "song.mka: cannot be the sound: the content's own is kept"
    assert run("frame_%04d.png", "-o", "again.mp4", "--audio", "frame_0008.png") == 1
    assert "frame_0008.png" in refused(capsys)


def test_a_rate_is_for_pictures(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_y4m(work / "clip.y4m", moving_square(2))
    assert run("clip.y4m", "-o", "out.y4m", "--rate", "12") == 1
    assert refused(capsys) == "clip.y4m: has a rate of its own: --rate is for pictures with numbers"
