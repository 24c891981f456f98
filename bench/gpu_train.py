"""Trains a campaign on a CUDA device from training packs, within a limit of time; called by ``bench/gpu-train.sh``.

    python bench/gpu_train.py --packs FOLDER --out FOLDER [--limit SECONDS] [--table FILE] [--device cpu]

The packs are ``pack-1-of-N.tar`` and so on, as ``python -m fastnst.train.packs pack`` makes them; the runs are those of
``train/recipes/gpu.toml``: ``original``, ``adain-16x``, ``adain-pruned`` and ``adain-nano``, in bfloat16 and channels-last,
with the operations of ``fastnst.kernels`` in Triton. A run for which no time is left is not begun; the weights of an
unfinished run are those of its last checkpoint. The folder ``--out`` gets, as soon as they are known, ``gpu.txt`` and
``gpu.json`` (the output of all stages, and how each ended), then ``report.md`` and each run's weights in float16, in files of
at most 16 MiB. Another call in the same source tree resumes where the last one ended. Exit status as of ``bench/gpu.py``.
"""

from __future__ import annotations

import argparse
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from gpu import MACHINE, ROOT, WORK, follow, lacking
from stages import Stage

LIMIT = 540.0
GIVING = 30.0
"""Seconds that are reserved for writing the weights."""
TRAINED = 0.75
"""The share of the time for training steps; reading pictures, compiling and validation take the rest."""
TABLE = ROOT / "train" / "recipes" / "gpu.toml"
GIVE = """
import pathlib, shutil, sys
from fastnst.train.packs import give
runs, out = map(pathlib.Path, sys.argv[1:])
shutil.copy(runs / "report.md", out)
for run in sorted(path.parent for path in runs.glob("*/last.safetensors")):
    print(*(path.name for path in give(run, out)))
"""


def engine() -> str | None:
    """Why the engine need not or cannot be built; None if it shall be."""
    if list((ROOT / "fastnst").glob(f"_engine*{sysconfig.get_config_var('EXT_SUFFIX')}")):
        return "built already"
    return lacking("pybind11", "setuptools")


def stages(packs: Path, out: Path, table: Path, device: str, limit: float) -> list[Stage]:
    """All stages, in order."""
    data, runs = WORK / "data", WORK / "campaign"
    module = [sys.executable, "-m"]
    build = f"import os, runpy, sys; os.chdir({str(ROOT)!r}); sys.argv = ['setup.py', '-q', 'build_ext', '--inplace']"
    campaign = [*module, "fastnst.train.campaign", "--data", str(data), "--out", str(runs), "--table", str(table)]
    return [
        Stage(
            "machine",
            [sys.executable, "-c", MACHINE if device == "cuda" else "import torch; print('torch', torch.__version__)"],
            60,
        ),
        Stage(
            "engine", [sys.executable, "-c", f"{build}; runpy.run_path('setup.py', run_name='__main__')"], 240, missing=engine()
        ),
        Stage("unpack", [*module, "fastnst.train.packs", "unpack", str(packs), "-o", str(data)], 60),
        Stage(
            "campaign",
            [*campaign, "--device", device, "--budget", "{seconds}s", "--every", "100"],
            margin=(1 - TRAINED) * limit,
            leaves=GIVING,
        ),
        Stage("weights", [sys.executable, "-c", GIVE, str(runs), str(out)]),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code."""
    parser = argparse.ArgumentParser(prog="bench/gpu-train.sh", description="Trains models on a CUDA device, within a time.")
    parser.add_argument("--packs", type=Path, required=True, help="folder with pack-1-of-N.tar and so on")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights, report and logs")
    parser.add_argument("--limit", type=float, default=LIMIT, help=f"seconds for everything (default: {LIMIT:.0f})")
    parser.add_argument("--table", type=Path, default=TABLE, help="TOML file with the runs (train/recipes/gpu.toml)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: to see that everything works")
    options = parser.parse_args(arguments)
    if lack := lacking("torch", "safetensors", "tensorboard", "tqdm", "numpy", "PIL"):
        sys.stderr.write(f"error: {lack}\n")
        return 1
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        sys.stderr.write(f"error: no CUDA device (torch {torch.__version__})\n")
        return 1
    packs, out, table = (path.resolve() for path in (options.packs, options.out, options.table))
    return follow(stages(packs, out, table, options.device, options.limit), out, options.limit)


if __name__ == "__main__":
    sys.exit(main())
