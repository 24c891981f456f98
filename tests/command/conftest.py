"""The command run in this process, and folders for it to work on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import Run, in_process
from PIL import Image


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run one command line in this process."""
    return in_process(capfd)


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
