"""A folder of pictures on the command line: what is done, skipped, reported as failed, and shown as progress."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import numpy as np
from command_line import COMMAND, GOOD_OUTPUTS, MODEL, Pixels, Run, failed, files_in, pixels
from PIL import Image

from fastnst import Stylizer


def test_folder_run_does_all_it_can_and_names_what_failed(run: Run, folder: Path, photos: dict[str, Pixels]) -> None:
    result = run("stylize", folder, "style.png", "-o", "out", *MODEL)
    assert result.code == 1
    reason = "not a picture in AVIF, BMP, HEIC, JPEG, PAM, PNG, PPM, TIFF or WebP format"
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
