"""y4m: what is read, what is refused and with which words, and that what is written is read as the same."""

from __future__ import annotations

import io
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import moving_square, y4m_bytes, y4m_format

from fastnst.video.checkpoint import Checkpoint
from fastnst.video.color import SUBSAMPLING, Coding
from fastnst.video.frames import VideoError
from fastnst.video.y4m import Y4mSource, Y4mTarget, header, output_format, parse_header


class Pipe(io.BytesIO):
    """Bytes that can be read once, in order."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation


def source(data: bytes) -> Y4mSource:
    return Y4mSource(Pipe(data), "clip")


@pytest.mark.parametrize(
    ("tags", "coding"),
    [
        ("", Coding("420", True, "bt601")),
        (" C420", Coding("420", True, "bt601")),
        (" C420jpeg XCOLORRANGE=FULL", Coding("420", True, "bt601", full=True)),
        (" C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=LIMITED", Coding("420", False, "bt601")),
        (" C420paldv XYSCSS=420PALDV", Coding("420", False, "bt601", top=True)),
        (" C422", Coding("422", False, "bt601")),
        (" C444", Coding("444", False, "bt601")),
        (" Cmono", Coding("mono", False, "bt601")),
    ],
)
def test_kinds_of_chroma(tags: str, coding: Coding) -> None:
    video = parse_header(f"YUV4MPEG2 W64 H48 F30000:1001 Ip A4:3{tags}\n")
    assert (video.width, video.height, video.rate, video.aspect) == (64, 48, Fraction(30000, 1001), Fraction(4, 3))
    assert video.coding == coding
    assert video.time_base == Fraction(1001, 30000)


def test_what_is_unknown_stays_so_in_the_output() -> None:
    video = parse_header("YUV4MPEG2 W1280 H720 F0:0 A0:0\n")
    assert (video.rate, video.aspect, video.time_base, video.coding.matrix) == (None, None, Fraction(1, 25), "bt709")
    assert b" F0:0 Ip A0:0 " in y4m_bytes([], output_format(video, 32, 18))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "not a y4m video"),
        (b"RIFF....", "not a y4m video"),
        (b"YUV4MPEG2 W64 H48", "not a y4m video"),
        (b"YUV4MPEG2 W64\n", "no width or no height"),
        (b"YUV4MPEG2 Wx H48\n", "no width or no height"),
        (b"YUV4MPEG2 W0 H48\n", "0 x 48 is not a size"),
        (b"YUV4MPEG2 W99999 H99999\n", "more than 100 megapixels"),
        (b"YUV4MPEG2 W64 H48 It\n", "interlaced"),
        (b"YUV4MPEG2 W64 H48 Im\n", "interlaced"),
        (b"YUV4MPEG2 W64 H48 C420p10\n", "C420p10 is not supported, only 8 bits"),
        (b"YUV4MPEG2 W64 H48 C411\n", "C411 is not supported"),
        (b"YUV4MPEG2 W64 H48 F30\n", "'30' is not a ratio"),
    ],
)
def test_refusals_are_one_line_that_names_the_video(line: bytes, reason: str) -> None:
    with pytest.raises(VideoError) as caught:
        source(line)
    assert str(caught.value).startswith("clip: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("subsampling", SUBSAMPLING)
def test_frames_are_read_as_they_were_written(subsampling: str) -> None:
    video = y4m_format(5, 7, subsampling)
    pictures = moving_square(3, 5 + 20, 7 + 8)
    pictures = [picture[8:13, :7].copy() for picture in pictures]
    read = source(y4m_bytes(pictures, video))
    assert read.format == video
    frames = list(read.frames())
    assert [frame.time for frame in frames] == [0, 1, 2]
    for frame, picture in zip(frames, pictures, strict=True):
        planes = video.coding.from_rgb(picture)[: len(frame.planes)]
        assert all(np.array_equal(a, b) for a, b in zip(frame.planes, planes, strict=True))


@pytest.mark.parametrize("chroma", ["420jpeg", "420mpeg2", "420paldv", "422", "444"])
def test_the_output_is_of_the_same_kind(chroma: str) -> None:
    video = parse_header(f"YUV4MPEG2 W64 H48 F25:1 C{chroma}\n")
    assert f" C{chroma} " in header(output_format(video, 32, 24)).decode()


def test_tags_of_a_frame_are_passed_over() -> None:
    data = y4m_bytes(moving_square(2)).replace(b"FRAME\n", b"FRAME Xnote\n")
    assert len(list(source(data).frames())) == 2


def test_broken_frames_are_refused() -> None:
    data = y4m_bytes(moving_square(2))
    second = data.rindex(b"FRAME")
    refused_second_frame(data[:-1], "ends within frame 1")
    refused_second_frame(data[:second] + b"frame" + data[second + 5 :], "no frame where frame 1 should begin")
    refused_second_frame(data[: second + 3], "no frame where frame 1 should begin")


def refused_second_frame(data: bytes, reason: str) -> None:
    frames = source(data).frames()
    next(frames)
    with pytest.raises(VideoError, match=f"clip: broken y4m: .*{reason}"):
        next(frames)


def test_a_file_knows_its_length_and_goes_to_any_frame(tmp_path: Path) -> None:
    pictures = moving_square(6)
    (tmp_path / "clip.y4m").write_bytes(y4m_bytes(pictures))
    with (tmp_path / "clip.y4m").open("rb") as file:
        clip = Y4mSource(file, "clip")
        assert clip.count == 6
        frames = list(clip.frames(4))
    assert [frame.time for frame in frames] == [4, 5]
    assert np.array_equal(frames[0].planes[0], clip.format.coding.from_rgb(pictures[4])[0])


def test_a_grey_source_gives_a_coloured_output() -> None:
    assert output_format(y4m_format(4, 6, "mono"), 6, 4).coding.subsampling == "420"


def test_an_unfinished_file_is_cut_to_what_is_recorded(tmp_path: Path) -> None:
    video, out = y4m_format(48, 64), tmp_path / "out.y4m"
    data = y4m_bytes(moving_square(5))
    frames = list(source(data).frames())
    target = Y4mTarget(Checkpoint(out, "same"), video)
    for frame in frames[:3]:
        target.write(frame)
    target.checkpoint({"at": 3})
    target.write(frames[3])
    target.close()  # what was written after the checkpoint may be whole or not
    again = Y4mTarget(Checkpoint(out, "same"), video)
    assert (again.done, again.state) == (3, {"at": 3})
    for frame in frames[3:]:
        again.write(frame)
    again.checkpoint(None)
    again.finish()
    assert out.read_bytes() == data
    assert list(tmp_path.iterdir()) == [out]


def test_a_kill_after_the_finished_file_has_its_name_leaves_a_run_that_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, out = y4m_format(48, 64), tmp_path / "out.y4m"
    (frame,) = source(y4m_bytes(moving_square(1))).frames()
    target = Y4mTarget(Checkpoint(out, "same"), video)
    target.write(frame)
    target.checkpoint(None)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "remove", Checkpoint.close)  # as the kill leaves it: frames are counted, and are not there
        target.finish()
    again = Y4mTarget(Checkpoint(out, "same"), video)
    assert (again.done, again.state) == (0, None)
    again.close()
    assert list(tmp_path.iterdir()) == [out]


def test_other_settings_begin_anew_and_two_runs_exclude_each_other(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "out.y4m", "one")
    checkpoint.record(64, None)
    with pytest.raises(VideoError, match="another process"):
        Checkpoint(tmp_path / "out.y4m", "one")
    checkpoint.close()
    assert Checkpoint(tmp_path / "out.y4m", "two").frames == 0


def test_a_kill_while_parts_are_removed_leaves_none_that_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest goes first: else it would count frames that are not there, and no later run could go on."""
    checkpoint = Checkpoint(tmp_path / "out.mp4", "one")
    (checkpoint.folder / "segment").touch()
    checkpoint.record(7, None)

    def killed(folder: Path, **_: object) -> None:
        (folder / "segment").unlink()

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        checkpoint.remove()
    again = Checkpoint(tmp_path / "out.mp4", "one")
    assert again.frames == 0
    again.close()
