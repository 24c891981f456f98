"""Measures memory on the CPU in its own process: ``python -m bench.ops.memory STEM [--quick]`` prints it as JSON.

The resident set is measured, so freed memory must return to the system at once. ``MALLOC_MMAP_THRESHOLD_`` makes the allocator
do so, in this process alone, because it costs time.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable

from fastnst import ops
from fastnst.system.child import python_module

from ..interleave import ROOT
from ..worker import peak_memory, reset_peak_memory
from .measure import prepared
from .workload import Workload, call_of

THRESHOLD = 65536
"""The size in bytes from which on blocks are mapped and unmapped separately."""

Memory = dict[str, dict[str, dict[str, "int | None"]]]
"""Bytes by workload, mode and contender."""


def by_child(stem: str, quick: bool) -> Memory:
    """The results of a child process; empty if it fails, in which case its standard error says why."""
    command = python_module(__name__, stem, *(["--quick"] if quick else []))
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(THRESHOLD)}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    memory: Memory = {} if done.returncode else json.loads(done.stdout)
    return memory


def measure(workloads: list[Workload]) -> Memory:
    memory: Memory = {}
    for workload in workloads:
        tensors = workload.make()
        for mode in workload.modes:
            found = memory.setdefault(workload.name, {}).setdefault(mode, {})
            for contender, rival in workload.rivals(mode, "cpu").items():
                try:
                    call = call_of(prepared(rival.function, contender), tensors, workload.trained, mode)
                    found[contender] = extra_memory(call)
                except Exception as error:  # it is reported when times are measured
                    print(f"{workload.name} {mode} {contender}: {error}", file=sys.stderr)
    return memory


def extra_memory(call: Callable[[], object]) -> int | None:
    """The largest growth of the resident set in bytes during ``call``, results included; None if Linux does not tell."""
    if not reset_peak_memory():
        return None
    call()
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    ops.empty_cache()
    reset_peak_memory()
    before = peak_memory()
    results = call()
    peak = peak_memory()
    del results
    return None if before is None or peak is None else peak - before


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the memory that a stem's operations and their rivals take.")
    parser.add_argument("stem")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    package = __package__.rpartition(".")[0]
    workloads = importlib.import_module(f"{package}.bench_{options.stem}").WORKLOADS
    chosen = [each for each in workloads if "cpu" in each.devices and (each.main or not options.quick)]
    warnings.simplefilter("ignore")
    json.dump(measure(chosen), sys.stdout)


if __name__ == "__main__":
    main()
