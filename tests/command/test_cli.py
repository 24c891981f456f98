"""One picture on the command line: what options do, every exit code, and every kind of bad input in one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import COMMAND, MODEL, Pixels, Run, failed, files_in, pixels, stylize_one
from PIL import Image

from fastnst import Stylizer, stylize


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
        (("content.png", "style.png", "-o", "out"), "out: the suffix of an output is one of .avif"),
        (("content.png", "style.png", "-o", "out.gif"), "out.gif: the suffix of an output is one of .avif"),
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
        (
            ("content.png", "style.png", "-o", "out.png", "--colour"),
            "unrecognized arguments: --colour (see 'fastnst stylize --help')",
        ),
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
@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "webp", "ppm", "pam"])
def test_pictures_go_through_pipes(work: Path, kind: str) -> None:
    """In the format of what comes in, unless another is asked for; the line about it does not get between."""
    with Image.open("content.png") as image:
        image.convert("RGB").save(f"in.{kind}", **({"lossless": True} if kind == "webp" else {}))
    for options, format_ in (((), None), (("--format", "png"), "PNG")):
        done = subprocess.run(
            [*COMMAND, "stylize", "-", "style.png", "-o", "-", *MODEL, *options],
            input=(work / f"in.{kind}").read_bytes(), cwd=work, capture_output=True, check=True,
        )  # fmt: skip
        assert done.stderr.startswith(b"-  ")
        (work / "piped").write_bytes(done.stdout)
        with Image.open("piped") as image, Image.open(f"in.{kind}") as content:
            assert image.format == (format_ or content.format)
    subprocess.run([*COMMAND, "stylize", f"in.{kind}", "style.png", "-o", "file.png", *MODEL], cwd=work, check=True)
    np.testing.assert_array_equal(pixels("piped"), pixels("file.png"))


def test_what_is_wrong_in_a_pipe_is_named(work: Path) -> None:
    command = [*COMMAND, "stylize", "-", "style.png", "-o", "-", *MODEL]
    for sent, said in (
        (b"\x89PNG\r\n\x1a\nnothing", b"standard input: broken picture"),
        (b"text", b"standard input: neither a y4m video nor a picture in"),
    ):
        done = subprocess.run(command, input=sent, cwd=work, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (1, b"")
        assert said in done.stderr
        assert done.stderr.count(b"\n") == 1
