"""One run of the benchmarks: its options, its results, and the facts beside times for the JSON file."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib import metadata
from typing import Any

import torch

import fastnst

from ..interleave import wait_until_quiet
from ..machine import system
from . import floors, memory
from .measure import Result, compare
from .workload import Workload

ROUNDS, SAMPLE_SECONDS = 5, 0.2
LESS_ROUNDS, LESS_SAMPLE_SECONDS = 3, 0.1
"""Rounds, and seconds of a sample, for workloads that are not main ones and for all in the quick profile."""
QUIET_SECONDS = 60.0
"""The total time that a run waits for idle cores."""
PACKAGES = ("fastnst", "torch", "triton", "numpy")

Log = Callable[[str], None]


class OutOfTimeError(Exception):
    """The time limit of the run has passed."""


@dataclass
class Session:
    """The options, and the results so far, by workload and mode."""

    device: str
    quick: bool
    rounds: int | None
    patience: float
    limit: float | None
    started: float = field(default_factory=time.monotonic)
    waited: float = 0.0
    results: dict[tuple[str, str], dict[str, Result]] = field(default_factory=dict)
    foreign: dict[tuple[str, str], float] = field(default_factory=dict)
    memory: dict[str, memory.Memory] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @classmethod
    def from_options(cls, options: Any) -> Session:
        """A session from a command line; raises ValueError if there is no such device."""
        return cls(checked_device(options.device), options.quick, options.rounds, options.patience, options.limit)

    def chosen(self, workloads: list[Workload]) -> list[Workload]:
        return [each for each in workloads if self.device in each.devices and (each.main or not self.quick)]

    @cached_property
    def ceilings(self) -> floors.Ceilings:
        """The machine's limits, measured when they are first asked for."""
        self.wait()
        return floors.ceilings(self.device)

    def wait(self) -> None:
        """Wait until nothing else uses the cores, or patience ends."""
        started = time.monotonic()
        wait_until_quiet(min(self.patience, QUIET_SECONDS - self.waited))
        self.waited += time.monotonic() - started

    def run(self, workload: Workload, mode: str, log: Log) -> dict[str, Result]:
        """The results of every contender of one workload and mode, which are measured at the first call.

        Raises:
            OutOfTimeError: they were not measured before the time limit.
        """
        key = workload.name, mode
        if key in self.results:
            return self.results[key]
        if self.limit is not None and time.monotonic() - self.started > self.limit:
            self.left_out += [f"{workload.name} {mode}"] * (f"{workload.name} {mode}" not in self.left_out)
            raise OutOfTimeError
        if self.device == "cpu" and workload.stem not in self.memory:
            log(f"{workload.stem}: memory")
            self.memory[workload.stem] = memory.by_child(workload.stem, self.quick)
        _ = self.ceilings
        log(f"{workload.name} {mode}")
        self.wait()
        effort = (ROUNDS, SAMPLE_SECONDS) if workload.main and not self.quick else (LESS_ROUNDS, LESS_SAMPLE_SECONDS)
        results, self.foreign[key] = compare(workload, mode, self.device, self.rounds or effort[0], effort[1])
        for contender, bytes_ in self.memory.get(workload.stem, {}).get(workload.name, {}).get(mode, {}).items():
            results[contender].memory = bytes_
        self.results[key] = results
        for result in results.values():  # at once, so that a run that is stopped has shown its results
            log(f"  {result.label}: {result.failure or f'{1e3 * statistics.median(result.seconds):.4g} ms'}")
        return results

    def facts(self, workload: Workload, mode: str, result: Result) -> dict[str, Any]:
        """The facts about a contender for the JSON file, without comparisons."""
        floor = self.ceilings.seconds(workload.cost(mode))
        return {
            "stem": workload.stem,
            "workload": workload.name,
            "operation": workload.operation,
            "size": workload.size,
            "main": workload.main,
            "mode": mode,
            "contender": result.contender,
            "label": result.label,
            "device": self.device,
            "visits_seconds": result.seconds,
            "extra_memory": result.memory,
            "error": result.error,
            "captured": result.captured,
            "foreign_share": self.foreign[workload.name, mode],
            "floor": asdict(workload.cost(mode)) | {"seconds": floor},
        }

    def summary(self) -> dict[str, Any]:
        """The facts about the run as a whole."""
        failures = {
            f"{name} {mode}, {result.label}": result.failure
            for (name, mode), results in self.results.items()
            for result in results.values()
            if result.failure
        }
        return {
            "device": self.device,
            "accelerator": torch.cuda.get_device_name() if self.device == "cuda" else None,
            "threads": torch.get_num_threads(),
            "quick": self.quick,
            "ceilings": asdict(self.ceilings),
            "failed": failures,
            "left_out": self.left_out,
            "versions": {name: version for name in PACKAGES if (version := version_of(name))},
            **system(),
        }


def checked_device(name: str | None) -> str:
    """``name``; or without one ``cuda`` if that works, else ``cpu``.

    Raises:
        ValueError: CUDA is asked for and does not work.
    """
    works = torch.cuda.is_available()
    if name == "cuda" and not works:
        raise ValueError("there is no CUDA device")
    return name or ("cuda" if works else "cpu")


def version_of(package: str) -> str | None:
    """The version of a package; None if it is not installed."""
    if package == "torch":
        return str(torch.__version__)  # includes that of CUDA
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return fastnst.__version__ if package == "fastnst" else None  # used from its source tree
