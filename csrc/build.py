"""How the C++ is compiled: which files, with which flags, into what. ``setup.py`` and the tests load this file."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

CSRC = Path(__file__).resolve().parent
ROOT = CSRC.parent
MACHINE = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())

FLAGS = ["-std=c++20", "-O3", "-fPIC", "-ffunction-sections", "-fvisibility=hidden", "-Wall", "-Wextra"]
FLAGS += ["-Icsrc", "-Iinclude", "-pthread"]
# A product and a sum must round separately, or instruction sets with and without fused multiply-add would differ.
FLAGS += ["-ffp-contract=off", "-fno-math-errno"]

AVX512 = ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma", "-mf16c"]
SETS: dict[str, dict[str, list[str]]] = {
    "x86_64": {
        "amx": AVX512,
        "avx512vnni": [*AVX512, "-mavx512vnni"],
        "avx512": [*AVX512, "-mprefer-vector-width=512"],
        "avxvnni": ["-mavx2", "-mfma", "-mf16c", "-mavxvnni"],
        "avx2": ["-mavx2", "-mfma", "-mf16c"],
        "ssse3": ["-mssse3"],
    },
    "aarch64": {"neondot": ["-march=armv8.2-a+dotprod"], "neon": []},
    "wasm32": {"simd128": ["-msimd128"]},
    "wasm32 relaxed": {"relaxed": ["-mrelaxed-simd"], "simd128": ["-msimd128"]},
}
"""Compiler flags of each instruction set, by processor family; ``csrc/engine/kernels/table.cpp`` says when they may run. The
engine's kernels are in the file of that name in ``csrc/engine/kernels``, where there is one."""
VARIANTS = {"x86_64": ["avx512", "avx2"]}
"""The sets that the training operations are compiled for as well, beside the baseline (``csrc/base/variant.h``)."""

SMALL = ["-Os"]
SHORT = ["-O2"]
# Of glue, whose files have much in common. clang may be without what its linker needs for that.
TOGETHER = [] if "clang" in os.environ.get("CXX", "") or sys.platform == "darwin" else ["-flto=auto"]
# As -O3 vectorises, without the copies of loops that it makes for every case.
VECTORS = ["-O2", "-ftree-vectorize"]
# Kernels: exceptions begin and end outside of them.
NOTHING_THROWN = ["-fno-exceptions", "-fno-asynchronous-unwind-tables"]
OWN = {
    # Never hot: glue, readers of files, what is done when a model is loaded, what hands rows on.
    **dict.fromkeys([f"base/{name}" for name in ("hidden", "histogram", "memory", "pnm", "sha256")], SMALL),
    **dict.fromkeys(("base/temporary_picture", "base/temporary_storage", "engine/adain", "engine/channel_order"), SMALL),
    **dict.fromkeys([f"engine/{name}" for name in ("codec", "engine", "fields", "graph", "model", "network")], SMALL),
    **dict.fromkeys([f"engine/{name}" for name in ("palette", "short_sums", "tiles", "wct", "winograd")], SMALL),
    # What calls hot loops that are elsewhere, or has them unrolled already: -O3 makes it twice as large and no faster.
    **dict.fromkeys([f"engine/{name}" for name in ("convolution", "eigen", "generator", "packing")], SHORT),
    "base/lab": SHORT,
    **dict.fromkeys([f"ops/{name}" for name in ("embedding", "wct")], SHORT),
    # Hot loops over vectors that are written out, or that compilers make without copies.
    **dict.fromkeys(("base/png", "base/yuv", "engine/regions", "engine/whitening", "ops/perceptual"), VECTORS),
    **dict.fromkeys([f"engine/kernels/{name}" for name in ("avxvnni", "ssse3")], VECTORS),
    "engine/kernels/scalar": [*VECTORS, *NOTHING_THROWN],
}
"""Flags of single files, beside ``FLAGS``."""


class Unit(NamedTuple):
    """A file to compile, and the flags that it alone needs."""

    name: str  # of the object, without its suffix: unique among those of a program
    path: Path
    flags: list[str]


def units(folder: str, flags: Sequence[str] = ()) -> list[Unit]:
    """The files of a folder of ``csrc/`` itself, not of those inside it."""
    stems = [path.relative_to(CSRC).with_suffix("").as_posix() for path in sorted((CSRC / folder).glob("*.cpp"))]
    return [Unit(stem.replace("/", "."), CSRC / f"{stem}.cpp", [*flags, *OWN.get(stem, [])]) for stem in stems]


def engine(machine: str = MACHINE) -> list[Unit]:
    """All of the engine for a processor family."""
    mine = SETS.get(machine, {})
    others = {name for sets in SETS.values() for name in sets} - set(mine)
    kernels = [
        unit._replace(flags=[*unit.flags, *mine[unit.path.stem], *NOTHING_THROWN]) if unit.path.stem in mine else unit
        for unit in units("engine/kernels")
        if unit.path.stem not in others
    ]
    return [*units("base"), *units("engine"), *kernels]


def library(machine: str = MACHINE) -> list[Unit]:
    """The engine with its C interface: ``libfastnst``, and what the stand-alone executable is linked of."""
    return [*engine(machine), *units("c", SMALL)]


