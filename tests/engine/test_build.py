"""``csrc/build.py``: what is compiled once stays compiled."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from torture.native import build_file


@pytest.mark.parametrize("compiler", ["g++", "clang++", "em++"])
def test_a_second_build_makes_nothing_again(compiler: str, tmp_path: Path) -> None:
    """The header that files have in common, which must be found when they are compiled, is no older than what it is made of."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    build = build_file()
    units = [unit for unit in build.units("base") if unit.name in {"base.luma", "base.sha256"}]
    link = build.Link(tmp_path / "both.a", units, [])
    common = build.Common({"base.luma"}, [])
    text = build.ninja_file(tmp_path, compiler, build.FLAGS, [link], ["-O0", "-Winvalid-pch", "-Werror"], common)
    build.run_ninja(tmp_path / "build.ninja", text)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.suffix in {".h", ".gch", ".o", ".a"}}
    assert {path.name for path in made} == {"standard.h", "standard.h.gch", "base.luma.o", "base.sha256.o", "both.a"}
    build.run_ninja(tmp_path / "build.ninja", text)
    assert {path: path.stat().st_mtime_ns for path in made} == made
