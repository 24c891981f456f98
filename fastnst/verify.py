"""``fastnst verify``: whether this machine makes the same pictures as every other, with each instruction set it has.

The inputs are made by integer arithmetic, so that only the engine can differ; the SHA-256 of the results are stored beside the
models. Each instruction set runs in a process of its own, because a process chooses one and keeps it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastnst import engine
from fastnst.stylize import Stylizer, models
from fastnst.system.child import python_module

GOLDENS = Path(__file__).parent / "models" / "goldens.json"
"""Case -> SHA-256 of its picture's bytes. ``python -m torture.goldens --update`` in the folder ``tests`` writes it."""
THREADS = (1, 2, 5)
_SIZES = ((1, 1), (37, 50), (96, 64))  # height, width
_ALPHAS = (1.0, 0.5)


@dataclass(frozen=True)
class PathResult:
    """What one instruction set did."""

    path: str
    threads: int
    pictures: int
    wrong: list[str]
    """The cases whose pictures differ; a message instead if the path did not run at all."""


def picture(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """uint8 [H, W, 3]: slopes, discs and a little noise, by integers alone."""
    y, x = np.arange(height, dtype=np.int64)[:, None], np.arange(width, dtype=np.int64)
    hash_ = (x * 73856093 ^ y * 19349663 ^ seed * 83492791) * 2654435761 % 2**32 >> 28
    ring = ((x - width // 3) ** 2 + (y - height // 2) ** 2) // (3 + seed) % 97
    planes = (x * (3 + seed) + y * 2 + hash_, ring * 2 + y + hash_, 255 - x * 2 - ring + hash_ * seed)
    return np.stack([np.broadcast_to(plane, (height, width)) % 256 for plane in planes], 2).astype(np.uint8)


def cases() -> Iterator[tuple[str, str, float, tuple[int, int]]]:
    """Every shipped model at full and half strength, at sizes from one pixel on: name of the case, model, alpha, size."""
    for model in models():
        for alpha in _ALPHAS:
            for height, width in _SIZES:
                yield f"{model.name} {alpha} {height}x{width}", model.name, alpha, (height, width)


def digests(threads: int) -> dict[str, str]:
    """The SHA-256 that this process, with the path that it has chosen, gets for each case."""
    found, stylizers = {}, {model.name: Stylizer(model.name, threads) for model in models()}
    for case, model, alpha, size in cases():
        if not stylizers[model].engine.takes_style:
            continue
        pixels = stylizers[model](picture(*size, seed=1), picture(48, 40, seed=4), alpha=alpha)
        found[case] = hashlib.sha256(pixels.tobytes()).hexdigest()
    return found


def verify() -> Iterator[PathResult]:
    """Run every instruction set that this processor can, with several numbers of threads.

    Raises:
        FileNotFoundError: the package has lost its table.
    """
    wanted: dict[str, str] = json.loads(GOLDENS.read_text())
    for path, runs in engine.instruction_sets():
        if runs:
            yield from _verify_path(path, wanted)


def _verify_path(path: str, wanted: dict[str, str]) -> Iterator[PathResult]:
    environment = os.environ | {"FASTNST_ISA": path}
    done = subprocess.run(python_module("fastnst.verify"), env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        yield PathResult(path, 0, 0, [said[-1] if said else f"ended with {done.returncode}"])
        return
    for threads, found in json.loads(done.stdout).items():
        wrong = sorted(case for case in wanted.keys() | found.keys() if wanted.get(case) != found.get(case))
        yield PathResult(path, int(threads), len(found), wrong)


if __name__ == "__main__":
    json.dump({threads: digests(threads) for threads in THREADS}, sys.stdout)
