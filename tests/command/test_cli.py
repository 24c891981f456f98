"""The command: every exit code, every kind of bad input, folder runs that are killed, and what is printed where."""

from __future__ import annotations

import json
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import fastnst
from fastnst import Stylizer, cli, stylize, verify
from fastnst.images import open_picture
from fastnst.system import atomic

Pixels = NDArray[np.uint8]


class Result(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Result]

# Whoever starts the tests in the background of a shell makes their children ignore SIGINT; this undoes it.
COMMAND = [
    sys.executable,
    "-c",
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from fastnst.cli import main; sys.exit(main())",
]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run one command line in this process."""

    def run(*arguments: str | Path) -> Result:
        capfd.readouterr()
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture
def work(tmp_path: Path, model_path: Path, photo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with ``model.fnst``, ``content.png`` and ``style.png``."""
    shutil.copy(model_path, tmp_path / "model.fnst")
    shutil.copy(photo_folder / "cat.png", tmp_path / "content.png")
    shutil.copy(photo_folder / "coffee.png", tmp_path / "style.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def folder(work: Path, photo_folder: Path) -> Path:
    """``photos``: good pictures, some in a folder of its own, a broken one, and a file that is none."""
    shutil.copytree(photo_folder, work / "photos")
    (work / "photos" / "more").mkdir()
    Image.open(photo_folder / "coffee.png").save(work / "photos" / "more" / "coffee.jpg")
    Image.open(photo_folder / "flower.png").save(work / "photos" / "more" / "flower.pgm")
    (work / "photos" / "bad.jpg").write_text("not a picture")
    (work / "photos" / "notes.txt").write_text("not meant as one")
    (work / "photos" / ".hidden.png").write_text("nor this")
    return work / "photos"


GOOD_OUTPUTS = {
    "astronaut.png",
    "cat.png",
    "china.png",
    "coffee.png",
    "flower.png",
    "more/coffee.jpg",
    "more/flower.png",
}

MODEL = ("--model", "model.fnst")


def stylize_one(run: Run, *options: str | Path) -> Result:
    return run("stylize", "content.png", "style.png", "-o", "out.png", *MODEL, *options)


def pixels(path: str | Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def failed(result: Result, *parts: str, code: int = 1) -> bool:
    """One line on stderr that holds ``parts``, nothing on stdout, the right exit code."""
    assert result.err.startswith("fastnst: error: ")
    assert result.err.count("\n") == 1
    assert not result.out
    assert result.code == code
    for part in parts:
        assert part in result.err
    return True


# ---- one picture ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("work")
def test_one_picture_has_the_pixels_of_the_python_face(run: Run, photos: dict[str, Pixels]) -> None:
    result = stylize_one(run)
    assert result.code == 0
    assert result.out.startswith("out.png  235x201  engine ")
    assert result.out.endswith(" ms\n")
    assert result.err == ""
    assert np.array_equal(pixels("out.png"), Stylizer("model.fnst")(photos["cat"], photos["coffee"]))


@pytest.mark.usefixtures("work")
def test_options_reach_the_engine(run: Run, photos: dict[str, Pixels]) -> None:
    stylizer = Stylizer("model.fnst")
    shutil.copy("content.png", "second.png")
    options = ("--alpha", "0.6", "--weights", "0.7,0.3", "--preserve-color", "--threads", "2", "--quiet")
    result = run("stylize", "content.png", "style.png", "second.png", "-o", "out.png", *MODEL, *options)
    assert result == (0, "", "")
    expected = stylizer(photos["cat"], [photos["coffee"], photos["cat"]], alpha=0.6, weights=[0.7, 0.3], preserve_color=True)
    assert np.array_equal(pixels("out.png"), expected)


def test_levels_of_wct(run: Run, work: Path, wct_path: Path, photos: dict[str, Pixels]) -> None:
    shutil.copy(wct_path, work / "wct.fnst")
    options = ("--model", "wct.fnst", "--levels", "1,4", "--json")
    result = run("stylize", "content.png", "style.png", "-o", "out.png", *options)
    assert result.code == 0
    report = json.loads(result.out)
    assert report["levels"] == [4, 1]
    assert report["working_memory"] == Stylizer("wct.fnst").engine.with_levels([4, 1]).working_bytes(*photos["cat"].shape[:2])
    assert np.array_equal(pixels("out.png"), Stylizer("wct.fnst")(photos["cat"], photos["coffee"], levels=(4, 1)))
    command = ("stylize", "content.png", "style.png", "-o", "b.png")
    assert failed(run(*command, "--model", "wct.fnst", "--levels", "5"), "no level 5")
    assert failed(run(*command, *MODEL, "--levels", "4"), "AdaIN")
    assert not (work / "b.png").exists()
    for wrong in ("", "x", "4,4", "0", "4,"):
        assert failed(run(*command, *MODEL, f"--levels={wrong}"), "--levels", code=2)


@pytest.mark.usefixtures("work")
def test_size_resizes_the_content_and_its_alpha(run: Run, photos: dict[str, Pixels]) -> None:
    content = Image.fromarray(photos["cat"])
    content.putalpha(Image.fromarray(photos["cat"][..., 0]))
    content.save("content.png")
    assert stylize_one(run, "--size", "100").code == 0
    small = content.resize((round(content.width * 100 / content.height), 100), Image.Resampling.LANCZOS)
    with Image.open("out.png") as out:
        assert out.size == small.size
        difference = np.asarray(out.getchannel("A"), int) - np.asarray(small.getchannel("A"), int)
        assert np.abs(difference).max() <= 1  # Pillow rounds to 8 bits between rows and columns


@pytest.mark.usefixtures("work")
def test_style_size(run: Run, photos: dict[str, Pixels]) -> None:
    """Larger styles are shrunk to 512, smaller ones stay; 0 keeps any, a number makes all that size."""
    large = Image.fromarray(photos["coffee"]).resize((900, 600))
    large.save("style.png")
    stylizer = Stylizer("model.fnst")
    for options, size in (((), (768, 512)), (("--style-size", "0"), (900, 600)), (("--style-size", "64"), (96, 64))):
        assert stylize_one(run, "--overwrite", *options).code == 0
        style = large.resize(size, Image.Resampling.LANCZOS)
        assert np.array_equal(pixels("out.png"), stylizer(photos["cat"], np.asarray(style)))
    Image.fromarray(photos["coffee"]).save("style.png")
    assert stylize_one(run, "--overwrite").code == 0
    assert np.array_equal(pixels("out.png"), stylizer(photos["cat"], photos["coffee"]))


@pytest.mark.usefixtures("work")
def test_json_has_size_times_and_memory(run: Run) -> None:
    start = time.perf_counter()
    result = stylize_one(run, "--json")
    wall = time.perf_counter() - start
    assert result.err == ""
    report = json.loads(result.out)
    assert (report["content"], report["output"]) == ("content.png", "out.png")
    assert (report["height"], report["width"]) == pixels("out.png").shape[:2]
    seconds = report["seconds"]
    assert set(seconds) == {"style", "read", "encode", "decode", "color", "write", "total"}
    steps = sum(value for step, value in seconds.items() if step != "total")
    assert 0 < steps <= seconds["total"] + 1e-5 < wall + 1e-5
    assert report["engine_milliseconds"] == pytest.approx(1000 * (seconds["encode"] + seconds["decode"]), abs=0.01)
    assert report["working_memory"] == Stylizer("model.fnst").engine.working_bytes(report["height"], report["width"])
    assert 10 * 2**20 < report["peak_memory"] < 2**40


@pytest.mark.usefixtures("work")
def test_existing_output_needs_overwrite(run: Run) -> None:
    Path("out.png").write_bytes(b"precious")
    assert failed(stylize_one(run), "out.png: exists already")
    assert Path("out.png").read_bytes() == b"precious"
    assert stylize_one(run, "--overwrite").code == 0
    assert pixels("out.png").ndim == 3


@pytest.mark.usefixtures("work")
def test_output_in_place_of_the_content_needs_overwrite(run: Run, photos: dict[str, Pixels]) -> None:
    arguments = ("stylize", "content.png", "style.png", "-o", "content.png", *MODEL)
    assert failed(run(*arguments), "content.png: exists already")
    assert np.array_equal(pixels("content.png"), photos["cat"])
    assert run(*arguments, "--overwrite").code == 0
    assert np.array_equal(pixels("content.png"), Stylizer("model.fnst")(photos["cat"], photos["coffee"]))


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("missing.png", "style.png", "-o", "out.png"), ("missing.png: no such file",)),
        (("content.png", "missing.png", "-o", "out.png"), ("missing.png: no such file",)),
        (("empty.png", "style.png", "-o", "out.png"), ("empty.png: is empty",)),
        (("content.png", "empty.png", "-o", "out.png"), ("empty.png: is empty",)),
        (("text.png", "style.png", "-o", "out.png"), ("text.png: not a picture",)),
        (("cut.jpg", "style.png", "-o", "out.png"), ("cut.jpg: ", "truncated")),
        (("cut.png", "style.png", "-o", "out.png"), ("cut.png: ", "cut short")),
        (("content.png", "cut.jpg", "-o", "out.png"), ("cut.jpg: ", "truncated")),
        (("content.png", "folder", "-o", "out.png"), ("folder: is a folder, not a picture",)),
        (("content.png", "clip.mp4", "-o", "out.png"), ("clip.mp4: is a video, not a picture",)),
        (("folder", "style.png", "-o", "outputs"), ("folder: no pictures or videos in this folder",)),
        (("content.png", "style.png", "-o", "missing/out.png"), ("missing/out.png: no such folder",)),
        (("content.png", "style.png", "-o", "text.png/out.png"), ("text.png/out.png: no such folder",)),
        (("content.png", "style.png", "-o", "out.png", "--size", "99999"), ("content.png: ", "100 megapixels")),
        (("content.png", "style.png", "-o", "out.png", "--model", "zero.fnst"), ("zero.fnst: ",)),
        (("content.png", "style.png", "-o", "out.png", "--model", "no.fnst"), ("no.fnst: no such model file",)),
        (("content.png", "style.png", "-o", "out.png", "--model", "vgg"), ("no model is named 'vgg'",)),
    ],
)
def test_failures_are_one_line_and_leave_nothing(
    run: Run, work: Path, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    Path("empty.png").touch()
    Path("zero.fnst").touch()
    Path("text.png").write_text("not a picture")
    Path("clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    Path("folder").mkdir()
    Image.open("content.png").save("cut.jpg")
    Path("cut.jpg").write_bytes(Path("cut.jpg").read_bytes()[:3000])
    Path("cut.png").write_bytes(Path("content.png").read_bytes()[:30000])
    before = files_in(work)
    assert failed(run("stylize", *MODEL, *arguments), *parts)
    assert files_in(work) == before


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("content.png", "style.png"), "required: -o"),
        (("content.png", "-o", "out.png"), "needs a STYLE"),
        (("content.png", "style.png", "-o", "out"), "out: the suffix of an output is one of .jpg"),
        (("content.png", "style.png", "-o", "out.gif"), "out.gif: the suffix of an output is one of .jpg"),
        (("content.png", "style.png", "-o", "."), "is a folder"),
        ((".", "style.png", "-o", "style.png"), "style.png: is a file; name a folder"),
        ((".", "style.png", "-o", "."), "only --overwrite"),
        (("", "style.png", "-o", "out.png"), "a file name is empty"),
        (("content.png", "style.png", "-o", "out.png", "--alpha", "1.5"), "--alpha: 1.5 is not in 0..1"),
        (("content.png", "style.png", "-o", "out.png", "--alpha", "-0.5"), "--alpha: -0.5 is not in 0..1"),
        (("content.png", "style.png", "-o", "out.png", "--alpha", "nan"), "--alpha: nan is not in 0..1"),
        (("content.png", "style.png", "-o", "out.png", "--alpha", "much"), "--alpha: 'much' is not a number"),
        (("content.png", "style.png", "-o", "out.png", "--weights", "1,2"), "one number for each style: 1"),
        (("content.png", "style.png", "-o", "out.png", "--weights", "1;2"), "'1;2' is not a number"),
        (("content.png", "style.png", "-o", "out.png", "--weights", ""), "'' is not a number"),
        (("content.png", "style.png", "-o", "out.png", "--weights", "0"), "not all 0"),
        (("content.png", "style.png", "-o", "out.png", "--weights=-1"), "at least 0"),
        (("content.png", "style.png", "-o", "out.png", "--weights", "nan"), "at least 0"),
        (("content.png", "style.png", "-o", "out.png", "--size", "-1"), "--size: -1 is less than 0"),
        (("content.png", "style.png", "-o", "out.png", "--style-size", "x"), "'x' is not a whole number"),
        (("content.png", "style.png", "-o", "out.png", "--threads", "0"), "--threads: 0 is less than 1"),
        (("content.png", "style.png", "-o", "out.png", "--colour"), "unrecognized arguments: --colour"),
        (("content.png", "style.png", "-o", "out.png", "--over"), "unrecognized arguments: --over"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(run: Run, work: Path, arguments: tuple[str, ...], part: str) -> None:
    before = files_in(work)
    assert failed(run("stylize", *MODEL, *arguments), part, code=2)
    assert files_in(work) == before


@pytest.mark.parametrize("name", [b"caf\xe9.png", b"two  words.png", b"-dash.png", b"new\nline.png", b"n" * 251 + b".png"])
def test_strange_file_names(work: Path, name: bytes) -> None:
    os.rename(b"content.png", name)  # noqa: PTH104
    output = b"o" + name[1:]
    done = subprocess.run(
        [*COMMAND, "stylize", *MODEL, b"-o", output, b"--", name, b"style.png"], cwd=work, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(output + b"  ")
    assert os.path.exists(output)  # noqa: PTH110
    again = subprocess.run(
        [*COMMAND, "stylize", *MODEL, b"-o", output, b"--", name, b"style.png"], cwd=work, capture_output=True, check=False
    )
    assert again.returncode == 1
    assert again.stderr.count(b"\n") == 1


def test_a_decoder_that_complains_to_stderr_is_not_heard(work: Path, photos: dict[str, Pixels]) -> None:
    """libtiff prints "Using code not yet in table" by itself, Pillow logs samples that it cannot decode."""
    Image.fromarray(photos["cat"]).save(work / "broken.tif", compression="tiff_lzw")
    data = bytearray((work / "broken.tif").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = b"\xff" * 200
    (work / "broken.tif").write_bytes(data)
    done = subprocess.run(
        [*COMMAND, "stylize", *MODEL, "broken.tif", "style.png", "-o", "out.png"], cwd=work, capture_output=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith(b"fastnst: error: broken.tif: ") and done.stderr.count(b"\n") == 1


@pytest.mark.usefixtures("work")
def test_unexpected_errors_are_one_line_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("bad luck")

    monkeypatch.setattr(stylize.Stylizer, "__init__", broken)
    assert failed(stylize_one(run), "ZeroDivisionError: bad luck")


@pytest.mark.usefixtures("work")
def test_lack_of_memory_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(stylize.Stylizer, "stylize", exhausted)
    assert failed(stylize_one(run), "content.png: not enough memory")


@pytest.mark.parametrize("option", ["--json", "--overwrite"])
def test_closed_output_pipe_is_not_a_traceback(work: Path, option: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [*COMMAND, "stylize", *MODEL, "content.png", "style.png", "-o", "out.png", option]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(arguments, cwd=work, env=buffered, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("place", [0, 1, 3])
def test_an_address_is_shown_whole(run: Run, place: int) -> None:
    words = ["content.png", "style.png", "-o", "out.png"]
    words[place] = "https://example.org/a.jpg"
    assert failed(run("stylize", *words, *MODEL), "https://example.org/a.jpg: is an address", code=2)


@pytest.mark.usefixtures("work")
def test_pipes_are_for_videos(run: Run) -> None:
    for content, output in (("-", "out.jpg"), ("content.png", "-")):
        said = "-: standard input and output carry y4m videos; a picture is read from a file, into a file"
        assert failed(run("stylize", content, "style.png", "-o", output, *MODEL), said, code=2)


# ---- folders ----------------------------------------------------------------------------------------------------------------


def test_folder_run_does_all_it_can_and_names_what_failed(run: Run, folder: Path, photos: dict[str, Pixels]) -> None:
    result = run("stylize", folder, "style.png", "-o", "out", *MODEL)
    assert result.code == 1
    reason = "not a picture in JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP, PPM or PAM format"
    assert result.err == f"fastnst: error: {folder}/bad.jpg: {reason}\n"
    assert result.out.startswith("7 stylized, 1 failed, 1 other files left alone, ")
    assert result.out.count("\n") == 1
    assert files_in(Path("out")) == GOOD_OUTPUTS
    stylizer = Stylizer("model.fnst")
    for name in ("cat", "china"):
        assert np.array_equal(pixels(f"out/{name}.png"), stylizer(photos[name], photos["coffee"]))


def test_second_folder_run_does_only_what_is_missing(run: Run, folder: Path) -> None:
    arguments = ("stylize", folder, "style.png", "-o", "out", *MODEL)
    run(*arguments)
    Path("out/cat.png").unlink()
    Path("out/china.png").write_bytes(b"mine")
    (folder / "bad.jpg").unlink()
    result = run(*arguments)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("1 stylized, 6 already there, ")
    assert Path("out/china.png").read_bytes() == b"mine"
    assert files_in(Path("out")) == GOOD_OUTPUTS
    assert run(*arguments).out == "0 stylized, 7 already there, 1 other files left alone\n"
    assert run(*arguments, "--overwrite").out.startswith("7 stylized, ")
    assert pixels("out/china.png").ndim == 3


def test_folder_run_in_json_has_a_line_for_each_picture(run: Run, folder: Path) -> None:
    result = run("stylize", folder, "style.png", "-o", "out", "--json", *MODEL)
    assert result.code == 1
    reports = [json.loads(line) for line in result.out.splitlines()]
    assert {report["output"] for report in reports} == {f"out/{name}" for name in GOOD_OUTPUTS | {"bad.jpg"}}
    (broken,) = (report for report in reports if "error" in report)
    assert broken["content"].endswith("bad.jpg") and f"{broken['error']}\n" in result.err
    assert [report["seconds"]["style"] > 0 for report in reports if report is not broken] == [True] + [False] * 6


def test_quiet_folder_run_prints_failures_only(run: Run, folder: Path) -> None:
    assert failed(run("stylize", folder, "style.png", "-o", "out", "--quiet", *MODEL), "bad.jpg")


def test_output_folder_inside_the_content_folder_is_not_content(run: Run, folder: Path) -> None:
    arguments = ("stylize", folder, "style.png", "-o", folder / "styled", *MODEL)
    run(*arguments)
    assert run(*arguments).out.startswith("0 stylized, 7 already there, ")
    assert files_in(folder / "styled") == GOOD_OUTPUTS


def test_two_pictures_for_one_output_stop_each_other_and_nothing_else(run: Run, folder: Path) -> None:
    Image.new("L", (9, 9)).save(folder / "cat.pgm")
    (folder / "bad.jpg").unlink()
    result = run("stylize", folder, "style.png", "-o", "out", "--json", *MODEL)
    reasons = [
        f"{folder}/cat.{one}: its output out/cat.png is also that of {folder}/cat.{other}; rename one of them"
        for one, other in (("pgm", "png"), ("png", "pgm"))
    ]
    assert (result.code, result.err.splitlines()) == (1, [f"fastnst: error: {reason}" for reason in reasons])
    assert [json.loads(line)["error"] for line in result.out.splitlines() if "error" in json.loads(line)] == reasons
    assert files_in(Path("out")) == GOOD_OUTPUTS - {"cat.png"}


def test_pictures_of_kinds_that_are_not_read_are_named(run: Run, folder: Path) -> None:
    """Not counted among the files that are no pictures; one that is another kind than its name says is read."""
    (folder / "bad.jpg").unlink()
    Image.new("RGB", (16, 16)).save(folder / "photo.jp2")
    Image.new("RGB", (16, 16)).save(folder / "really-png.tga", format="PNG")
    (folder / "phone.hif").write_bytes(b"\0\0\0\x18ftypnone" + bytes(50))
    result = run("stylize", folder, "style.png", "-o", "out", *MODEL)
    assert result.code == 1 and result.out.startswith("8 stylized, 2 failed, 1 other files left alone, ")
    assert [line.split(": ")[2] for line in result.err.splitlines()] == [f"{folder}/phone.hif", f"{folder}/photo.jp2"]
    assert "is a JPEG 2000 picture, which is not read here" in result.err
    assert files_in(Path("out")) == GOOD_OUTPUTS | {"really-png.png"}


def test_output_that_cannot_be_written_is_a_failure_of_its_picture(run: Run, folder: Path) -> None:
    Path("out").mkdir()
    Path("out/more").write_text("a file where a folder has to be")
    result = run("stylize", folder, "style.png", "-o", "out", "--quiet", *MODEL)
    assert result.code == 1
    assert [line.split(": ")[2] for line in result.err.splitlines()] == [f"{folder}/bad.jpg", "out/more", "out/more"]
    assert files_in(Path("out")) == {name for name in GOOD_OUTPUTS if "/" not in name} | {"more"}


def test_bad_style_stops_a_folder_run(run: Run, folder: Path) -> None:
    assert failed(run("stylize", folder, folder / "bad.jpg", "-o", "out", *MODEL), "bad.jpg: not a picture")
    assert not Path("out").exists()


def test_progress_bar_on_a_terminal_only(folder: Path) -> None:
    (folder / "bad.jpg").unlink()
    terminal, stderr = pty.openpty()
    arguments = [*COMMAND, "stylize", *MODEL, "photos", "style.png", "-o", "out", "--overwrite"]
    shown = subprocess.run(arguments, cwd=folder.parent, stdout=subprocess.PIPE, stderr=stderr, check=True)
    text = os.read(terminal, 1 << 16).decode()
    assert "\r[" + "." * 30 + "] 0/7" in text
    assert "\r[" + "#" * 30 + "] 7/7  " in text
    assert "/s  0:00:00 left" in text
    assert b"[" not in shown.stdout
    subprocess.run([*arguments, "--quiet"], cwd=folder.parent, stdout=subprocess.PIPE, stderr=stderr, check=True)
    os.write(stderr, b"end")
    assert os.read(terminal, 1 << 16) == b"end"
    os.close(stderr)
    os.close(terminal)
    piped = subprocess.run(arguments, cwd=folder.parent, capture_output=True, check=True)
    assert piped.stderr == b""


# ---- killed and interrupted runs --------------------------------------------------------------------------------------------


@pytest.fixture
def many(work: Path, photos: dict[str, Pixels]) -> Path:
    """A folder that takes long enough to be killed in."""
    (work / "many").mkdir()
    for index in range(60):
        Image.fromarray(np.roll(photos["china"], 5 * index, axis=1)).save(work / "many" / f"{index:02}.png")
    return work / "many"


def start_and_wait_for_outputs(folder: Path, outputs: int) -> subprocess.Popen[str]:
    """A folder run that has written at least so many outputs."""
    arguments = [*COMMAND, "stylize", *MODEL, "many", "style.png", "-o", "out", "--threads", "1"]
    process = subprocess.Popen(arguments, cwd=folder.parent, stderr=subprocess.PIPE, text=True)
    while len(list((folder.parent / "out").glob("*.png"))) < outputs:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    return process


def test_folder_run_killed_several_times_ends_as_one_that_was_not(run: Run, many: Path) -> None:
    for outputs in (1, 5, 9, 14):
        process = start_and_wait_for_outputs(many, outputs)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        for path in Path("out").glob("*.png"):
            assert pixels(path).shape == pixels(many / path.name).shape
    # Whether the signal met a write is chance; this is what it leaves then.
    stale = Path("out") / f"{atomic._PARTIAL_PREFIX}{process.pid}-0.partial"
    stale.touch()
    there = len(list(Path("out").glob("*.png")))
    result = run("stylize", many, "style.png", "-o", "out", *MODEL)
    assert result.code == 0
    assert result.out.startswith(f"{60 - there} stylized, {there} already there, ")
    run("stylize", many, "style.png", "-o", "unbroken", *MODEL)
    assert files_in(Path("out")) == files_in(Path("unbroken"))
    for path in Path("unbroken").iterdir():
        assert path.read_bytes() == (Path("out") / path.name).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_folder_run_exits_130_without_partial_files(many: Path, number: signal.Signals) -> None:
    for outputs in (1, 4, 7):
        process = start_and_wait_for_outputs(many, outputs)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (130, "fastnst: interrupted\n")
        assert all(name.endswith(".png") for name in files_in(Path("out")))
        for path in Path("out").iterdir():
            assert pixels(path).shape == pixels(many / path.name).shape
    assert len(files_in(Path("out"))) < 60


def test_interrupted_folder_run_lists_what_failed_before(many: Path) -> None:
    (many / "00-bad.png").write_text("not a picture")
    process = start_and_wait_for_outputs(many, 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    first, last = err.splitlines()
    assert first.startswith("fastnst: error: many/00-bad.png: not a picture") and last == "fastnst: interrupted"


def test_interrupt_does_not_wait_for_a_busy_engine(work: Path) -> None:
    """The engine is a minute of work in C that, like the real one, lets other threads run but cannot be stopped."""
    script = """
import hashlib, pathlib, signal, sys
from fastnst import cli, stylize
def busy(*_):
    pathlib.Path("busy").touch()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 200_000_000)
stylize.Stylizer.stylize = busy
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(cli.main(sys.argv[1:]))
"""
    arguments = [sys.executable, "-c", script, "stylize", *MODEL, "content.png", "style.png", "-o", "out.png"]
    process = subprocess.Popen(arguments, cwd=work, stderr=subprocess.PIPE, text=True)
    while not (work / "busy").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "fastnst: interrupted\n")
    assert files_in(work) == {"model.fnst", "content.png", "style.png", "busy"}


# ---- the other commands -----------------------------------------------------------------------------------------------------


def test_version_and_help(run: Run) -> None:
    assert run("--version") == (0, f"fastnst {fastnst.__version__}\n", "")
    listing = run("--help")
    assert listing.code == 0
    for command in ("stylize", "models", "info", "convert", "train", "bench"):
        assert command in listing.out
        assert run(command, "--help").out.startswith(f"usage: fastnst {command} ")
    for option in ("--alpha", "--weights", "--preserve-color", "--size", "--style-size", "--threads", "--overwrite"):
        assert option in run("stylize", "--help").out


def test_no_and_unknown_commands_are_wrong_usage(run: Run) -> None:
    assert failed(run(), "required: COMMAND", code=2)
    assert failed(run("paint"), "invalid choice: 'paint'", code=2)


def test_python_m_fastnst() -> None:
    done = subprocess.run([sys.executable, "-m", "fastnst", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"fastnst {fastnst.__version__}\n"


def test_models_prints_what_ships(run: Run, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stylize, "_MODELS", work)
    lines = run("models").out.splitlines()
    assert lines[0].startswith("name ")
    assert lines[1].split() == ["model", "adain", "12,345", f"{Path('model.fnst').stat().st_size:,}", "679", "-"]
    (report,) = map(json.loads, run("models", "--json").out.splitlines())
    assert report["name"] == "model"
    assert report["parameters"] == 12345
    assert report["file_bytes"] == Path("model.fnst").stat().st_size


def test_models_prints_card_and_layers_of_a_file(run: Run, work: Path) -> None:
    lines = run("models", "model.fnst").out.splitlines()
    assert lines[0].split() == ["path", "model.fnst"]
    assert ["kind", "adain"] in [line.split() for line in lines]
    assert ["parameters", "12345"] in [line.split() for line in lines]
    layers = [line.split() for line in lines[lines.index("") + 1 :]]
    assert layers[0] == ["part", "layer", "inputs", "outputs", "kernel", "does", "weights"]
    assert layers[1][:4] == ["encoder", "1", "3", layers[2][2]]
    (report,) = map(json.loads, run("models", "--json", "model.fnst").out.splitlines())
    assert len(report["layers"]) == len(layers) - 1
    assert report["card"]["parameters"] == 12345
    (work / "damaged.fnst").write_bytes((work / "model.fnst").read_bytes()[:-9])
    result = run("models", "damaged.fnst")
    assert result.code == 1
    assert result.err.startswith("fastnst: error: damaged.fnst: ")
    assert run("models", "absent").code == 1


def test_verify_passes_on_every_path_of_this_machine(run: Run) -> None:
    result = run("verify")
    assert result.code == 0
    for name, runs in fastnst.engine.instruction_sets():
        assert sum(line.startswith(f"pass: {name}, ") for line in result.out.splitlines()) == (3 if runs else 0)


def test_verify_says_which_path_differs(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = json.loads(verify.GOLDENS.read_text())
    table["adain-16x 0.5 1x1"] = "0" * 64
    (tmp_path / "goldens.json").write_text(json.dumps(table))
    monkeypatch.setattr(verify, "GOLDENS", tmp_path / "goldens.json")
    monkeypatch.setattr(verify.engine, "instruction_sets", lambda: [("scalar", True)])
    result = run("verify")
    assert result.code == 1 and not result.out
    assert result.err.splitlines()[0] == ("fastnst: error: scalar, 1 threads: 1 differ, such as adain-16x 0.5 1x1")


def test_info_names_the_path_in_use_and_the_versions(run: Run) -> None:
    result = run("info")
    assert result.code == 0
    facts = dict(line.split(maxsplit=1) for line in result.out.splitlines() if not line.startswith(("can", "instr")))
    assert facts["fastnst"] == fastnst.__version__
    assert facts["numpy"] == np.__version__
    assert int(facts["threads"]) == len(os.sched_getaffinity(0))
    assert f"instruction set  {fastnst.engine.instruction_set()}\n" in result.out
    for name, runs in fastnst.engine.instruction_sets():
        (line,) = (line for line in result.out.splitlines() if line.startswith("can run" if runs else "cannot run"))
        assert name in line


def test_info_without_torch() -> None:
    script = """
import importlib.util, sys
import fastnst.info
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "torch" else find_spec(name)
from fastnst.cli import main
code = main(["info"])
assert "torch" not in sys.modules
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "needs torch" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("convert", "in.safetensors", "-o", "out.fnst", "--calibrate", "."), "torch"),
        (("train", "adain"), "train"),
        (("bench",), "bench"),
    ],
)
def test_commands_that_need_torch_say_how_to_get_it(arguments: tuple[str, ...], extra: str) -> None:
    script = f"""
import sys, types
recipes = types.ModuleType("fastnst.train")
recipes.__path__ = []
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "fastnst.train.adain"):
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, NoTorch())
sys.modules["fastnst.train"] = recipes
from fastnst.cli import main
sys.exit(main({list(arguments)!r}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"fastnst: error: fastnst {arguments[0]} needs torch: pip install 'fastnst[{extra}]'\n"


@pytest.mark.parametrize("chosen", [None, "ACTIVE"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("convert", "in.safetensors", "-o", "out.fnst", "--calibrate", "."),
        ("train", "adain"),
        ("evaluate", "adain-16x", "--content", ".", "--style", ".", "--weights", ".", "-o", "evaluation"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_threads_of_commands_with_torch_sleep_while_they_wait(arguments: tuple[str, ...], chosen: str | None) -> None:
    """Spinning beside two others, `convert` was not done in 26 minutes; asleep in 10. OpenMP reads the variable as it loads."""
    script = f"""
import os, sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, NoTorch())
from fastnst.cli import main
sys.exit(main({list(arguments)!r}))
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}
    environment |= {"OMP_WAIT_POLICY": chosen} if chosen else {}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout.split()) == (1, [chosen or "PASSIVE"])


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_no_failure(closed: str) -> None:
    """As of services: Python has None for them, and the next file that is opened would be one of them."""
    command = "stylize content.png style.png -o out.png --model model.fnst --overwrite"
    for options in ("", " --json", " --quiet"):
        line = f"{shlex.quote(sys.executable)} -m fastnst {command}{options} {closed}"
        done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert open_picture(Path("out.png")).rgb.size == open_picture(Path("content.png")).rgb.size


def fake_module(monkeypatch: pytest.MonkeyPatch, name: str, **contents: object) -> None:
    module = ModuleType(name)
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("work")
def test_convert_passes_its_arguments_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def convert(source: Path, calibration: Path, output: Path, **options: object) -> dict[str, int]:
        calls.append((source, calibration, output, options))
        output.write_bytes(bytes(1234))
        return {"parameters": 5678}

    fake_module(monkeypatch, "fastnst.convert", convert=convert)
    arguments = ("convert", "in.safetensors", "--calibrate", "photos", "-o")
    assert run(*arguments, "out.fnst") == (0, "out.fnst  5,678 parameters  1,234 bytes\n", "")
    assert run(*arguments, "out.fnst", "--name", "small", "--overwrite", "--keep-dead").code == 0
    assert run(*arguments, "out.fnst", "--nearly-dead", "0.1").code == 0
    assert run(*arguments, "out.fnst", "--source", "a paper", "--licence", "CC0").code == 0
    paths = (Path("in.safetensors"), Path("photos"), Path("out.fnst"))
    plain = {"name": None, "origin": None, "licence": None, "overwrite": False, "winograd": "never", "keep_dead": False}
    plain |= {"nearly_dead": 0.0, "report": None}
    assert calls == [
        (*paths, plain),
        (*paths, plain | {"name": "small", "overwrite": True, "keep_dead": True}),
        (*paths, plain | {"nearly_dead": 0.1}),
        (*paths, plain | {"origin": "a paper", "licence": "CC0"}),
    ]
    assert failed(run(*arguments, "out.fnst", "--keep-dead", "--nearly-dead", "0.1"), "not allowed with", code=2)
    assert failed(run(*arguments, "out.onnx"), "out.onnx: the suffix of a model is .fnst", code=2)


def test_train_passes_all_arguments_to_the_recipe(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    fake_module(monkeypatch, "fastnst.train.adain", main=calls.append)
    assert run("train", "adain", "--help", "-o", "x", "--", "y").code == 0
    assert calls == [["--help", "-o", "x", "--", "y"]]
    assert failed(run("train", "everything"), "invalid choice: 'everything'", code=2)
