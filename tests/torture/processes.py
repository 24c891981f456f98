"""The engine in children, in threads, under Ctrl-C, and called again and again."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from fastnst.engine import Engine
from fastnst.format.modelfile import to_bytes
from fastnst.verify import picture
from torture import corpora
from torture.crashes import stylize, workplace
from torture.forks import ended, forked, resident_memory
from torture.framework import Outcome, check

CONTENT, STYLE = picture(40, 37, 1), picture(20, 24, 2)


def stylized(engine: Engine, threads: int = 2) -> bytes:
    return engine.decode(engine.encode(CONTENT, threads), engine.look(STYLE, threads), 0.7, threads).tobytes()


def fresh() -> Engine:
    return Engine(to_bytes(corpora.pair()))


def _in_a_child(number: int) -> bytes:
    return stylized(fresh(), 1 + number % 3)


class Styled:
    """A data set whose pictures are stylized where they are loaded."""

    def __init__(self, count: int) -> None:
        self.count, self.engine = count, fresh()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> bytes:
        return stylized(self.engine, 1 + index % 3)


@check("50 forks after use, spawn, forkserver, DataLoader workers: no deadlock in 60 s", quick=16, full=80)
def children(count: int) -> Outcome:
    """Children of every kind make the pictures of their parent, also while its threads are at work."""
    from torch.utils.data import DataLoader

    outcome, engine = Outcome(), fresh()
    wanted, stop = stylized(engine, 4), threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            stylized(engine, 3)

    busy = threading.Thread(target=keep_busy)
    busy.start()
    try:
        for number in range(count * 5 // 8):
            code = ended(forked(lambda: int(stylized(engine, 3) != wanted)))
            outcome.expect(code == 0, f"fork {number}: exit code {code}")
    finally:
        stop.set()
        busy.join()
    for method in ("spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            found = pool.map_async(_in_a_child, range(count // 8)).get(timeout=300)
        outcome.expect(found == [wanted] * (count // 8), method)
        outcome.reached += count // 8 - 1
    loader = DataLoader(Styled(count // 4), batch_size=1, num_workers=2, collate_fn=list, timeout=300)
    found = [each for batch in loader for each in batch]
    outcome.expect(found == [wanted] * (count // 4), "DataLoader")
    outcome.reached += count // 4 - 1
    return outcome


@check("16 Python threads x 500 calls on one engine and on 16", quick=320, full=16_000)
def python_threads(count: int) -> Outcome:
    """Threads of Python that share an engine, or have their own, get the same pixels."""
    outcome, shared = Outcome(), fresh()
    wanted = stylized(shared)
    for engines in ([shared] * 16, [fresh() for _ in range(16)]):
        with ThreadPoolExecutor(16) as pool:
            calls = [(engines[number % 16], 1 + number % 5) for number in range(count // 2)]
            for number, found in enumerate(pool.map(lambda call: stylized(*call), calls)):
                outcome.expect(found == wanted, f"call {number}")
    return outcome


def _files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@check("10,000 calls: less than 1 MB more memory, no file more", quick=1500, full=10_000)
def many_calls(count: int) -> Outcome:
    """Calls leave nothing behind."""
    outcome, engine = Outcome(), fresh()
    for _ in range(200):
        stylized(engine)
    memory, files = resident_memory(), _files()
    for _ in range(count):
        stylized(engine)
    grown, more = resident_memory() - memory, _files() - files
    outcome.expect(grown < 1 << 20 and more == 0, f"{grown} bytes and {more} files more")
    outcome.reached, outcome.note = count, f"{grown >> 10} KB more"
    return outcome


@check("Ctrl-C in 200 places: exit code 130 within 250 ms, nothing left", quick=12, full=200)
def interrupts(count: int) -> Outcome:
    """An interrupted job ends with 130, at once and without parts of outputs, wherever it was."""
    outcome, chance, slowest = Outcome(), random.Random(8), 0.0
    with workplace(200) as folder:
        job = partial(stylize, folder, "in", "out", "--overwrite")

        def ready() -> int:
            (folder / "ready").touch()
            return job()

        while outcome.reached < count:
            (folder / "ready").unlink(missing_ok=True)
            process = forked(ready)
            while not (folder / "ready").exists():
                time.sleep(0.001)
            time.sleep(chance.uniform(0.02, 0.15))
            os.kill(process, signal.SIGINT)
            start = time.perf_counter()
            code = ended(process)
            if code == 0:  # it was done before
                continue
            slowest = max(slowest, time.perf_counter() - start)
            left = [path.name for path in folder.rglob(".*")]
            outcome.expect(code == 130 and not left, f"exit code {code}, left: {left}")
    outcome.note = f"slowest {1000 * slowest:.0f} ms"
    return outcome
