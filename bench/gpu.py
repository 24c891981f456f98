"""Runs every test that needs a CUDA device, then the measurements; called by ``bench/gpu.sh``.

    python bench/gpu.py [--out FOLDER] [--limit SECONDS]

It uses the installed torch and triton, needs no network and installs nothing: the package is used from its source tree, without
the CPU engine. FOLDER gets, as soon as they are known: ``gpu.txt``, the output of all stages; ``gpu.json``, how each ended;
and the report of the measurements. Exit status: 0 if every stage passed or was left out for a reason that is given, 1 if not,
2 for wrong usage, 130 if interrupted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from stages import Run, Stage

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "gpu"
LIMIT = 480.0
"""Seconds for everything."""
REPORTING = 25.0
"""Seconds at the end of the measurements in which no further case begins: for the running one and the report."""
MACHINE = """
import platform, torch, triton
print("Python", platform.python_version(), "torch", torch.__version__, "CUDA", torch.version.cuda, "triton", triton.__version__)
properties = torch.cuda.get_device_properties(0)
print(properties.name, f"sm_{properties.major}{properties.minor}", properties.multi_processor_count, "multiprocessors",
      f"{properties.total_memory / 2**30:.0f} GiB")
"""


def source_tree() -> Path:
    """A folder with the package in its installed form: links to the folders of its parts, and to the engine, which may be built
    later."""
    folder = WORK / "site"
    shutil.rmtree(folder, ignore_errors=True)
    package = folder / "fastnst"
    package.mkdir(parents=True)
    for each in (ROOT / "fastnst").iterdir():
        if each.name != "__pycache__":
            (package / each.name).symlink_to(each)
    for name in ("kernels", "train", "bench"):
        (package / name).symlink_to(ROOT / name)
    engine = f"_engine{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not (package / engine).exists():
        (package / engine).symlink_to(ROOT / "fastnst" / engine)
    return folder


def environment() -> dict[str, str]:
    """Environment variables of every stage: the package from its source tree, and all caches within :data:`WORK`."""
    kept = {name: value for name, value in os.environ.items() if name not in {"TRITON_INTERPRET", "FASTNST_BACKEND"}}
    return kept | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(source_tree()), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
        "TRITON_CACHE_DIR": str(WORK / "triton"),
        "TORCHINDUCTOR_CACHE_DIR": str(WORK / "inductor"),
        "FASTNST_CUDA": str(WORK / "cuda"),
    }


def follow(stages: Sequence[Stage], out: Path, limit: float) -> int:
    """Run stages, which write to ``out``, print how each ended, and return the exit status."""
    run = Run(out, limit, environment=environment(), cwd=WORK / "site", say=lambda line: print(line, flush=True))
    try:
        return run(stages)
    except KeyboardInterrupt:
        return 130


def lacking(*packages: str) -> str | None:
    """A message about the packages that are not installed; None if all are."""
    missing = [name for name in packages if find_spec(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


def sanitizer() -> str | None:
    """The path of compute-sanitizer, if there is one."""
    home = os.environ.get("CUDA_HOME") or "/usr/local/cuda"
    return shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path=f"{home}/bin")


def compiler() -> str | None:
    """Why ``fastnst.kernels.cuda.build`` finds no ``nvcc``; None if it does."""
    home = os.environ.get("CUDA_HOME")
    found = shutil.which("nvcc") or (home and shutil.which("nvcc", path=f"{home}/bin"))
    return None if found else "nvcc is neither in CUDA_HOME nor on the PATH: no library that calls cuSOLVER"


def tests(name: str, *options: str) -> list[str]:
    """The command for a file of tests. Each has its own process, because an illegal address makes a process unusable."""
    path = str(ROOT / "tests" / "operations" / f"{name}.py")
    # Without conftest.py, which needs the engine. New warnings on a GPU shall not fail tests.
    quiet = ["--noconftest", "-p", "no:cacheprovider", "-p", "fastnst.bench.failures", "-W", "default", "--tb=short", "-v"]
    return [sys.executable, "-m", "pytest", path, *quiet, *options]


def stages(out: Path) -> list[Stage]:
    """All stages, in order: those first that fail most likely and soonest."""
    needed = lacking("pytest", "triton", "numpy")
    memcheck = sanitizer()
    checked = [str(memcheck), "--tool=memcheck", "--error-exitcode=9", "--print-limit=20"]
    small = [*tests("test_triton_operations"), "-k", "float32"]
    interpreted = "-k", "interpreted"  # the marked tests, which run on the GPU if there is one
    library = compiler()
    # Without PyTorch's cache every tensor is a separate allocation, so that reads beyond its end are detected.
    uncached = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    bench = [sys.executable, "-m", "fastnst", "bench", "--device", "cuda", "--limit", "{seconds}", "-o", str(out)]
    return [
        Stage("machine", [sys.executable, "-c", MACHINE], 30),
        Stage("small calls", tests("test_triton_operations", *interpreted), 50, missing=needed),
        Stage("memcheck", [*checked, *small], 50, uncached, needed or (None if memcheck else "no compute-sanitizer here")),
        Stage("captured graphs", tests("test_gpu_graphs"), 45, missing=needed),
        Stage("reduce-overhead", tests("test_gpu_compile"), 60, missing=needed),
        Stage("relation", tests("test_triton_relation", *interpreted), 35, missing=needed),
        Stage("adain", tests("test_triton_adain", *interpreted), 35, missing=needed),
        Stage("float64 products", tests("test_triton_wct", *interpreted), 35, missing=needed),
        Stage("CUDA library", [sys.executable, "-m", "fastnst.kernels.cuda.build"], 30, missing=library),
        Stage("streams", tests("test_gpu_streams"), 25, missing=needed or library),
        Stage("above 2^31", tests("test_gpu_large"), 30, missing=needed),
        Stage("measurements", bench, missing=lacking("pytest", "pytest_benchmark", "matplotlib"), margin=REPORTING),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code."""
    parser = argparse.ArgumentParser(prog="bench/gpu.sh", description="Tests and measurements on a CUDA device.")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="folder for the results")
    parser.add_argument("--limit", type=float, default=LIMIT, help=f"seconds for everything (default: {LIMIT:.0f})")
    options = parser.parse_args(arguments)
    if lack := lacking("torch"):
        sys.stderr.write(f"error: {lack}\n")
        return 1
    import torch

    if not torch.cuda.is_available():
        sys.stderr.write(f"error: no CUDA device (torch {torch.__version__})\n")
        return 1
    out = options.out.resolve()
    return follow(stages(out), out, options.limit)


if __name__ == "__main__":
    sys.exit(main())
