"""The command run in this process, and a small data set."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, in_process
from PIL import Image

OPTIONS = ("--model", "adain-nano", "--threads", "2")


def picture(seed: int, size: tuple[int, int] = (44, 36)) -> Image.Image:
    """Soft colours, not flat."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG") -> bytes:
    data = io.BytesIO()
    image.save(data, kind)
    return data.getvalue()


def write_tar(path: Path, files: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), 1_700_000_000
            archive.addfile(member, io.BytesIO(data))


def read_tar(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run one command line in this process."""
    return in_process(capfd)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``data``: two classes of pictures, some grey, one of another size; ``styles``: five; ``shards``: two of 70 samples and
    of 3."""
    folder = tmp_path_factory.mktemp("made")
    for seed, name in enumerate(("cats/a.jpg", "cats/b.png", "cats/old/c.jpg", "dogs/a.jpg", "dogs/d.jpg", "dogs/e.jpg")):
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        image = picture(seed, (60, 50) if seed == 4 else (44, 36))
        (image.convert("L") if seed == 3 else image).save(folder / "data" / name)
    (folder / "styles").mkdir()
    for seed in range(5):
        picture(100 + seed).save(folder / "styles" / f"s.{seed}.png")
    (folder / "shards").mkdir()
    files = {}
    for at in range(70):
        files[f"{at:03}.cls"] = str(at % 2).encode()
        files[f"{at:03}.jpg"] = encoded(picture(at, (24, 20)))
    write_tar(folder / "shards" / "a-0.tar", files)
    write_tar(folder / "shards" / "a-1.tar", {f"{at}.png": encoded(picture(at, (24, 20)), "PNG") for at in range(3)})
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with links to these; the user's cache is in it."""
    for name in ("styles", "shards"):
        (tmp_path / name).symlink_to(made / name)
    (tmp_path / "data").symlink_to(made / "data")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path
