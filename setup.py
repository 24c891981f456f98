"""Builds the compiled parts of the package: the Python module and the stand-alone executable. The rest is pyproject.toml.

``python setup.py build_libfastnst`` (``make lib``) builds the library for programs in C.
"""

from __future__ import annotations

import os
import runpy
import shutil
import sysconfig
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pybind11
from setuptools import Command, Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.dist import Distribution

ROOT = Path(__file__).parent
EXECUTABLE = "fastnst-stylize"
# Of all builds in this folder. setuptools' own place for them is new, and empty, at every editable installation. Copies of the
# sources may share it, of a source distribution for one: ninja compiles what differs. A copy of it helps none of them, for
# ninja knows objects by their whole names.
OBJECTS = Path(os.environ.get("FASTNST_OBJECTS") or ROOT / "build" / "objects").resolve()


def build_file() -> SimpleNamespace:
    """``csrc/build.py``: which files are compiled, and how."""
    return SimpleNamespace(**runpy.run_path(str(ROOT / "csrc" / "build.py")))


def sources() -> list[str]:
    """What a source distribution has to have beside the Python packages."""
    files = [path for folder in ("csrc", "include", "bench") for path in (ROOT / folder).rglob("*") if path.is_file()]
    return sorted(path.relative_to(ROOT).as_posix() for path in files if path.suffix in {".cpp", ".h", ".map", ".py"})


def headers() -> Path:
    """A copy of pybind11's headers that stays. pip has new ones for every build, and ninja would compile anew."""
    folder = OBJECTS / f"pybind11-{pybind11.__version__}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=OBJECTS) as unfinished:
            shutil.copytree(pybind11.get_include(), Path(unfinished) / "include").rename(folder)
    return folder


class BuildEngine(build_ext):
    """Builds the module and the executable."""

    def build_extension(self, ext: Extension) -> None:
        build = build_file()
        target = Path(self.get_ext_fullpath(ext.name)).resolve()
        made = OBJECTS / target.name
        with build.alone(OBJECTS):
            python = [f"-I{sysconfig.get_path('include')}", f"-I{headers()}"]
            glue = [*build.SMALL, *build.TOGETHER]
            module = [*build.units("bind", [*python, *glue, "-DNDEBUG"]), *build.engine(), *build.operations()]
            program = [*build.units(".", glue), *build.library()]
            links = [build.Link(made, module, build.module_flags()), build.Link(OBJECTS / EXECUTABLE, program, [])]
            build.build(OBJECTS, links)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)  # processes that have it loaded keep theirs
            shutil.copy2(made, target)


class BuildLibrary(Command):
    """Builds the engine for programs in C, of the same objects: ``libfastnst``, shared and static, in ``build/libfastnst``.

    It is no part of the package, whose module and executable have the engine inside already.
    """

    user_options: ClassVar[list[tuple[str, str | None, str]]] = []

    def initialize_options(self) -> None: ...

    def finalize_options(self) -> None: ...

    def run(self) -> None:
        build = build_file()
        target = ROOT.resolve() / "build" / "libfastnst"
        target.mkdir(parents=True, exist_ok=True)
        units = build.library()
        shared = build.Link(target / build.SONAME, units, build.library_flags())
        with build.alone(OBJECTS):
            build.build(OBJECTS, [shared, build.Link(target / "libfastnst.a", units, [])], "library.ninja")
            link = target / build.SONAME.removesuffix(".0")
            link.unlink(missing_ok=True)
            link.symlink_to(build.SONAME)


build_scripts: type = Distribution().get_command_class("build_scripts")


class BuildExecutable(build_scripts):
    """Puts the executable where scripts go, so that it is installed on the user's PATH."""

    def run(self) -> None:
        self.run_command("build_ext")
        target = Path(self.build_dir)
        target.mkdir(parents=True, exist_ok=True)
        with build_file().alone(OBJECTS):
            shutil.copy2(OBJECTS / EXECUTABLE, target / EXECUTABLE)


if __name__ == "__main__":
    setup(
        ext_modules=[Extension("fastnst._engine", [], depends=sources())],
        scripts=["csrc/stylize_main.cpp"],  # stands for the executable that BuildExecutable makes of it
        cmdclass={"build_ext": BuildEngine, "build_scripts": BuildExecutable, "build_libfastnst": BuildLibrary},
    )