def operations(machine: str = MACHINE) -> list[Unit]:
    """The training operations, which the Python module alone has. They promise no equal bytes."""
    better = VARIANTS.get(machine, [])
    # Where every processor of ten years has a better variant, the baseline is never hot.
    variants = {"baseline": SMALL if better else [], **{name: SETS[machine][name] for name in better}}
    return [
        Unit(
            f"{unit.name}.{variant}",
            unit.path,
            [*unit.flags, *NOTHING_THROWN, *flags, "-ffp-contract=fast", f"-DFASTNST_VARIANT={variant}"],
        )
        for unit in units("ops")
        for variant, flags in variants.items()
    ]


SONAME = "libfastnst.so.0"


def module_flags(platform: str = sys.platform) -> list[str]:
    """What makes the Python module of its objects, of which nothing can be seen but what Python calls: names cost bytes."""
    if platform == "darwin":
        return ["-shared", "-undefined", "dynamic_lookup", "-Wl,-exported_symbol,_PyInit__engine"]
    return ["-shared", "-Wl,--version-script=csrc/bind/exports.map"]


def library_flags(platform: str = sys.platform) -> list[str]:
    """What makes a shared library of :func:`library`, of which nothing can be seen but the C interface."""
    if platform == "darwin":
        return ["-dynamiclib", "-Wl,-exported_symbol,_fastnst_*"]
    return ["-shared", f"-Wl,-soname,{SONAME}", "-Wl,--version-script=csrc/c/exports.map"]


STANDARD = CSRC / "standard.h"
"""Headers of the language that most files include."""


class Common(NamedTuple):
    """Files that are compiled alike: :data:`STANDARD`, half of the work of most, is compiled once for all of them."""

    names: set[str]  # of their objects
    flags: Sequence[str]  # that these files have, beside those of all


class Link(NamedTuple):
    """A program or a library: what it is made of, and with which flags."""

    target: Path
    units: Sequence[Unit]
    flags: Sequence[str]


def ninja_file(
    folder: Path,
    compiler: str,
    flags: Sequence[str],
    links: Iterable[Link],
    last: Sequence[str] = (),
    common: Common | None = None,
) -> str:
    """The text of ``build.ninja`` for objects in ``folder``. ``last`` goes behind the flags of each file, and counts more."""

    def escaped(path: Path) -> str:
        return re.sub(r"([$ :])", r"$\1", str(path))

    lines = [
        # Of ninja's own files. It runs in the root, and all names of sources are relative to that, here and in flags: objects
        # are the same, and can be shared, wherever the root is.
        f"builddir = {escaped(folder)}",
        "rule compile",
        f"  command = {compiler} $flags -MMD -MF $out.d -c $in -o $out",
        "  depfile = $out.d",
        "  deps = gcc",
        "rule link",
        f"  command = {compiler} $in -o $out $flags",
        "rule archive",
        "  command = rm -f $out && ar rcs $out $in",
    ]
    header = folder / STANDARD.name  # a copy: GCC and clang look for what they made of a header beside it
    made = escaped(header.with_suffix(".h.gch"))
    if common is not None:
        lines += [
            "rule copy",
            "  command = cp $in $out",
            # A step of its own: ninja holds what a command made to be old if an input is younger than the command's beginning.
            f"build {escaped(header)}: copy {escaped(STANDARD.relative_to(ROOT))}",
            "rule header",
            f"  command = {compiler} $flags -MD -MF $out.d -x c++-header $in -o $out",
            "  depfile = $out.d",
            "  deps = gcc",
            f"build {made}: header {escaped(header)}",
            f"  flags = {shlex.join([*flags, *common.flags, *last])}",
        ]
    compiled: dict[str, Unit] = {}
    for link in links:
        compiled |= {unit.name: unit for unit in link.units}
        objects = " ".join(escaped(folder / f"{unit.name}.o") for unit in link.units)
        rule = "archive" if link.target.suffix == ".a" else "link"
        lines += [f"build {escaped(link.target)}: {rule} {objects}", f"  flags = {shlex.join(link.flags)}"]
    for unit in compiled.values():
        shares = common is not None and unit.name in common.names
        source, included = escaped(unit.path.relative_to(ROOT)), ["-include", str(header)] if shares else []
        lines.append(f"build {escaped(folder / f'{unit.name}.o')}: compile {source}{f' | {made}' if shares else ''}")
        lines.append(f"  flags = {shlex.join([*flags, *unit.flags, *last, *included])}")
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Other builds into this folder wait, those of other processes: ninja lets two of them write the same files."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ModuleNotFoundError):  # which only some systems have
            import fcntl

            fcntl.flock(stack.enter_context((folder / "lock").open("w")), fcntl.LOCK_EX)
        yield


def run_ninja(file: Path, text: str) -> None:
    """Builds what ``text`` says, which is left in ``file``: in parallel, and only what changed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    command = [sys.executable, "-m", "ninja", "--quiet", "-C", str(ROOT), "-f", str(file)]
    subprocess.run(command, check=True)


def build(folder: Path, links: Iterable[Link], file: str = "build.ninja") -> None:
    """Builds for users: with the compiler and the flags of the environment, without symbols and names of this machine.

    Objects are left in ``folder``, where another ``file`` of the same flags finds them.
    """
    strip = ["-Wl,-dead_strip"] if sys.platform == "darwin" else ["-s", "-Wl,--gc-sections"]
    end = ["-pthread", "-ldl", *strip, *shlex.split(os.environ.get("LDFLAGS", ""))]
    flags = [*FLAGS, *shlex.split(os.environ.get("CXXFLAGS", ""))]
    links = [link._replace(flags=[*link.flags, *end]) for link in links]
    run_ninja(folder / file, ninja_file(folder, os.environ.get("CXX", "c++"), flags, links))
