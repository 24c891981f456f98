"""The source distribution: everything that a build and an installed package need is in it. ``.ci/run`` builds a wheel of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("csrc", "include", "fastnst", "kernels", "train", "bench")
NOT_NEEDED = ("bench/results/", "bench/gpu.sh", "bench/gpu-train.sh", "train/weights/")
"""Records, scripts of the repository, and weights that training may start from."""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    command = ["egg_info", "--egg-base", folder, "sdist", "--formats", "gztar", "--dist-dir", folder]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "setup.py", "-q", *command], cwd=ROOT, check=True, env=environment)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return archive.with_name(archive.name.removesuffix(".tar.gz"))


def test_every_file_of_the_source_folders_is_in_it(unpacked: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert len(tracked) > 300
    missing = [name for name in tracked if not (unpacked / name).is_file() and not name.startswith(NOT_NEEDED)]
    assert missing == []
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        assert (unpacked / name).is_file()


def test_its_own_build_finds_every_source_and_header(unpacked: Path) -> None:
    """The list of what is compiled is asked in the unpacked tree, and every header that a source names is looked for."""
    script = (
        "import setup; b = setup.build_file()\n"
        "print(*(u.path for u in [*b.units('.'), *b.units('bind'), *b.library(), *b.operations()]), sep='\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=unpacked, capture_output=True, text=True, check=True)
    left, seen = [Path(line) for line in done.stdout.split()], set[Path]()
    assert len(left) > 60
    while left:
        path = left.pop()
        assert path.is_file() and unpacked in path.parents
        for name in re.findall(r'#include "(.*?)"', path.read_text()):
            header = next(base / name for base in (unpacked / "csrc", unpacked / "include") if (base / name).is_file())
            if header not in seen:
                seen.add(header)
                left.append(header)
    assert len(seen) > 60


def test_its_build_finds_the_objects_of_this_tree(unpacked: Path, tmp_path: Path) -> None:
    """The same commands, of what is compiled and what is linked: ninja does again what was done by another one."""
    script = (
        "import setup; b = setup.build_file(); print(setup.headers())\n"
        "module = b.Link(setup.OBJECTS / 'module', [*b.units('bind'), *b.engine(), *b.operations()], b.module_flags())\n"
        "library = b.Link(setup.OBJECTS / b.SONAME, [*b.units('.'), *b.library()], b.library_flags())\n"
        "print(b.ninja_file(setup.OBJECTS, 'c++', b.FLAGS, [module, library]))\n"
    )
    environment = os.environ | {"FASTNST_OBJECTS": str(tmp_path)}
    command = [sys.executable, "-c", script]
    here, there = (
        subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
        for folder in (ROOT, unpacked)
    )
    assert here == there and len(here.splitlines()) > 150
    headers = Path(here.splitlines()[0])
    assert headers.parent == tmp_path and (headers / "pybind11" / "pybind11.h").is_file()
