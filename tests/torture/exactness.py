"""The engine against arithmetic written twice: random networks on every path, random tiles of random pictures."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fastnst.format.modelfile import to_bytes
from fastnst.stylize import Stylizer
from fastnst.verify import picture
from torture import networks
from torture.determinism import PATHS
from torture.framework import Outcome, check

TILED = ("adain-16x", "wct-16x", "adain-nano", "adain-pruned")


class Runner:
    """A process with an instruction set, that makes pictures for seeds."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, seed: int) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{seed}\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip() or f"the process ended with {self._process.wait()}"


@contextmanager
def runner(path: str, folder: Path) -> Iterator[Runner]:
    """One for ``networks`` in a folder; that it ran another path than it was told is an error."""
    tests = Path(__file__).parents[1]
    folders = os.pathsep.join([str(tests), str(tests / "support"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": folders, "FASTNST_ISA": path, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torture.networks", str(folder)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Runner(process)
        assert process.stdin
        process.stdin.close()
        if process.wait():
            raise RuntimeError(f"networks on {path}: exit code {process.returncode}")


@check("5,000 random networks, exact", quick=24, full=5000)
def random_networks(count: int) -> Outcome:
    """Random networks of every kind make of random pictures what the NumPy reference makes of them, on every path."""
    outcome, kinds = Outcome(), Counter[str]()
    with TemporaryDirectory() as name, ExitStack() as stack:
        runners = {path: stack.enter_context(runner(path, Path(name))) for path in PATHS}
        for seed in range(count):
            model, kind = networks.network(seed), networks.kind_of(seed)
            (Path(name) / f"{kind}.fnst").write_bytes(to_bytes(model))
            for each in runners.values():
                each.ask(seed)
            given = networks.pictures(seed)
            wanted = networks.by_reference(model, given)
            for path, each in runners.items():
                found = each.answer()
                where = f"{kind} {seed} on {path}, {given.content.shape}, {given.threads} threads: {found}"
                outcome.expect(found == wanted, where)
            kinds[kind] += 1
    outcome.note = ", ".join(f"{number} {kind}" for kind, number in kinds.items()) + f"; each on {', '.join(PATHS)}"
    return outcome


@check("sums at and beyond the bound of 16 bits, exact", quick=8, full=3000)
def bounds_of_short_sums(count: int) -> Outcome:
    """Layers whose weights reach what sums of 16 bits hold, and more, come out exact on every path."""
    outcome, program = Outcome(note=f"each on {', '.join(PATHS)}"), Path(__file__).parents[1] / "support" / "bound_cases.py"
    for path in PATHS:
        environment = {**os.environ, "FASTNST_ISA": path, "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, str(program), str(count)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        for seed, line in zip_longest(range(count), done.stdout.splitlines()):
            outcome.expect(line == "exact", f"seed {seed} on {path}: {line or done.stderr}")
    return outcome


@dataclass(frozen=True)
class Cut:
    """A picture for which there are budgets below what the whole takes."""

    model: str
    levels: tuple[int, ...] | None
    height: int
    width: int
    threads: int
    least: int
    whole: int

    def budget(self, chance: random.Random) -> int:
        """More often close to the least, where tiles are small."""
        return self.least + int((self.whole - 1 - self.least) * chance.random() ** 3)


def _cut(chance: random.Random, model: str, decodes: bool) -> Cut:
    threads = chance.randint(1, 8)
    engine = Stylizer(model, threads).engine
    while True:
        height, width = chance.randint(10, 500), chance.randint(10, 700)
        levels = tuple(chance.sample(engine.levels, chance.randint(1, len(engine.levels)))) if engine.levels else None

        chosen = engine.with_levels(levels)

        def fits(budget: int) -> bool:
            try:
                chosen.tiling((height, width), budget, threads, decodes=decodes)  # noqa: B023 -- called in this turn
            except ValueError:
                return False
            return True

        whole = chosen.working_bytes(height, width, threads)
        least = bisect_left(range(whole), True, key=fits)
        if least < whole:
            return Cut(model, levels, height, width, threads, least, whole)


@check("300 random sizes, tiles and budgets: tiled = whole", quick=8, full=300)
def random_tiles(count: int) -> Outcome:
    """In whatever tiles a shipped model does a picture, or looks at a style, nothing differs from the whole picture."""
    outcome, sizes, parts = Outcome(), set[tuple[int, int]](), 0
    for number in range(count):
        chance, looks = random.Random(number), number % 3 == 2
        cut = _cut(chance, TILED[number % len(TILED)], not looks)
        budget, size = cut.budget(chance), (cut.height, cut.width)
        whole, tiled = Stylizer(cut.model, 2), Stylizer(cut.model, cut.threads, budget)
        tiling = tiled.engine.with_levels(cut.levels).tiling(size, budget, cut.threads, decodes=not looks)
        sizes.add((tiling.height, tiling.width))
        parts += tiling.height < cut.height or tiling.width < cut.width
        pixels = picture(*size, number % 11)
        if looks:
            found, wanted = (networks.kept_of(each.encode_style(pixels, cut.levels)) for each in (tiled, whole))
            same = networks.digest(found) == networks.digest(wanted)
        else:
            look, alpha = whole.encode_style(picture(70, 90, 3), cut.levels), chance.choice((1.0, 0.4))
            same = np.array_equal(tiled(pixels, look, alpha, levels=cut.levels), whole(pixels, look, alpha, levels=cut.levels))
        outcome.expect(same, f"{number}: {cut}, {budget} bytes, tiles of {tiling.height} x {tiling.width}, style: {looks}")
    outcome.note = f"{parts} cut, {len(sizes)} sizes of tiles"
    return outcome
