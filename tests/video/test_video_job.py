"""``fastnst stylize`` of y4m videos: the frames, pipes, folders, and runs that are stopped at any moment."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import Pixels, moving_square, read_y4m, write_y4m, y4m_bytes, y4m_format
from PIL import Image

from fastnst import Stylizer, cli
from fastnst.engine import Engine
from fastnst.options import Options
from fastnst.video import job
from fastnst.video.job import stylize_video
from fastnst.video.y4m import Y4mTarget

COMMAND = [
    sys.executable,
    "-c",
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from fastnst.cli import main; sys.exit(main())",
    "stylize",
]
KIND = ["--model", "model.fnst"]


@pytest.fixture
def work(tmp_path: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with ``model.fnst``, ``style.png`` and ``clip.y4m`` of 200 frames, of which some repeat."""
    (tmp_path / "model.fnst").symlink_to(model_path)
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(tmp_path / "style.png")
    write_y4m(tmp_path / "clip.y4m", stuttering(200))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stuttering(frames: int) -> list[Pixels]:
    """A moving square that stands still now and then, also where a checkpoint falls, and a cut."""
    pictures = moving_square(frames)
    for index in (3, 4, 50, 64, 65, 128):
        if index < frames:
            pictures[index] = pictures[index - 1]
    return [255 - picture if index > 100 else picture for index, picture in enumerate(pictures)]


def run(*arguments: str) -> int:
    return cli.main(["stylize", arguments[0], "style.png", *arguments[1:], *KIND])


def one_line(error: str, *parts: str) -> bool:
    return error.startswith("fastnst: error: ") and error.count("\n") == 1 and all(part in error for part in parts)


def options(stylizer: Stylizer, smoothing: float = 0.0, **others: Any) -> Options:
    return Options(look=stylizer.encode_style(Image.open("style.png")), smoothing=smoothing, **others)


# ---- frames -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subsampling", ["420", "422", "444", "mono"])
def test_frames_are_the_pictures_of_the_python_face(work: Path, subsampling: str) -> None:
    video = y4m_format(47, 63, subsampling)
    pictures = [picture[:47, :63].copy() for picture in moving_square(5)]
    write_y4m(work / "odd.y4m", pictures, video)
    assert run("odd.y4m", "-o", "out.y4m", "--smooth", "0", "--alpha", "0.7", "--preserve-color", "--quiet") == 0
    stylizer, (made, _) = Stylizer("model.fnst"), read_y4m(work / "out.y4m")
    assert (made.width, made.height, made.rate) == (63, 47, video.rate)
    _, contents = read_y4m(work / "odd.y4m")
    style = np.asarray(Image.open("style.png"))
    styled = [stylizer(each, style, alpha=0.7, preserve_color=True) for each in contents]
    assert (work / "out.y4m").read_bytes() == y4m_bytes(styled, made)


def test_any_number_of_threads_gives_the_same_bytes(work: Path) -> None:
    for threads in ("1", "2", "5"):
        assert run("clip.y4m", "-o", f"{threads}.y4m", "--threads", threads, "--quiet") == 0
    assert len({(work / f"{threads}.y4m").read_bytes() for threads in "125"}) == 1


