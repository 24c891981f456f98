"""Parts of videos, and frames that FFmpeg's filters make fit."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import BASE, TIMES, frames, moving_square, packets, read_y4m, write_clip, write_y4m

from fastnst import cli
from fastnst.options import Clip
from fastnst.video.container import ContainerSource
from fastnst.video.filters import HLG, PQ, tone_mapped
from fastnst.video.frames import VideoError

av = pytest.importorskip("av", reason="PyAV reads and writes these: pip install 'fastnst[video]'")


def run(content: str, *arguments: str) -> int:
    return cli.main(["stylize", content, "style.png", *arguments, "--model", "model.fnst", "--quiet", "--smooth", "0"])


# ---- parts ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "end"), [("0.2", "0.5"), ("0", "0.5"), ("0.3", None)])
def test_a_part_is_those_frames_of_the_whole(work: Path, start: str, end: str | None) -> None:
    write_y4m(work / "clip.y4m", moving_square(30))
    assert run("clip.y4m", "-o", "whole.y4m") == 0
    assert run("clip.y4m", "-o", "part.y4m", "--start", start, *(["--end", end] if end else [])) == 0
    (_, whole), (_, part) = read_y4m(work / "whole.y4m"), read_y4m(work / "part.y4m")
    seconds = [index * 1001 / 30000 for index in range(30)]
    wanted = [each for each, at in zip(whole, seconds, strict=True) if at >= float(start) and (end is None or at < float(end))]
    assert len(part) == len(wanted)
    assert all(np.array_equal(a, b) for a, b in zip(part, wanted, strict=True))


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
def test_times_and_sound_of_a_part_begin_where_it_does(work: Path, kind: str) -> None:
    clip = write_clip(work / f"clip.{kind}", moving_square(30), sound="aac")
    assert run(clip.name, "-o", "out.mp4", "--start", "0.25", "--end", "0.75") == 0
    origin = ContainerSource(clip).origin
    shown = sorted(at - Fraction(origin).limit_denominator(10**6) for at, *_ in packets(clip, "video"))
    wanted = [at - Fraction(1, 4) for at in shown if Fraction(1, 4) <= at < Fraction(3, 4)]
    made = sorted(at for at, *_ in packets(work / "out.mp4", "video"))
    assert len(made) == len(wanted)
    assert all(abs(a - b) <= Fraction(2, 1000) for a, b in zip(made, wanted, strict=True))
    sound = [(at, data) for at, _, data, *_ in packets(work / "out.mp4", "audio")]
    header = 7 if kind == "ts" else 0  # of ADTS, which only a transport stream needs
    every = {data[header:]: at - Fraction(origin).limit_denominator(10**6) for at, _, data, *_ in packets(clip, "audio")}
    assert sound
    assert all(abs(every[data] - Fraction(1, 4) - at) <= Fraction(2, 1000) for at, data in sound)
    assert all(0 <= at < Fraction(1, 2) for at, _ in sound)


def test_chapters_of_a_part(work: Path) -> None:
    def chapters(container: Any) -> None:
        names = ["one", "two", "three"]
        container.set_chapters(
            [
                {"id": i, "start": 300 * i, "end": 300 * (i + 1), "time_base": Fraction(1, 1000), "metadata": {"title": name}}
                for i, name in enumerate(names)
            ]
        )

    write_clip(work / "clip.mkv", moving_square(30), more=chapters)
    assert run("clip.mkv", "-o", "out.mkv", "--start", "0.4", "--end", "0.7") == 0
    with av.open(str(work / "out.mkv")) as made:
        found = [
            (each["metadata"]["title"], float(each["start"] * each["time_base"]), float(each["end"] * each["time_base"]))
            for each in made.chapters()
        ]
    assert [name for name, *_ in found] == ["two", "three"]
    np.testing.assert_allclose([times for _, *times in found], [[0, 0.2], [0.2, 0.3]], atol=2e-3)


def test_a_part_continues_after_an_interruption(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastnst.video import encoder, segments
    from fastnst.video.remux import ContainerTarget

    monkeypatch.setattr(encoder, "SEGMENT", 4)
    monkeypatch.setattr(segments, "SEGMENT", 4)
    monkeypatch.setattr(ContainerTarget, "interval", 4)
    write_clip(work / "clip.mkv", moving_square(30))
    part = ["--start", "0.3", "--end", "0.8"]
    assert run("clip.mkv", "-o", "wanted.mkv", *part) == 0
    write = ContainerTarget.write

    def stop(target: ContainerTarget, frame: Any) -> None:
        if target.done == 9:
            raise VideoError("stopped")
        write(target, frame)

    monkeypatch.setattr(ContainerTarget, "write", stop)
    assert run("clip.mkv", "-o", "out.mkv", *part) == 1
    monkeypatch.setattr(ContainerTarget, "write", write)
    assert run("clip.mkv", "-o", "out.mkv", *part) == 0
    made, wanted = frames(work / "out.mkv"), frames(work / "wanted.mkv")
    assert [frame.pts for frame in made] == [frame.pts for frame in wanted]
    assert all(np.array_equal(a.to_ndarray(), b.to_ndarray()) for a, b in zip(made, wanted, strict=True))


def test_a_part_beyond_the_end_says_where_the_video_ends(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_y4m(work / "clip.y4m", moving_square(3))
    assert run("clip.y4m", "-o", "out.y4m", "--start", "5") == 1
    assert capsys.readouterr().err == "fastnst: error: clip.y4m: shows no frame from 5 s on: its last frame is at 0.07 s\n"
    assert not (work / "out.y4m").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--start", "2", "--end", "1"], "a part of a video ends after it begins, at 2 s, and not at 1"),
        (["--start", "1:2:3:4"], "'1:2:3:4' is no time such as 83.5, 1:23.5 or 0:01:23.5"),
        (["--end", "-1"], "is no time such as"),
    ],
)
def test_no_such_part(work: Path, capsys: pytest.CaptureFixture[str], given: list[str], said: str) -> None:
    write_y4m(work / "clip.y4m", moving_square(3))
    try:
        code = run("clip.y4m", "-o", "out.y4m", *given)
    except SystemExit as exit:
        code = int(exit.code or 0)
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line or "expected one argument" in line


@pytest.mark.parametrize(("text", "seconds"), [("83.5", 83.5), ("1:23.5", 83.5), ("01:01:23", 3683.0), ("0", 0.0)])
def test_times_are_read_as_players_show_them(text: str, seconds: float) -> None:
    from fastnst.cli.values import moment

    assert moment(text) == seconds


# ---- interlaced -------------------------------------------------------------------------------------------------------------


def interlaced(path: Path) -> Path:
    """Fields of two moments in each frame: a bright square at two places."""
    pictures = moving_square(12)
    woven = []
    for early, late in zip(pictures[::2], pictures[1::2], strict=True):
        both = early.copy()
        both[1::2] = late[1::2]
        woven.append(both)

    def prepare(stream: Any) -> None:
        stream.options = {"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "10"}

    return write_clip(path, woven, prepare=prepare, times=TIMES[:6])


def test_interlaced_video_is_refused_with_the_option_that_helps(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    interlaced(work / "clip.mp4")
    assert run("clip.mp4", "-o", "out.mp4") == 1
    assert capsys.readouterr().err == "fastnst: error: clip.mp4: interlaced video: --deinterlace makes whole frames of it\n"


def test_deinterlaced_frames_have_no_comb(work: Path) -> None:
    clip = interlaced(work / "clip.mp4")
    source = ContainerSource(clip, Clip(deinterlace=True))
    made = [frame.planes[0].astype(int) for frame in source.frames()]
    source.close()
    woven = [frame.to_ndarray(format="gray").astype(int) for frame in frames(clip)]
    assert len(made) == len(woven) == 6

    def comb(luma: Any) -> float:
        return float(np.abs(2 * luma[1:-1] - luma[:-2] - luma[2:])[8:19, 2:40].mean())

    assert np.mean([comb(each) for each in made[1:-1]]) < 0.6 * np.mean([comb(each) for each in woven[1:-1]])


def test_deinterlacing_keeps_times_and_frames_that_are_whole(work: Path) -> None:
    clip = write_clip(work / "clip.mp4", moving_square(30))
    plain, asked = ContainerSource(clip), ContainerSource(clip, Clip(deinterlace=True))
    for a, b in zip(plain.frames(), asked.frames(), strict=True):
        assert a.time == b.time and a.looks_like(b)
    plain.close(), asked.close()


# ---- high dynamic range -----------------------------------------------------------------------------------------------------


def hdr(path: Path, transfer: int, pixels: str = "yuv420p10le") -> Path:
    def prepare(stream: Any) -> None:
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, transfer, 9, 1
        stream.options = {"crf": "1"}

    return write_clip(path, moving_square(3), pixels=pixels, prepare=prepare, times=TIMES[:3])


@pytest.mark.parametrize(("transfer", "name"), [(PQ, "PQ"), (HLG, "HLG")])
def test_high_dynamic_range_is_refused_with_the_option_that_helps(
    work: Path, capsys: pytest.CaptureFixture[str], transfer: int, name: str
) -> None:
    hdr(work / "clip.mkv", transfer)
    assert run("clip.mkv", "-o", "out.mkv") == 1
    said = f"fastnst: error: clip.mkv: high dynamic range ({name}): --tone-map brings it to the standard one\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_tone_mapped_frames_are_those_of_the_formula(work: Path, transfer: int) -> None:
    clip = hdr(work / "clip.mkv", transfer, "yuv444p10le")  # or FFmpeg's ways to enlarge chroma would be compared
    source = ContainerSource(clip, Clip(tone_map=True))
    (first, *others) = list(source.frames())
    assert len(others) == 2
    assert (source.tags.primaries, source.tags.transfer) == (1, 1)
    source.close()
    found = source.format.coding.to_rgb(first.planes)
    coded = frames(clip)[0].reformat(format="gbrp16le", src_colorspace="bt2020").to_ndarray() / 65535.0
    wanted = 255 * tone_mapped(coded.reshape(-1, 3), transfer, 1000.0).reshape(coded.shape)
    assert np.abs(found - wanted).mean() < 3


def test_tone_mapped_video_is_made_and_tagged(work: Path) -> None:
    hdr(work / "clip.mkv", PQ)
    assert run("clip.mkv", "-o", "out.mkv", "--tone-map") == 0
    made = frames(work / "out.mkv")[0]
    assert (made.color_primaries, made.color_trc, made.colorspace) != (9, PQ, 9)
    assert made.color_trc == 1


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_tone_mapping_keeps_grey_and_order(transfer: int) -> None:
    grey = np.repeat(np.linspace(0, 1, 200)[:, None], 3, axis=1)
    mapped = tone_mapped(grey, transfer, 1000.0)
    assert mapped[0].max() == 0 and mapped[-1].min() > 0.99
    assert np.abs(mapped - mapped[:, :1]).max() < 2e-3
    assert (np.diff(mapped[:, 0]) >= -1e-9).all()


def test_json_of_a_part_counts_its_frames(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_y4m(work / "clip.y4m", moving_square(30))
    assert cli.main(["stylize", "clip.y4m", "style.png", "-o", "o.y4m", "--model", "model.fnst", "--json", "--end", "0.1"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 3
    assert BASE > 0
