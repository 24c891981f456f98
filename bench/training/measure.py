"""Times and memory of training steps with ``fastnst.ops`` and with the operations of published code, measured in turn.

Memory is measured in processes of its own: ``python -m bench.training.measure RECIPE PRECISION CONTENDER FOLDER BATCH SIZE``
prints the bytes by which the resident set grows during a step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from fastnst.system.child import python_module
from fastnst.train.process_group import ProcessGroup
from fastnst.train.settings import RunOptions

from ..interleave import ROOT, Bystanders, wait_until_quiet
from ..machine import system
from ..ops.memory import THRESHOLD, extra_memory
from ..ops.names import EAGER, FASTNST, PUBLISHED
from ..ops.session import PACKAGES, version_of
from .steps import SETTINGS, Case, Step, step_of

LABELS = {FASTNST: "fastnst", PUBLISHED: EAGER}
ROUNDS, LESS_ROUNDS = 7, 3
STEPS = 3
"""The number of steps in a sample, after one to warm up; their median counts."""
TOLERANCES = {"bfloat16": 5e-2, "float32": 1e-3}
"""The largest relative difference of the first losses: published code sums statistics of bfloat16 maps in bfloat16."""


@dataclass
class Result:
    """The results of a case: seconds of every sample and bytes of a step by contender, and other processes' share of cores."""

    batch: int
    size: int
    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in LABELS})
    memory: dict[str, int | None] = field(default_factory=dict)
    foreign_share: float = 0.0


def measure(
    case: Case, folder: Path, device: str, rounds: int, patience: float, batch: int | None = None, size: int | None = None
) -> Result:
    """Measure both contenders in turn.

    Args:
        case: the case to measure.
        folder: the folder that :func:`write_data` has written.
        device: ``cpu`` or ``cuda``.
        rounds: the number of samples of each contender, after one that does not count.
        patience: seconds to wait for idle cores.
        batch, size: without them the recipe's own.

    Raises:
        ArithmeticError: the contenders do not compute the same loss.
    """
    defaults = SETTINGS[case.recipe]
    batch, size = batch or defaults.batch, size or defaults.size
    options, processes = RunOptions(folder, folder / "out", device=device), ProcessGroup(device=torch.device(device))
    steps = {name: step_of(name, case, options, processes, batch, size) for name in LABELS}
    own, other = (step() for step in steps.values())
    if not abs(own - other) <= TOLERANCES[case.precision] * abs(other):
        raise ArithmeticError(f"{case.name}: losses differ: {own} with fastnst, {other} with the published operations")
    result = Result(batch, size)
    wait_until_quiet(patience)
    others = Bystanders()
    for number in range(rounds + 1):
        for name, step in steps.items():
            seconds = sample(step)
            if number:
                result.seconds[name].append(seconds)
    result.foreign_share = others.share()
    return result


def memory(case: Case, folder: Path, batch: int, size: int) -> dict[str, int | None]:
    """Bytes that a step takes on the CPU besides networks and Adam's state, by contender; None if its process failed."""
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(THRESHOLD)}
    found: dict[str, int | None] = {}
    for name in LABELS:
        command = python_module(__name__, case.recipe, case.precision, name, str(folder), str(batch), str(size))
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        found[name] = None if done.returncode else json.loads(done.stdout)
    return found


def sample(step: Step) -> float:
    """Median seconds of :data:`STEPS` steps, after one that is not counted."""
    step()
    times = []
    for _ in range(STEPS):
        started = time.perf_counter()
        step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # for the optimiser's kernels
        times.append(time.perf_counter() - started)
    return sorted(times)[STEPS // 2]


def facts(case: Case, contender: str, result: Result, device: str) -> dict[str, Any]:
    """The facts about a contender, for the JSON file."""
    return {
        "case": case.name,
        "recipe": case.recipe,
        "precision": case.precision,
        "operations": contender,
        "batch": result.batch,
        "size": result.size,
        "device": device,
        "threads": torch.get_num_threads(),
        "visits_seconds": result.seconds[contender],
        "step_bytes": result.memory.get(contender),
        "foreign_share": result.foreign_share,
        "versions": {name: version for name in PACKAGES if (version := version_of(name))},
        **system(),
    }


def main() -> None:
    recipe, precision, contender, folder, batch, size = sys.argv[1:]
    options = RunOptions(Path(folder), Path(folder) / "out")
    step = step_of(contender, Case(recipe, precision), options, ProcessGroup(), int(batch), int(size))
    step()  # allocates Adam's state
    json.dump(extra_memory(step), sys.stdout)


if __name__ == "__main__":
    main()