@pytest.mark.usefixtures("work")
def test_smoothing_changes_pictures_and_needs_an_adain_model(wct_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("clip.y4m", "-o", "usual.y4m", "--quiet") == run("clip.y4m", "-o", "0.y4m", "--smooth", "0", "--quiet") == 0
    assert Path("usual.y4m").read_bytes() != Path("0.y4m").read_bytes()
    write_y4m(Path("short.y4m"), moving_square(4))
    wct = ["stylize", "short.y4m", "style.png", "--model", str(wct_path)]
    assert cli.main([*wct, "-o", "wct.y4m", "--levels", "2,1", "--quiet"]) == 0
    assert len(read_y4m(Path("wct.y4m"))[1]) == 4
    assert cli.main([*wct, "-o", "no.y4m", "--smooth", "0.5"]) == 1
    assert one_line(capsys.readouterr().err, "--smooth is for AdaIN models")


@pytest.mark.usefixtures("work")
def test_unchanged_frames_are_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    encode = Engine.encode
    monkeypatch.setattr(Engine, "encode", lambda self, *rest: encoded.append(1) or encode(self, *rest))
    stylizer = Stylizer("model.fnst")
    way = options(stylizer, smoothing=0.5)
    encoded.clear()
    outcome = stylize_video(Path("clip.y4m"), Path("out.y4m"), stylizer, way)
    assert (outcome.frames, outcome.repeated, len(encoded)) == (200, 6, 194)
    _, made = read_y4m(Path("out.y4m"))
    for index in (3, 4, 50, 64, 65, 128):
        assert np.array_equal(made[index], made[index - 1])
    assert not np.array_equal(made[5], made[4])


def test_size_is_the_short_side(work: Path) -> None:
    assert run("clip.y4m", "-o", "out.y4m", "--size", "33", "--quiet") == 0
    made, pictures = read_y4m(work / "out.y4m")
    assert (made.width, made.height, len(pictures)) == (44, 33, 200)


# ---- what is printed --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("work")
def test_one_json_line_or_one_line_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("clip.y4m", "-o", "out.y4m", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["content"], report["output"], report["left_out"]) == ("clip.y4m", "out.y4m", [])
    assert (report["width"], report["height"]) == (64, 48)
    assert (report["frames"], report["repeated_frames"], report["resumed_frames"]) == (200, 6, 0)
    assert report["frames_per_second"] > 0 and report["working_memory"] > 0
    assert run("clip.y4m", "-o", "again.y4m") == 0
    assert capsys.readouterr().out.startswith("again.y4m  64x48  200 frames  ")


def test_progress_on_a_terminal(work: Path) -> None:
    terminal, stderr = pty.openpty()
    subprocess.run([*COMMAND, *KIND, "clip.y4m", "style.png", "-o", "out.y4m"], cwd=work, stderr=stderr, check=True)
    text = os.read(terminal, 1 << 16).decode()
    assert "\r[" + "#" * 30 + "] 200/200  " in text
    assert "0:00:00 left" in text
    os.close(stderr)
    os.close(terminal)


# ---- pipes and folders ------------------------------------------------------------------------------------------------------


def test_pipes_carry_y4m_and_nothing_else(work: Path) -> None:
    assert run("clip.y4m", "-o", "out.y4m", "--quiet") == 0
    arguments = [*COMMAND, *KIND, "-", "style.png", "-o", "-", "--json"]
    piped = subprocess.run(arguments, input=(work / "clip.y4m").read_bytes(), cwd=work, capture_output=True, check=True)
    assert piped.stdout == (work / "out.y4m").read_bytes()
    assert json.loads(piped.stderr)["frames"] == 200
    refused = subprocess.run(arguments, input=b"not a video", cwd=work, capture_output=True)
    assert (refused.returncode, refused.stdout) == (1, b"")
    report, said = refused.stderr.decode().splitlines(keepends=True)
    assert json.loads(report)["error"].startswith("standard input: neither a y4m video nor a picture in")
    assert one_line(said, "standard input: neither a y4m video nor a picture in")


def test_a_pipe_that_breaks_leaves_nothing(work: Path) -> None:
    before = set(work.iterdir())
    data = (work / "clip.y4m").read_bytes()
    arguments = [*COMMAND, *KIND, "-", "style.png", "-o", "out.y4m"]
    broken = subprocess.run(arguments, input=data[:-5], cwd=work, capture_output=True)
    assert broken.returncode == 1
    assert one_line(broken.stderr.decode(), "standard input: broken y4m: it ends within frame 199")
    assert set(work.iterdir()) == before


def test_a_folder_takes_videos_and_pictures(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "in" / "more").mkdir(parents=True)
    write_y4m(work / "in" / "more" / "a.y4m", moving_square(3))
    write_y4m(work / "in" / "b.y4m", moving_square(4))
    (work / "in" / "bad.y4m").write_bytes(y4m_bytes(moving_square(3))[:-1])
    Image.fromarray(moving_square(1)[0]).save(work / "in" / "c.png")
    assert run("in", "-o", "out") == 1
    out, err = capsys.readouterr()
    assert out.startswith("3 stylized, 1 failed, ")
    assert one_line(err, "in/bad.y4m: broken y4m")
    assert len(read_y4m(work / "out" / "more" / "a.y4m")[1]) == 3
    write_y4m(work / "in" / "bad.y4m", moving_square(3))
    assert run("in", "-o", "out") == 0
    assert capsys.readouterr().out.startswith("1 stylized, 3 already there, ")
    assert sorted(path.name for path in (work / "out").iterdir()) == ["b.y4m", "bad.y4m", "c.png", "more"]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("clip.y4m", "-o", "out.png"), 2, "out.png: the suffix of an output is one of .mp4 .mov .mkv .webm .y4m"),
        (("style.png", "-o", "out.mp4"), 2, "out.mp4: the suffix of an output is one of .avif"),
        (("clip.y4m", "-o", "clip.y4m", "--overwrite"), 2, "clip.y4m: is the content itself"),
        (("clip.y4m", "-o", "there.y4m"), 1, "there.y4m: exists already"),
        (("missing.y4m", "-o", "out.y4m"), 1, "missing.y4m: no such file"),
        (("empty.y4m", "-o", "out.y4m"), 1, "empty.y4m: is empty"),
        (("none.y4m", "-o", "out.y4m"), 1, "none.y4m: has no frames"),
        (("clip.y4m", "-o", "out.y4m", "--size", "99999"), 1, "clip.y4m: with a short side of 99999: "),
    ],
)
def test_failures_are_one_line(
    work: Path, arguments: tuple[str, ...], code: int, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "empty.y4m").touch()
    (work / "there.y4m").touch()
    write_y4m(work / "none.y4m", [], y4m_format(48, 64))
    before = set(work.iterdir())
    assert run(*arguments) == code
    assert one_line(capsys.readouterr().err, reason)
    assert set(work.iterdir()) == before


