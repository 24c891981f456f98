"""What one picture needs is imported, and nothing else: half of the time of a small picture is Python's imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

MODULES = 71
"""Of fastnst, at most, for a JPEG that becomes one. Every module takes about a quarter of a millisecond, and a frozen dataclass
in it another half: before a feature raises this, let the function that needs its modules import them."""
NOT_NEEDED = {
    "PIL.ImageCms",
    "PIL.ImageOps",
    "PIL.TiffImagePlugin",
    "_hashlib",
    "email",
    "http",
    "multiprocessing",
    "random",
    "socket",
    "ssl",
    "tarfile",
    "tempfile",
    "xml",
}
COMMAND = ("stylize", "content.jpg", "style.jpg", "-o", "out.jpg", "--quiet")


def child(script: str, environment: dict[str, str] | None = None) -> list[str]:
    """The words that a new Python prints."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.split()


@pytest.fixture
def jpegs(work: Path) -> None:
    for name in ("content", "style"):
        Image.open(work / f"{name}.png").convert("RGB").save(work / f"{name}.jpg")


def run(before: str, after: str) -> str:
    return f"import sys\nfrom fastnst.cli import main\n{before}\nassert main({list(COMMAND)!r}) == 0\n{after}\n"


@pytest.mark.usefixtures("jpegs")
def test_one_picture_imports_little() -> None:
    found = set(child(run("", "print(*sys.modules)")))
    ours = {name for name in found if name.split(".")[0] == "fastnst"}
    assert len(ours) <= MODULES, sorted(ours)
    theirs = child("import sys, numpy\nfrom PIL import Image\nImage.preinit()\nprint(*sys.modules)")
    assert (found - set(theirs)) & NOT_NEEDED == set()


@pytest.mark.usefixtures("jpegs")
def test_a_png_takes_none_of_the_modules_for_pictures_of_other_formats() -> None:
    found = child(run("", "print(*sys.modules)").replace("out.jpg", "out.png"))
    assert {"PIL.GifImagePlugin", "PIL.PngImagePlugin", "PIL.PpmImagePlugin"}.isdisjoint(found)
    assert "fastnst.pictures.tiff_reader" not in found


@pytest.mark.usefixtures("jpegs")
def test_webp_is_read_without_all_of_pillows_modules(work: Path) -> None:
    Image.open(work / "content.png").convert("RGB").save(work / "content.webp")
    found = child(run("", "print(*sys.modules)").replace("content.jpg", "content.webp"))
    assert "PIL.WebPImagePlugin" in found and "PIL.XpmImagePlugin" not in found


@pytest.mark.usefixtures("jpegs")
@pytest.mark.parametrize("chosen", [None, "3"])
def test_numpy_starts_no_threads_that_nothing_is_done_by(chosen: str | None) -> None:
    """OpenBLAS reads the variable as NumPy is loaded, and its threads spin until they sleep: 60 ms of a core."""
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    environment |= {"OPENBLAS_NUM_THREADS": chosen} if chosen else {}
    look = """
import os
class Numpy:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            print(os.environ.get("OPENBLAS_NUM_THREADS"))
sys.meta_path.insert(0, Numpy())
"""
    assert child(run(look, ""), environment) == [chosen or "1"]


@pytest.mark.usefixtures("jpegs")
def test_nothing_is_looked_at_for_garbage_at_the_end() -> None:
    """A process that ends gives all back; to look through a hundred thousand objects first takes as long as a picture."""
    first = "import atexit, gc\natexit.register(lambda: print(gc.get_freeze_count() > 10_000, len(gc.get_objects()) < 10_000))"
    assert child(run(first, "")) == ["True", "True"]
