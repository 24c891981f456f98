"""Videos in containers: what the output keeps of the source, how it is coded, and what is refused."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np
import pytest
from clips import BASE, TIMES, Pixels, frames, moving_square, packets, pictures_of, write_clip, write_y4m
from numpy.typing import NDArray
from PIL import Image

from fastnst import Stylizer, cli
from fastnst.options import Options
from fastnst.video import encoder
from fastnst.video.container import ContainerSource
from fastnst.video.frames import Frame, VideoError
from fastnst.video.job import stylize_video
from fastnst.video.remux import ContainerTarget

av = pytest.importorskip("av", reason="PyAV reads and writes these: pip install 'fastnst[video]'")


def run(content: str, *arguments: str) -> int:
    return cli.main(["stylize", content, "style.png", *arguments, "--model", "model.fnst", "--quiet"])


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


# ---- what is kept -----------------------------------------------------------------------------------------------------------


def test_sound_times_and_tags_are_kept(work: Path) -> None:
    def prepare(stream: Any) -> None:
        stream.set_display_rotation(90)
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1
        stream.codec_context.color_primaries, stream.codec_context.color_trc = 9, 1

    clip = write_clip(work / "clip.mp4", moving_square(30), sound="aac", prepare=prepare)
    assert run("clip.mp4", "-o", "out.mp4") == 0
    assert packets(work / "out.mp4", "audio") == packets(clip, "audio")
    made = packets(work / "out.mp4", "video")
    assert [time for time, *_ in made] == sorted(time for time, *_ in packets(clip, "video")) == [t * BASE for t in TIMES]
    assert [length for _, length, _ in made[:-1]] == [(b - a) * BASE for a, b in itertools.pairwise(TIMES)]
    with av.open(str(work / "out.mp4")) as output, av.open(str(clip)) as original:
        assert output.streams.video[0].duration == original.streams.video[0].duration
    source, styled = frames(clip)[0], frames(work / "out.mp4")[0]
    assert styled.rotation == source.rotation == 90
    for tag in ("width", "height", "colorspace", "color_range", "color_primaries", "color_trc"):
        assert getattr(styled, tag) == getattr(source, tag)
    with av.open(str(work / "out.mp4")) as container:
        assert container.metadata["title"] == "a clip"
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
        assert container.streams.video[0].codec_context.name == "h264"


def test_frames_are_the_stylized_ones(work: Path, photos: dict[str, Pixels]) -> None:
    """Through both codecs: as near as their losses leave them, without a palette step that would stretch colours."""
    pictures = [np.roll(photos["china"], 4 * index, axis=1)[:96, :192].copy() for index in range(6)]
    write_clip(work / "clip.mkv", pictures, prepare=lambda stream: setattr(stream, "options", {"crf": "1"}))
    assert run("clip.mkv", "-o", "out.mkv", "--smooth", "0", "--video-quality", "1", "--palette", "0") == 0
    style = np.asarray(Image.open("style.png"))
    wanted = [Stylizer("model.fnst")(each, style, palette=0) for each in pictures_of(work / "clip.mkv")]
    for made, exact in zip(pictures_of(work / "out.mkv"), wanted, strict=True):
        half = (made.shape[1] // 2, made.shape[0] // 2)  # 4:2:0 keeps colours at half the resolution
        assert psnr(*(np.asarray(Image.fromarray(each).resize(half, Image.Resampling.BOX)) for each in (made, exact))) > 25


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_every_container_and_odd_sides(work: Path, suffix: str) -> None:
    write_y4m(work / "clip.y4m", [picture[:45, :63].copy() for picture in moving_square(20)])
    assert run("clip.y4m", "-o", f"out{suffix}") == 0
    made = frames(work / f"out{suffix}")
    assert len(made) == 20
    # H.264 in 4:2:0 has no odd sides: the last row and column are there twice.
    assert (made[0].width, made[0].height) == ((63, 45) if suffix == ".webm" else (64, 46))
    if suffix != ".webm":
        last = made[7].to_ndarray(format="rgb24").astype(int)
        assert np.abs(last[:, -1] - last[:, -2]).mean() < 16


def test_better_quality_is_more_bytes(work: Path) -> None:
    write_y4m(work / "clip.y4m", moving_square(20))
    sizes = []
    for quality in ("0", "18", "51"):
        assert run("clip.y4m", "-o", f"{quality}.mp4", "--video-quality", quality) == 0
        sizes.append((work / f"{quality}.mp4").stat().st_size)
    assert sizes[0] > 1.2 * sizes[1] > 1.4 * sizes[2]
    assert run("clip.y4m", "-o", "usual.mp4") == 0
    assert (work / "usual.mp4").stat().st_size == sizes[1]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 6])
def test_colours_are_those_that_the_tags_say(tmp_path: Path, matrix: int, full: bool) -> None:
    color = np.array([200, 60, 30], np.uint8)

    def prepare(stream: Any) -> None:
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full else 1

    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        prepare(stream)
        frame = av.VideoFrame.from_ndarray(np.broadcast_to(color, (32, 32, 3)).copy(), format="rgb24")
        tags = {1: "itu709", 6: "itu601"}[matrix], 2 if full else 1
        container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace=tags[0], dst_color_range=tags[1])))
        container.mux(stream.encode())
    source = ContainerSource(path)
    assert (source.format.coding.matrix, source.format.coding.full) == ({1: "bt709", 6: "bt601"}[matrix], full)
    read = source.format.coding.to_rgb(next(source.frames()).planes)
    source.close()
    assert np.abs(read.astype(int) - color).max() <= 4


# ---- what is refused --------------------------------------------------------------------------------------------------------


def refused(content: str, output: str, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    before = set(Path().iterdir())
    assert run(content, "-o", output, *options) == 1
    error = capsys.readouterr().err
    assert error.startswith("fastnst: error: ") and error.count("\n") == 1
    assert set(Path().iterdir()) == before
    return error


def test_refusals(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(work / "clip.mp4", moving_square(5), sound="aac")
    error = refused("clip.mp4", "out.webm", capsys)
    assert "out.webm: .webm cannot hold the sound of clip.mp4 (aac): take .mkv or .mov or .mp4" in error
    assert "libx264 is at most 51, not 52" in refused("clip.mp4", "out.mp4", capsys, "--video-quality", "52")
    (work / "text.mp4").write_text("not a video")
    assert "text.mp4: not a video that can be read" in refused("text.mp4", "out.mp4", capsys)
    with av.open("sound.mkv", "w") as container:
        tone = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(tone.encode(frame))
        container.mux(tone.encode())
    assert "sound.mkv: holds no video, only sound" in refused("sound.mkv", "out.mp4", capsys)

    def hdr(stream: Any) -> None:
        stream.codec_context.color_trc = 16

    write_clip(work / "hdr.mp4", moving_square(2), prepare=hdr)
    assert "hdr.mp4: high dynamic range (PQ): --tone-map" in refused("hdr.mp4", "out.mp4", capsys)

    def interlaced(stream: Any) -> None:
        stream.options = {"x264-params": "interlaced=1"}

    write_clip(work / "fields.mp4", moving_square(2), prepare=interlaced)
    assert "fields.mp4: interlaced video: --deinterlace" in refused("fields.mp4", "out.mp4", capsys)


def test_a_y4m_has_no_sound_and_says_so(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(work / "clip.mp4", moving_square(5), sound="aac")
    assert cli.main(["stylize", "clip.mp4", "style.png", "-o", "out.y4m", "--model", "model.fnst", "--json"]) == 0
    assert '"left_out": ["audio", "tag title"]' in capsys.readouterr().out


@pytest.mark.usefixtures("work")
def test_without_pyav(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    write_y4m(Path("clip.y4m"), moving_square(2))
    assert "pip install 'fastnst[video]'" in refused("clip.y4m", "out.mp4", capsys)
    assert run("clip.y4m", "-o", "out.y4m") == 0


def test_without_libx264_mpeg4_is_taken(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = encoder.pyav()
    less = SimpleNamespace(**{**vars(real), "codecs_available": real.codecs_available - {"libx264"}})
    monkeypatch.setattr(encoder, "pyav", lambda: less)
    write_y4m(work / "clip.y4m", moving_square(5))
    assert run("clip.y4m", "-o", "out.mp4") == 0
    with av.open("out.mp4") as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    monkeypatch.setattr(encoder, "pyav", lambda: SimpleNamespace(codecs_available=set()))
    with pytest.raises(VideoError, match=r"no encoder for \.webm"):
        encoder.choose(Path("out.webm"), None)


# ---- stopped runs -----------------------------------------------------------------------------------------------------------


class StoppedError(Exception):
    """Stands for whatever ends a run."""


@pytest.mark.parametrize("at", [7, 8, 9, 23, 24, 30])
def test_a_run_that_is_stopped_goes_on_to_the_same_frames(work: Path, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is handed to the encoder is the same, byte by byte; what libx264 makes of the same is not quite, now and then."""
    monkeypatch.setattr("fastnst.video.segments.SEGMENT", 8)
    monkeypatch.setattr("fastnst.video.remux.ContainerTarget.interval", 8)
    handed: list[tuple[int, bytes]] = []
    write = encoder.Segment.write

    def spy(self: encoder.Segment, frame: Frame) -> None:
        handed.append((frame.time, b"".join(plane.tobytes() for plane in frame.planes)))
        write(self, frame)

    monkeypatch.setattr(encoder.Segment, "write", spy)
    clip = write_clip(work / "clip.mp4", moving_square(30), sound="aac")
    stylizer = Stylizer("model.fnst", threads=2)
    options = Options(look=stylizer.encode_style(np.asarray(Image.open("style.png"))), smoothing=0.8)
    stylize_video(clip, Path("whole.mp4"), stylizer, options)
    whole = handed.copy()

    def stop(done: int, _count: int | None) -> None:
        if done == at:
            raise StoppedError

    handed.clear()
    with pytest.raises(StoppedError):
        stylize_video(clip, Path("out.mp4"), stylizer, options, on_frame=stop)
    assert not Path("out.mp4").exists()
    kept = at // 8 * 8
    del handed[kept:]
    outcome = stylize_video(clip, Path("out.mp4"), stylizer, options)
    assert (outcome.frames, outcome.resumed) == (30, kept)
    assert handed == whole
    assert not list(Path().glob(".fastnst*"))
    assert packets(Path("out.mp4"), "audio") == packets(Path("whole.mp4"), "audio")
    out, unbroken = (packets(Path(name), "video") for name in ("out.mp4", "whole.mp4"))
    assert [each[:2] for each in out] == [each[:2] for each in unbroken]


