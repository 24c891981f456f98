"""Runs that are killed or interrupted leave no half-written file, and the next run finishes their work."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import COMMAND, MODEL, Pixels, Run, files_in, pixels
from PIL import Image

from fastnst.system import atomic


@pytest.fixture
def many(work: Path, photos: dict[str, Pixels]) -> Path:
    """A folder that takes long enough to be killed in."""
    (work / "many").mkdir()
    for index in range(60):
        Image.fromarray(np.roll(photos["china"], 5 * index, axis=1)).save(work / "many" / f"{index:02}.png")
    return work / "many"


def start_and_wait_for_outputs(folder: Path, outputs: int) -> subprocess.Popen[str]:
    """A folder run that has written at least so many outputs more than there were, so that it has begun."""
    arguments = [*COMMAND, "stylize", *MODEL, "many", "style.png", "-o", "out", "--threads", "1"]
    there = len(list((folder.parent / "out").glob("*.png")))
    process = subprocess.Popen(arguments, cwd=folder.parent, stderr=subprocess.PIPE, text=True)
    while len(list((folder.parent / "out").glob("*.png"))) < there + outputs:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    return process


def test_folder_run_killed_several_times_ends_as_one_that_was_not(run: Run, many: Path) -> None:
    for outputs in (1, 4, 4, 5):
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
    for outputs in (1, 3, 3):
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


@pytest.mark.parametrize(("contents", "out"), [("content.png", "out.png"), ("many", "out")])
@pytest.mark.usefixtures("many")
def test_interrupt_does_not_wait_for_a_busy_engine(work: Path, contents: str, out: str) -> None:
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
    arguments = [sys.executable, "-c", script, "stylize", *MODEL, contents, "style.png", "-o", out]
    before = files_in(work)
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
    assert files_in(work) == before | {"busy"}
