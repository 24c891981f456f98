"""The same pixels everywhere: 200 golden pictures over paths, threads, alignments, builds, memory and processors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import node_package

from fastnst import engine
from torture import goldens, native
from torture.framework import NotHereError, Outcome, check

THREADS = (1, 2, 3, 4, 8, 16)
PATHS = [path for path, runs in engine.instruction_sets() if runs]


def _require_pictures() -> None:
    if goldens.sources() != json.loads(goldens.TABLE.read_text())["sources"]:
        raise NotHereError("scikit-image ships other photographs than those that the goldens were made of")


def _in_a_process(count: int, threads: Sequence[int], **environment: str) -> dict[str, list[str]]:
    command = [sys.executable, "-m", "torture.goldens", str(count), ",".join(map(str, threads))]
    tests = Path(__file__).parents[1]
    folders = os.pathsep.join([str(tests), str(tests / "support"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": folders, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return dict(json.loads(done.stdout))


def _compare(outcome: Outcome, where: str, found: dict[str, list[str]], runs: int) -> None:
    wanted = goldens.wanted()
    for case, digests in found.items():
        outcome.expect(digests == [wanted[case]], f"{where}: {case}")
    outcome.reached += len(found) * (runs - 1)  # of each case in as many ways


@check("200 goldens, every path x threads 1, 2, 3, 4, 8, 16", quick=8, full=200)
def paths_and_threads(count: int) -> Outcome:
    """Every instruction set, with any number of threads, makes the golden pictures."""
    _require_pictures()
    outcome = Outcome(note=f"paths {', '.join(PATHS)}; threads {', '.join(map(str, THREADS))}")
    for path in PATHS:
        _compare(outcome, path, _in_a_process(count, THREADS, FASTNST_ISA=path), len(THREADS))
    return outcome


@check("200 goldens in every WebAssembly module, by node", quick=4, full=200)
def webassembly_modules(count: int) -> Outcome:
    """Every module of the npm package makes the golden pictures, those with threads with four."""
    _require_pictures()
    if why := node_package.lacking():
        raise NotHereError(why)
    outcome, chosen, wanted = Outcome(), goldens.cases()[:count], goldens.wanted()
    modules = [module for module in node_package.MODULES if node_package.runs(module)]
    pictures = [goldens.picture_of(case, 1) for case in chosen]
    assert [goldens.digest(picture) for picture in pictures] == [wanted[case.name] for case in chosen]
    for module in modules:
        settings = {"wasm": str(node_package.WEB / module), "threads": node_package.THREADS[module]}
        jobs = [
            {**settings, "model": case.model, "options": {"alpha": case.alpha}}
            | {each: node_package.given(goldens.pictures()[getattr(case, each)]) for each in ("content", "style")}
            for case in chosen
        ]
        with TemporaryDirectory() as folder:
            answers = node_package.run(Path(folder), *jobs)
        for case, picture, answer in zip(chosen, pictures, answers, strict=True):
            outcome.expect(answer.get("digest") == node_package.digest(picture), f"{module}: {case.name}")
    outcome.note = ", ".join(modules)
    return outcome


@check("200 goldens, buffers at offsets 0..63", quick=2, full=200)
def alignments(count: int) -> Outcome:
    """Wherever pictures lie in memory, the result is the golden one."""
    _require_pictures()
    outcome, wanted = Outcome(), goldens.wanted()
    for case in goldens.cases()[:count]:
        for offset in range(64):
            outcome.expect(goldens.made(case, 2, offset) == wanted[case.name], f"offset {offset}: {case.name}")
    return outcome


@check("200 goldens in tiles, in the least memory", quick=16, full=200)
def memory_budgets(count: int) -> Outcome:
    """A picture in tiles is the golden one, with any number of threads."""
    _require_pictures()
    outcome, wanted, least = Outcome(), goldens.wanted(), 8
    for index, case in enumerate(goldens.cases()[:count]):
        found = goldens.made_in_tiles(case, 1 + index % 3)
        if found:
            outcome.expect(found[0] == wanted[case.name], f"{found[1]} / 8 of the memory: {case.name}")
            least = min(least, found[1])
    outcome.note = f"in as little as {least} / 8 of the memory of the whole; {count - outcome.reached} are too small for tiles"
    return outcome


@check("200 goldens, fresh memory filled with 0x00 and 0xFE", quick=8, full=200)
def filled_memory(count: int) -> Outcome:
    """No pixel depends on what memory held before."""
    if not sys.platform.startswith("linux"):
        raise NotHereError("glibc's MALLOC_PERTURB_ fills memory")
    _require_pictures()
    outcome = Outcome()
    for fill in ("255", "1"):  # glibc writes the complement, and takes 0 for "do not"
        _compare(outcome, f"MALLOC_PERTURB_={fill}", _in_a_process(count, (2,), MALLOC_PERTURB_=fill), 1)
    return outcome


def _by_driver(outcome: Outcome, build: str, count: int, **environment: str) -> None:
    _require_pictures()
    wanted, chosen = goldens.wanted(), goldens.cases()[:count]
    with TemporaryDirectory() as folder:
        said = native.run(build, "golden", "2", text=goldens.write_jobs(Path(folder), chosen), **environment).split()
    for case, found in zip(chosen, said, strict=True):
        outcome.expect(found == wanted[case.name], f"{build} {environment or ''}: {case.name}")


@check("200 goldens by gcc and clang, -O0 and -O3", quick=0, full=200)
def compilers(count: int) -> Outcome:
    """Whatever compiler built the engine, and however hard it tried, the pictures are the same."""
    outcome = Outcome()
    for build in ("gcc-O0", "gcc-O3", "clang-O0", "clang-O3"):
        _by_driver(outcome, build, count)
    return outcome


@check("200 goldens on emulated Arm", quick=0, full=200)
def another_processor(count: int) -> Outcome:
    """The same on another family of processors."""
    outcome = Outcome()
    for path, share in (("neondot", 1), ("neon", 1), ("scalar", 4)):
        _by_driver(outcome, "arm", count // share, FASTNST_ISA=path)
    return outcome
