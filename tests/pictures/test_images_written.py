"""Pictures are written complete or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from picture_files import rgb_of
from PIL import Image

from fastnst.images import ImageError, Picture, open_picture, save_picture
from fastnst.system import atomic


def test_output_is_hidden_until_complete_and_synced_before_it_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    sync, replace = os.fsync, Path.replace

    def watched_sync(descriptor: int) -> None:
        steps.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    def watched_replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    with atomic.atomic_output(tmp_path / "out.png") as file:
        file.write(b"content")
        (partial,) = tmp_path.iterdir()
        assert partial.name.startswith(".")
    assert steps == [partial.name, "rename", tmp_path.name]
    assert (tmp_path / "out.png").read_bytes() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_interrupted_output_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"old")

    def write_half() -> None:
        with atomic.atomic_output(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_outputs_are_image_errors(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    picture = Picture(Image.new("RGB", (2, 2)))
    with pytest.raises(ImageError, match="cannot be written: Not a directory"):
        save_picture(picture, tmp_path / "file" / "out.png")
    with pytest.raises(ImageError, match="cannot be written: No such file"):
        save_picture(picture, tmp_path / "missing" / "out.png")


def test_picture_too_large_for_the_format_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"wide\.webp: cannot be written"):
        save_picture(Picture(Image.new("RGB", (16_384, 1))), tmp_path / "wide.webp")
    assert list(tmp_path.iterdir()) == []


def test_longest_file_name(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".png")
    save_picture(Picture(Image.new("RGB", (2, 2), "lime")), path)
    assert np.array_equal(rgb_of(open_picture(path))[0, 0], (0, 255, 0))


def test_only_partial_files_of_dead_processes_of_this_machine_are_removed(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with atomic.atomic_output(tmp_path / "out.png"):
        (ours,) = tmp_path.iterdir()
        stale = tmp_path / ours.name.replace(f"-{os.getpid()}-", f"-{child.pid}-")
        elsewhere = tmp_path / f".fastnst-other.machine-{child.pid}-0.partial"
        users = tmp_path / "download.partial"
        for path in (stale, elsewhere, users):
            path.touch()
        atomic.remove_stale_partials(tmp_path)
        assert set(tmp_path.iterdir()) == {ours, elsewhere, users}