# ---- stopped runs -----------------------------------------------------------------------------------------------------------


class StoppedError(Exception):
    """Stands for whatever ends a run."""


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("at", [1, 63, 64, 65, 66, 128, 129, 199, 200])
def test_a_run_that_is_stopped_goes_on_to_the_same_bytes(at: int) -> None:
    stylizer = Stylizer("model.fnst", threads=2)
    way = options(stylizer, smoothing=0.8)
    stylize_video(Path("clip.y4m"), Path("whole.y4m"), stylizer, way)

    def stop(done: int, count: int | None) -> None:
        assert count == 200
        if done == at:
            raise StoppedError

    with pytest.raises(StoppedError):
        stylize_video(Path("clip.y4m"), Path("out.y4m"), stylizer, way, on_frame=stop)
    assert not Path("out.y4m").exists()
    outcome = stylize_video(Path("clip.y4m"), Path("out.y4m"), stylizer, way)
    # The checkpoint of a frame comes before it is reported.
    assert (outcome.frames, outcome.resumed) == (200, at // Y4mTarget.interval * Y4mTarget.interval)
    assert Path("out.y4m").read_bytes() == Path("whole.y4m").read_bytes()
    assert not list(Path().glob(".fastnst*"))


@pytest.mark.usefixtures("work")
def test_other_contents_and_options_begin_anew() -> None:
    stylizer = Stylizer("model.fnst")

    def stop(done: int, _count: int | None) -> None:
        if done == 70:
            raise StoppedError

    def resumed(way: Options) -> int:
        with pytest.raises(StoppedError):
            stylize_video(Path("clip.y4m"), Path("out.y4m"), stylizer, options(stylizer), on_frame=stop)
        outcome = stylize_video(Path("clip.y4m"), Path("out.y4m"), stylizer, way)
        Path("out.y4m").unlink()
        return outcome.resumed

    assert resumed(options(stylizer)) == 64
    assert resumed(options(stylizer, alpha=0.5)) == 0
    assert resumed(options(stylizer, smoothing=0.5)) == 0
    assert resumed(options(stylizer, colors="luma")) == 0
    assert resumed(options(stylizer, size=30)) == 0
    assert resumed(replace(options(stylizer), look=stylizer.encode_style(moving_square(1)[0]))) == 0


@pytest.fixture
def long(work: Path) -> Path:
    """``long.y4m``, which takes long enough to be killed in, and what it becomes."""
    pictures = [np.tile(picture, (2, 2, 1)) for picture in stuttering(400)]
    write_y4m(work / "long.y4m", pictures)
    assert run("long.y4m", "-o", "whole.y4m", "--quiet") == 0
    return work


def start_and_wait(work: Path, frames: int) -> subprocess.Popen[bytes]:
    """A run that has recorded at least so many frames."""
    arguments = [*COMMAND, *KIND, "long.y4m", "style.png", "-o", "out.y4m", "--threads", "1", "--quiet"]
    process = subprocess.Popen(arguments, cwd=work, stderr=subprocess.PIPE)
    while recorded(work) < frames:
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    return process


def recorded(work: Path) -> int:
    for manifest in work.glob(".fastnst-*.parts/manifest.json"):
        return int(json.loads(manifest.read_bytes())["frames"])
    return 0


def test_a_run_that_is_killed_again_and_again_ends_as_one_that_was_not(long: Path) -> None:
    for frames in (0, 1, 65, 129, 193, 257):
        process = start_and_wait(long, frames)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (long / "out.y4m").exists()
    assert run("long.y4m", "-o", "out.y4m", "--quiet") == 0
    assert (long / "out.y4m").read_bytes() == (long / "whole.y4m").read_bytes()
    assert not list(long.glob(".fastnst*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_exits_130_and_leaves_what_the_next_one_needs(long: Path, number: signal.Signals) -> None:
    process = start_and_wait(long, 64)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, b"fastnst: interrupted\n")
    assert not (long / "out.y4m").exists()
    (parts,) = long.glob(".fastnst*")
    assert {path.name for path in parts.iterdir()} == {"manifest.json", "frames.y4m"}
    assert run("long.y4m", "-o", "out.y4m", "--quiet") == 0
    assert (long / "out.y4m").read_bytes() == (long / "whole.y4m").read_bytes()


def test_memory_does_not_grow_with_the_video(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the output is, only some frames are in memory."""
    taken = []
    open_masked = job.open_masked

    def watched(content: Path, *more: Any) -> Any:
        source = open_masked(content, *more)
        frames = source.frames
        source.frames = lambda *how: (taken.append(1) or frame for frame in frames(*how))  # type: ignore[method-assign]
        return source

    monkeypatch.setattr(job, "open_masked", watched)
    ahead = []
    stylizer = Stylizer(work / "model.fnst", threads=2)
    way = options(stylizer)

    def slow(done: int, _count: int | None) -> None:
        if done < 20:
            time.sleep(0.01)
            ahead.append(len(taken) - done)

    stylize_video(Path("clip.y4m"), Path("out.y4m"), stylizer, way, on_frame=slow)
    assert max(ahead) <= 8
