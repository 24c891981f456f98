"""Jobs that are killed before each of the operations by which they change files, or interrupted while they make one.

Kills and interrupts at random moments hit the instants between two such steps rarely; there, what is left on the disk differs
most.
"""

from __future__ import annotations

import importlib.util
import itertools
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from PIL import Image

from fastnst.system import atomic
from fastnst.verify import picture
from torture.crashes import digests, hidden, stylize, video, workplace
from torture.forks import ended, file_operations, forked, killed_before, rehearsed
from torture.framework import Outcome, check

Jobs = dict[str, tuple[Callable[[Path], int], bool]]
"""By the name of the output: what makes it in a folder, and whether the next run clears away what a killed one left."""


def _save_twice(folder: Path) -> int:
    import torch

    from fastnst.train.checkpoints import save_checkpoint

    for step in (1, 2):
        save_checkpoint(folder / "last.safetensors", {"w": torch.full((9,), float(step))}, {"step": step})
    return 0


def _jobs() -> Jobs:
    def made(content: str, output: str, *options: str) -> Callable[[Path], int]:
        return lambda folder: stylize(folder, content, output, *options)

    jobs: Jobs = {
        "out": (made("in", "out"), True),
        "out.y4m": (made("clip.y4m", "out.y4m"), True),
        "out.tif": (made("large.png", "out.tif", "--max-memory", "8M"), False),
        "out.png": (made("in/000.png", "out.png"), False),
        "last.safetensors": (_save_twice, True),
    }
    if importlib.util.find_spec("av") is not None:
        jobs["out.mp4"] = (made("clip.y4m", "out.mp4"), True)
    return jobs


@cache
def _large() -> bytes:
    """A picture that is done in tiles, as a file."""
    file = BytesIO()
    Image.fromarray(picture(900, 1000, 2)).save(file, "PNG")
    return file.getvalue()


@contextmanager
def _furnished() -> Iterator[Path]:
    """A folder with what the jobs take."""
    with workplace(3) as folder:
        video(folder / "clip.y4m", 130)
        (folder / "large.png").write_bytes(_large())
        yield folder


def _contents(path: Path) -> object:
    """Of a file or a folder; None where there is none."""
    if path.suffix == ".safetensors" and path.exists():
        from fastnst.train.checkpoints import load_checkpoint

        tensors, facts = load_checkpoint(path)  # its checksum is right, or this is a finding
        return tensors["w"].tolist(), facts
    return digests(path) if path.is_dir() else path.read_bytes() if path.exists() else None


@check("kill -9 before every file operation of a picture, a folder, videos, tiles and checkpoints", quick=9, full=1000)
def kills_at_every_step(count: int) -> Outcome:
    """What is there is whole, and the next run ends as one that was not killed."""
    outcome, told = Outcome(), []
    for name, (make, clears) in _jobs().items():
        with _furnished() as folder:
            rehearsed(partial(make, folder))
        with _furnished() as folder, TemporaryDirectory() as temporary:
            job, out = partial(make, folder), folder / name
            total = file_operations(job, Path(temporary) / "count")
            wanted = _contents(out)
            told.append(f"{name} {total}")
            cases = min(count, total)
            for step in (total - 1 - index * total // cases for index in range(cases)):
                shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
                outcome.expect(killed_before(job, step), f"{name}: came to its end before operation {step} of {total}")
                there = _contents(out)
                if isinstance(there, dict):
                    whole = isinstance(wanted, dict) and there.items() <= wanted.items()
                else:
                    whole = there in (None, wanted) or name == "last.safetensors"
                outcome.expect(whole, f"{name}: broken after a kill before operation {step}")
                if there is not None and not isinstance(there, dict):
                    out.unlink()  # whole, and yet whoever removes it gets it again
                code = ended(forked(job))
                outcome.expect(code == 0 and _contents(out) == wanted, f"{name}: exit code {code} after operation {step}")
                outcome.expect(not clears or not hidden(folder), f"{name}: left after {step}: {hidden(folder)[:3]}")
    outcome.note = "operations: " + ", ".join(told)
    return outcome


def _makes_a_file(frame: FrameType) -> bool:
    """Whether ``frame`` is of ``atomic_output``, or of the context manager around it."""
    generator = getattr(frame.f_locals.get("self"), "gen", None)
    code = generator.gi_code if generator else frame.f_code
    return bool(code.co_filename == atomic.__file__)


def _interrupted(work: Callable[[], int], step: int, log: Path) -> int:
    """The exit code of ``work``, interrupted at instruction ``step`` that makes a file; ``log`` grows by a byte then."""

    def child() -> int:
        steps = itertools.count()

        def look(frame: FrameType, event: str, _: Any) -> Any:
            if not _makes_a_file(frame):
                return None if event == "call" else look
            frame.f_trace_opcodes = True
            if event == "opcode" and next(steps) == step:
                sys.settrace(None)
                with log.open("ab") as file:
                    file.write(b".")
                raise KeyboardInterrupt
            return look

        sys.settrace(look)
        return work()

    return ended(forked(child))


@check("Ctrl-C at every instruction of Python that makes an output: exit code 130, nothing left", quick=200, full=200)
def interrupts_at_every_step(count: int) -> Outcome:
    """Even between a file's making and the block that is to remove it."""
    outcome = Outcome()
    with workplace(1) as folder, TemporaryDirectory() as temporary:
        log = Path(temporary) / "count"
        job = partial(stylize, folder, "in/000.png", "out.png", "--overwrite")
        rehearsed(job)
        while outcome.reached < count:
            code = _interrupted(job, outcome.reached, log)
            if log.stat().st_size == outcome.reached:  # it has no step of this number
                break
            left = hidden(folder)
            outcome.expect(code == 130 and not left, f"at step {outcome.reached}: exit code {code}, left: {left}")
            for name in left:
                (folder / name).unlink()
    return outcome
