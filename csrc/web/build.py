"""Builds the WebAssembly modules of ``web/`` with Emscripten, and puts the shipped models beside them.

``make web`` runs it. A browser takes the best module that it knows all instructions of: ``web/fastnst.js``.
"""

from __future__ import annotations

import os
import runpy
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import relaxed  # beside this file

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"

# What csrc/web/whole.cpp stands for.
REPLACED = {"engine.bands"}

# What the modules export, beside what they need themselves: calls of include/fastnst.h and of csrc/web/page.cpp.
EXPORTS = ["malloc", "free", "fastnst_version", "fastnst_instruction_set"]
EXPORTS += [f"fastnst_model_{name}" for name in ("load", "free", "kind", "card", "levels", "styles")]
EXPORTS += ["fastnst_style_mix", "fastnst_style_free"]
EXPORTS += [f"fastnst_page_{name}" for name in ("options", "weights", "mask", "style", "stylize")]

# What is thrown ends the call in JavaScript, through csrc/web/failure.cpp. Nothing is caught in the module.
EXCEPTIONS = ["-fignore-exceptions"]
# Types have no names in the module, but for what csrc/web/failure.cpp asks of exceptions.
TYPES, OWN = ["-fno-rtti"], {"web.failure": ["-frtti"]}
# Calls of virtual functions that a page never makes leave those functions out.
VIRTUAL = ["-fwhole-program-vtables", "-fvirtual-function-elimination"]
# The engine allocates rarely, and much at once: the small allocator does for it.
LINK = ["-Oz", "-sMALLOC=emmalloc", "--no-entry", "-sSTANDALONE_WASM", "-sALLOW_MEMORY_GROWTH", "-sMAXIMUM_MEMORY=4GB"]
# What csrc/web/page.cpp imports is JavaScript's; tests/web finds whatever else is missing.
LINK += ["-sERROR_ON_UNDEFINED_SYMBOLS=0", "-sWARN_ON_UNDEFINED_SYMBOLS=0"]
# Once more over control flow, and again over all: a fiftieth smaller.
LINK += ["-sBINARYEN_EXTRA_PASSES=--flatten,--rereloop,-Oz,-Oz"]
LINK += ["-sEXPORTED_FUNCTIONS=" + ",".join(f"_{name}" for name in EXPORTS)]


# What loops over pixels or matrices; everything else is as small as can be, and compiled together. -O3 would make
# copies of loops, which csrc/build.py does without as well. Without unrolling they are a tenth smaller and as fast, but for
# the kernels with vectors, whose sums would be in memory.
LOOPS = ["-O2", "-fno-unroll-loops"]
FAST = dict.fromkeys(["engine.eigen", "engine.whitening", "engine.winograd", "engine.kernels.scalar"], LOOPS)
FAST |= {"engine.kernels.simd128": ["-O2"], "engine.kernels.relaxed": ["-O2"]}
COLD = ["-Oz", "-flto", *VIRTUAL]


# With threads, memory is shared by instances of one module: csrc/web/threads.cpp. Emscripten has no threads for modules without
# its own JavaScript, so its flags for them stay away from linking; of its libraries the allocator alone must know of threads.
SHARED = ["-pthread"]
SHARED_LINK = ["-sMALLOC=none", "-lemmalloc-mt-noerrno", "-Wl,--shared-memory,--import-memory,--no-check-features"]
SHARED_LINK += ["-Wl,--export=__stack_pointer", "-Wl,--max-memory=4294967296", "-Wl,--export=fastnst_page_help"]


RELAXED = "wasm32 relaxed"


class Module(NamedTuple):
    """A module of ``web/``, with the flags that compile it, and those that link it beside ``LINK``."""

    name: str
    machine: str
    flags: list[str]
    link: list[str]


MODULES = [
    Module("fastnst", "wasm32", ["-msimd128"], []),
    Module("fastnst-scalar", "wasm32 without vectors", [], []),
    Module("fastnst-threads", "wasm32", ["-msimd128", *SHARED], SHARED_LINK),
    Module("fastnst-relaxed", RELAXED, ["-msimd128", "-mrelaxed-simd"], []),
    Module("fastnst-relaxed-threads", RELAXED, ["-msimd128", "-mrelaxed-simd", *SHARED], SHARED_LINK),
]


def sized(unit: Any) -> Any:
    """A file as it is compiled for a page, which has to be transferred first."""
    return unit._replace(flags=[*unit.flags, *FAST.get(unit.name, COLD), *OWN.get(unit.name, [])])


def main() -> int:
    compiler = os.environ.get("EMXX", "em++")
    if shutil.which(compiler) is None:
        sys.stderr.write(f"{compiler} is not installed: on Debian and Ubuntu, apt-get install emscripten\n")
        return 1
    build = SimpleNamespace(**runpy.run_path(str(ROOT / "csrc" / "build.py")))
    # Position-independent code is for shared libraries; -pthread is among the flags of the module that has threads.
    general = [*(flag for flag in build.FLAGS if flag not in {"-fPIC", "-pthread"}), *EXCEPTIONS, *TYPES]
    for module in MODULES:
        folder = ROOT / "build" / "web" / module.name
        library = [unit for unit in build.library(module.machine) if unit.name not in REPLACED]
        units = [sized(unit) for unit in (*library, *build.units("web"))]
        cold = {unit.name for unit in units if unit.name not in FAST | OWN}
        link = build.Link(WEB / f"{module.name}.wasm", units, [*LINK, *EXCEPTIONS, *module.link])
        text = build.ninja_file(folder, compiler, [*general, *module.flags], [link], common=build.Common(cold, COLD))
        build.run_ninja(folder / "build.ninja", text)
        if module.machine == RELAXED:
            relaxed.write(link.target)
    models = WEB / "models"
    models.mkdir(exist_ok=True)
    for file in (ROOT / "fastnst" / "models").glob("*.fnst"):
        shutil.copy2(file, models / file.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
