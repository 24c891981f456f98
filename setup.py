"""Compiles the engine: the Python module and the stand-alone executable, from the same sources. The rest is pyproject.toml."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pybind11
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.dist import Distribution

ROOT = Path(__file__).parent
FLAGS = ["-std=c++20", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Icsrc", "-pthread"]
# A product and a sum must round separately, or paths with and without fused multiply-add would differ.
FLAGS += ["-ffp-contract=off", "-fno-math-errno"]
PATHS = {
    "x86_64": {
        "kernels_avx512vnni": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni"],
        "kernels_avxvnni": ["-mavx2", "-mavxvnni"],
        "kernels_avx2": ["-mavx2"],
    },
    "aarch64": {"kernels_neondot": ["-march=armv8.2-a+dotprod"]},
}
"""Compiler flags of each instruction-set path, by processor family."""
PATHS["amd64"], PATHS["arm64"] = PATHS["x86_64"], PATHS["aarch64"]
VARIANTS = {
    "x86_64": {
        "avx512": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma", "-mf16c", "-mprefer-vector-width=512"],
        "avx2": ["-mavx2", "-mfma", "-mf16c"],
    }
}
"""Compiler flags of each variant of the training operations beside the baseline (``csrc/base/path.h``)."""
VARIANTS["amd64"] = VARIANTS["x86_64"]
SMALL = ["-Os", "-ffunction-sections"]
"""For what is never hot: glue, readers of files, what hands rows on, and the baseline where every processor of ten years has a
better variant."""
COLD = {"adain", "codec", "fields", "graph", "hidden", "memory", "model", "palette", "picture_spool", "pnm", "spool", "tiles",
        "wct"}  # fmt: skip
SHORT = ["-O2"]
"""For what calls hot loops that are elsewhere, or has them unrolled already: -O3 makes it twice as large and no faster."""
# Kernels: exceptions begin and end outside of them.
NOTHING_THROWN = ["-fno-exceptions", "-fno-asynchronous-unwind-tables"]
DRIVERS = {"convolution", "generator", "network", "packing", "png"}
PRODUCTS = {"embedding", "wct"}


def sources(machine: str) -> list[tuple[str, Path, list[str]]]:
    """Every object of the engine for ``machine``: its name, its source and the flags that it alone needs."""
    mine = PATHS.get(machine, {})
    others = {name for paths in PATHS.values() for name in paths} - set(mine)
    files = sorted(path for folder in ("base", "engine") for path in (ROOT / "csrc" / folder).glob("*.cpp"))
    flags = dict.fromkeys(COLD, SMALL) | dict.fromkeys(DRIVERS, SHORT) | {"kernels_scalar": NOTHING_THROWN}
    flags |= {name: [*own, *NOTHING_THROWN] for name, own in mine.items()}
    return [(path.stem, path, flags.get(path.stem, [])) for path in files if path.stem not in others]


def operations(machine: str) -> list[tuple[str, Path, list[str]]]:
    """The same for the training operations, of which the Python module alone has need. They promise no equal bytes."""
    better = VARIANTS.get(machine, {})
    variants = {"baseline": SMALL if better else [], **better}
    return [
        (
            f"{path.stem}.{name}",
            path,
            [
                *(SHORT if path.stem in PRODUCTS else []),
                *NOTHING_THROWN,
                *flags,
                "-ffp-contract=fast",
                f"-DFASTNST_PATH={name}",
            ],
        )
        for path in sorted((ROOT / "csrc" / "ops").glob("*.cpp"))
        for name, flags in variants.items()
    ]


EXECUTABLE = "fastnst-stylize"


class BuildEngine(build_ext):
    """Builds the module and the executable through ninja: in parallel, and only what changed."""

    def build_extension(self, ext: Extension) -> None:
        build = Path(self.build_temp).resolve()
        build.mkdir(parents=True, exist_ok=True)
        module = Path(self.get_ext_fullpath(ext.name)).resolve()
        (build / "build.ninja").write_text(ninja_file(build, module, build / EXECUTABLE))
        subprocess.run(
            [sys.executable, "-m", "ninja", "--quiet", "-C", str(ROOT), "-f", str(build / "build.ninja")], check=True
        )


build_scripts: type = Distribution().get_command_class("build_scripts")


class BuildExecutable(build_scripts):
    """Puts the executable where scripts go, so that it is installed on the user's PATH."""

    def run(self) -> None:
        build_engine = self.get_finalized_command("build_ext")
        self.run_command("build_ext")
        target = Path(self.build_dir)
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy2(Path(build_engine.build_temp) / EXECUTABLE, target / EXECUTABLE)


def ninja_file(build: Path, module: Path, executable: Path) -> str:
    """The text of ``build.ninja``."""
    compiler = os.environ.get("CXX", "c++")
    flags = FLAGS + shlex.split(os.environ.get("CXXFLAGS", "")) + [f"-ffile-prefix-map={ROOT.resolve()}=."]
    strip = ["-Wl,-dead_strip"] if sys.platform == "darwin" else ["-s", "-Wl,--gc-sections"]
    link = ["-pthread", "-ldl", *strip, *shlex.split(os.environ.get("LDFLAGS", ""))]
    python = [f"-I{sysconfig.get_path('include')}", f"-I{pybind11.get_include()}"]
    dynamic = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    lines = [
        f"builddir = {build}",  # of ninja's own files; it runs in the root, for names of headers are relative to that
        f"cxx = {compiler}",
        "rule compile",
        "  command = $cxx $flags -MMD -MF $out.d -c $in -o $out",
        "  depfile = $out.d",
        "  deps = gcc",
        "rule link",
        "  command = $cxx $in -o $out $flags",
    ]

    def compile_file(name: str, path: Path, extra: list[str]) -> str:
        target = build / f"{name}.o"
        lines.append(f"build {target}: compile {path.resolve()}\n  flags = {shlex.join([*flags, *extra])}")
        return str(target)

    machine = platform.machine().lower()
    engine = [compile_file(*each) for each in sources(machine)]
    ops = [compile_file(*each) for each in operations(machine)]
    bind = [compile_file(path.stem, path, [*python, *SMALL]) for path in sorted((ROOT / "csrc").glob("bind*.cpp"))]
    main = [compile_file(path.stem, path, SMALL) for path in sorted((ROOT / "csrc").glob("stylize_*.cpp"))]
    shared = shlex.join(["-shared", *dynamic, *link])
    lines.append(f"build {module}: link {' '.join([*bind, *engine, *ops])}\n  flags = {shared}")
    lines.append(f"build {executable}: link {' '.join([*main, *engine])}\n  flags = {shlex.join(link)}")
    return "\n".join(lines) + "\n"


# Programs of the tests are built of the same sources with the same flags: they load this file without running it.
if __name__ == "__main__":
    setup(
        ext_modules=[Extension("fastnst._engine", [])],
        scripts=["csrc/stylize_main.cpp"],  # stands for the executable that BuildExecutable makes of it
        cmdclass={"build_ext": BuildEngine, "build_scripts": BuildExecutable},
    )
