"""What is built and installed: the same bytes wherever it is built, and it works where nothing else is."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from fastnst.verify import picture
from torture.framework import NotHereError, Outcome, check
from torture.native import ROOT

VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


def _run(command: list[str | Path], folder: Path, **environment: str) -> str:
    done = subprocess.run(command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()[-800:]}")
    return done.stdout


def _wheel(folder: Path, python: str | Path = sys.executable) -> Path:
    """A wheel of the tracked files, built in a folder of its own."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in _run(["git", "ls-files"], ROOT).splitlines():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    _run([python, "-m", "pip", "wheel", *options, "."], source, SOURCE_DATE_EPOCH="1700000000")
    return next(folder.glob("*.whl"))


@check("two builds in different folders, equal hashes", quick=0, full=2)
def reproducible_wheel(count: int) -> Outcome:
    """A wheel depends on the sources and the compiler, not on where and when it was built."""
    outcome = Outcome(reached=count)
    with TemporaryDirectory() as name:
        wheels = [_wheel(Path(name) / ("a" * (3 + 20 * number))) for number in range(count)]
        hashes = [hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels]
        if len(set(hashes)) > 1:
            contents = [{each.filename: each.CRC for each in zipfile.ZipFile(wheel).infolist()} for wheel in wheels]
            differ = {
                each for each in contents[0].keys() | contents[1].keys() if contents[0].get(each) != contents[1].get(each)
            }
            outcome.findings.append(f"wheels differ in {sorted(differ) or 'their archive'}")
        outcome.note = f"{hashes[0][:16]}, {wheels[0].stat().st_size:,} bytes"
    return outcome


def _pythons() -> dict[str, str]:
    """Version -> an interpreter that runs and can make environments."""
    found = {}
    for version in VERSIONS:
        path = shutil.which(f"python{version}")
        works = (
            path and subprocess.run([path, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode == 0
        )
        if path and works:
            found[version] = path
    return found


@check("installed in an empty environment of 5 Python versions, and the executable", quick=0, full=5)
def empty_environments(_: int) -> Outcome:
    """The wheel of every Python here stylizes a picture without torch, and so does the executable in it."""
    outcome, pythons = Outcome(note="Python"), _pythons()
    if not pythons:
        raise NotHereError("no Python that makes environments")
    for version, python in pythons.items():
        with TemporaryDirectory() as name:
            folder = Path(name)
            _run([python, "-m", "venv", "env"], folder)
            inside = folder / "env" / "bin"
            pip: list[str | Path] = [inside / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, "setuptools>=77", "pybind11", "ninja", "wheel"], folder)
            wheel = _wheel(folder / "built", inside / "python")
            _run([python, "-m", "venv", "--clear", "env"], folder)
            _run([*pip, wheel], folder)
            for place in ("content", "style"):
                Image.fromarray(picture(33, 40, len(place))).save(folder / f"{place}.png")
                Image.fromarray(picture(33, 40, len(place))).save(folder / f"{place}.ppm")
            _run([inside / "fastnst", "stylize", "content.png", "style.png", "-o", "out.png"], folder)
            said = _run([inside / "fastnst", "verify"], folder)
            models = next(inside.parent.rglob("models/adain-16x.fnst"))
            _run([inside / "fastnst-stylize", models, "content.ppm", "style.ppm", "-o", "out.ppm"], folder)
            same = np.array_equal(np.asarray(Image.open(folder / "out.png")), np.asarray(Image.open(folder / "out.ppm")))
            without = _run([inside / "python", "-c", "import fastnst.stylize, sys; print('torch' in sys.modules)"], folder)
            outcome.expect(same and "pass" in said and without.strip() == "False", f"Python {version}")
            outcome.note += f" {version}"
    return outcome
