"""Builds of the engine for the tests: with sanitizers, by other compilers, for another processor.

``python -m torture.native asan`` (``make asan``) and ``tsan`` build the driver, make what it needs and run it;
``python -m torture.native build NAME...`` only builds.
"""

from __future__ import annotations

import contextlib
import os
import platform
import runpy
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from torture.framework import NotHereError

ROOT = Path(__file__).parents[2]
NATIVE = Path(__file__).parent / "native"
BUILD = ROOT / "build" / "torture"
SANITIZED = ("-O0", "-g1", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all")
FUZZED = ("-O1", *SANITIZED[1:], "-fsanitize=fuzzer,address,undefined")
"""Not -O0, where clang's sanitizers leave the kernels' assembly too few registers."""


@dataclass(frozen=True)
class Variant:
    """One way to build the engine with a program of ``native/``."""

    compiler: str
    flags: tuple[str, ...]
    program: str = "driver"
    machine: str = platform.machine().lower()
    runner: tuple[str, ...] = ()
    """What runs the program, where that is not this processor."""


VARIANTS = {
    "asan": Variant("g++", (*SANITIZED, "-fsanitize=address,undefined")),
    "tsan": Variant("g++", (*SANITIZED, "-fsanitize=thread")),
    "gcc-O0": Variant("g++", ("-O0",)),
    "gcc-O3": Variant("g++", ("-O3",)),
    "clang-O0": Variant("clang++", ("-O0",)),
    "clang-O3": Variant("clang++", ("-O3",)),
    "coverage": Variant("g++", ("-O0", "--coverage")),
    "fuzz_model": Variant("clang++", FUZZED, "fuzz_model"),
    "fuzz_pnm": Variant("clang++", FUZZED, "fuzz_pnm"),
    "arm": Variant("aarch64-linux-gnu-g++", ("-O2", "-static"), machine="aarch64", runner=("qemu-aarch64",)),
    "arm-stylize": Variant(
        "aarch64-linux-gnu-g++", ("-O1", "-static", "-Werror"), "fastnst-stylize", "aarch64", ("qemu-aarch64",)
    ),
}


@cache
def build_file() -> SimpleNamespace:
    """``csrc/build.py``: which files are compiled, and how."""
    return SimpleNamespace(**runpy.run_path(str(ROOT / "csrc" / "build.py")))


def build(name: str) -> list[str]:
    """The command that runs the program of a variant, built if need be.

    Raises:
        NotHereError: no such compiler or emulator here.
    """
    variant = VARIANTS[name]
    if sys.platform != "linux":
        raise NotHereError("the driver is built with GNU's linker")
    for tool in (variant.compiler, *variant.runner):
        if shutil.which(tool) is None:
            raise NotHereError(f"{tool} is not installed")
    folder = BUILD / name
    with build_file().alone(folder):
        flags = [*build_file().FLAGS, f"-I{NATIVE}"]
        build_file().run_ninja(folder / "build.ninja", ninja_file(variant, folder, flags))
    return [*variant.runner, str(folder / variant.program)]


def ninja_file(variant: Variant, folder: Path, flags: Sequence[str]) -> str:
    """The text of ``build.ninja``."""
    build, wrapped = build_file(), ["-Wl,--wrap=aligned_alloc"] if variant.program == "driver" else []
    if variant.program == "fastnst-stylize":
        units = [*build.library(variant.machine), *build.units(".")]
    else:
        units = [*build.engine(variant.machine), build.Unit(variant.program, NATIVE / f"{variant.program}.cpp", [])]
    common = build.Common({unit.name for unit in units if "kernels" not in unit.name}, [])  # kernels have other instructions
    link = build.Link(folder / variant.program, units, ["-pthread", "-ldl", *variant.flags, *wrapped])
    # Of the options that speak of the same the last one counts. What is thrown through kernels comes from no kernel.
    return str(build.ninja_file(folder, variant.compiler, flags, [link], variant.flags, common))


def run(name: str, *arguments: str | Path, text: str | None = None, **environment: str) -> str:
    """What the program of a variant prints; its failure is an AssertionError with what it says."""
    done = subprocess.run(
        [*build(name), *map(str, arguments)], input=text, capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, (
        f"{name} {arguments[0] if arguments else ''}: exit code {done.returncode}\n{done.stderr[-4000:]}"
    )
    return done.stdout


def write_pack(path: Path, files: Sequence[bytes]) -> None:
    """Files as the driver reads them: each behind its length."""
    with path.open("wb") as pack:
        for data in files:
            pack.write(len(data).to_bytes(4, "little") + data)


def main(name: str) -> None:
    """Build a variant with a sanitizer and run all that it can run."""
    from torture import corpora

    folder = BUILD / "corpora"
    folder.mkdir(parents=True, exist_ok=True)
    models = []
    for stem, data in corpora.sound_models().items():
        models.append(folder / f"{stem}.fnst")
        models[-1].write_bytes(data)
    if name == "asan":
        for stem, data in corpora.sound_models().items():
            write_pack(folder / f"{stem}.pack", [*corpora.seeds().values(), *corpora.mutated_models(data, 4000)])
            print(stem, run(name, "models", folder / f"{stem}.pack"), end="")  # noqa: T201
        write_pack(folder / "pnm.pack", list(corpora.mutated_pnm(4000)))
        print("pnm", run(name, "pictures", folder / "pnm.pack"), end="")  # noqa: T201
        print(run(name, "allocations", *models), end="")  # noqa: T201
    print(run(name, "stress", "20", *models), end="")  # noqa: T201


if __name__ == "__main__":
    if sys.argv[1] == "build":
        for each in sys.argv[2:]:
            with contextlib.suppress(NotHereError):
                build(each)
    else:
        main(sys.argv[1])