def test_a_run_that_is_killed_leaves_no_output_and_goes_on(work: Path) -> None:
    write_y4m(work / "long.y4m", [np.tile(picture, (3, 3, 1)) for picture in moving_square(400)])
    command = [sys.executable, "-m", "fastnst", "stylize", "--model", "model.fnst", "long.y4m", "style.png", "-o", "out.mkv"]
    for before in (0, 120):
        process = subprocess.Popen([*command, "--quiet", "--threads", "1"], cwd=work)
        while recorded(work) <= before:
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
        process.wait()
        assert not (work / "out.mkv").exists()
    done = subprocess.run([*command, "--json"], cwd=work, capture_output=True, check=True)
    assert json.loads(done.stdout)["resumed_frames"] >= 240
    assert [each[0] for each in packets(work / "out.mkv", "video")][:3] == [0, Fraction(33, 1000), Fraction(67, 1000)]
    assert len(packets(work / "out.mkv", "video")) == 400
    assert not list(work.glob(".fastnst*"))


def test_a_run_that_is_stopped_while_it_joins_has_only_that_to_do(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(work / "clip.mp4", moving_square(20), sound="aac")
    stylizer = Stylizer("model.fnst")
    options = Options(look=stylizer.encode_style(np.asarray(Image.open("style.png"))))

    def half(_target: ContainerTarget, file: BinaryIO, _paths: object) -> None:
        file.write(b"half")
        raise StoppedError

    with monkeypatch.context() as patched:
        patched.setattr(ContainerTarget, "_join", half)
        with pytest.raises(StoppedError):
            stylize_video(clip, Path("out.mp4"), stylizer, options)
    assert {path.name for path in work.iterdir() if not path.name.endswith(".parts")} == {"clip.mp4", "model.fnst", "style.png"}
    outcome = stylize_video(clip, Path("out.mp4"), stylizer, options)
    assert (outcome.frames, outcome.resumed) == (20, 20)
    assert len(packets(work / "out.mp4", "video")) == 20
    assert not list(work.glob(".fastnst*"))


def recorded(work: Path) -> int:
    for manifest in work.glob(".fastnst-*.parts/manifest.json"):
        return int(json.loads(manifest.read_bytes())["frames"])
    return 0
