"""Jobs that are killed at any moment, run out of memory, of disk, or may not write."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import random
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from fastnst import cli
from fastnst.format.modelfile import to_bytes
from fastnst.verify import picture
from torture import corpora
from torture.forks import ended, forked, killed_after
from torture.framework import NotHereError, Outcome, check, timed


@contextmanager
def workplace(pictures: int) -> Iterator[Path]:
    """A folder with a tiny model, a style, and ``in`` with so many pictures."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.fnst").write_bytes(to_bytes(corpora.pair()))
        Image.fromarray(picture(20, 24, 3)).save(folder / "style.png")
        (folder / "in").mkdir()
        for index in range(pictures):
            Image.fromarray(picture(24, 20 + index % 7, index + 1)).save(folder / "in" / f"{index:03}.png")
        yield folder


def stylize(folder: Path, content: str, output: str, *options: str) -> int:
    """The command's exit code, run in this process."""
    names = [str(folder / each) for each in (content, "style.png", output, "model.fnst")]
    return cli.main(["stylize", *names[:2], "-o", names[2], "--model", names[3], "--threads", "1", "--quiet", *options])


def digests(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of every visible file."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if not path.name.startswith(".")}


def hidden(folder: Path) -> list[str]:
    """What a finished run should not leave."""
    return [path.name for path in folder.rglob(".*")]


@check("kill -9 at 300 moments of a folder job of 200 pictures", quick=25, full=300)
def folder_kills(count: int) -> Outcome:
    """Every visible output is complete, the next run does only what is missing, and leaves nothing else."""
    outcome, chance = Outcome(), random.Random(1)
    with workplace(200) as folder:
        whole = timed(lambda: ended(forked(partial(stylize, folder, "in", "whole"))))
        wanted, runs = digests(folder / "whole"), 1
        outcome.expect(len(wanted) == 200, f"{len(wanted)} of 200 pictures")
        job = partial(stylize, folder, "in", "out")
        while outcome.reached <= count:
            there = digests(folder / "out")
            if len(there) == len(wanted):
                shutil.rmtree(folder / "out")
                runs += 1
                continue
            if not killed_after(job, chance.uniform(0, whole / 4)):
                continue
            now = digests(folder / "out")
            sound = now.items() <= wanted.items() and there.items() <= now.items()
            outcome.expect(sound, f"after kill {outcome.reached}: {sorted(now.items() - wanted.items())[:3]}")
        before = {path.name: path.stat().st_mtime_ns for path in (folder / "out").glob("*.png")}
        outcome.expect(ended(forked(job)) == 0 and digests(folder / "out") == wanted, "the last run")
        again = [name for name, when in before.items() if (folder / "out" / name).stat().st_mtime_ns != when]
        outcome.expect(not again and not hidden(folder), f"done again: {again[:3]}, left: {hidden(folder)[:3]}")
    outcome.note = f"{runs} whole jobs"
    return outcome


def video(path: Path, frames: int) -> None:
    from clips import moving_square, write_y4m

    write_y4m(path, [np.ascontiguousarray(each[:24, :32]) for each in moving_square(frames)])


def _video_kills(count: int, suffix: str, frames: int) -> Outcome:
    outcome, chance = Outcome(), random.Random(2)
    with workplace(1) as folder:
        video(folder / "clip.y4m", frames)
        whole = timed(lambda: ended(forked(partial(stylize, folder, "clip.y4m", f"whole{suffix}"))))
        wanted = (folder / f"whole{suffix}").read_bytes()
        job, out = partial(stylize, folder, "clip.y4m", f"out{suffix}"), folder / f"out{suffix}"
        while outcome.reached < count:
            if not killed_after(job, chance.uniform(0, whole / 2)) or out.exists():
                whole = out.exists() and out.read_bytes() == wanted
                outcome.expect(whole, f"a broken output, or none, after kill {outcome.reached}")
                out.unlink(missing_ok=True)
            else:
                outcome.expect(True, "")
        outcome.expect(ended(forked(job)) == 0 and out.read_bytes() == wanted, "the last run")
        outcome.expect(not hidden(folder), f"left: {hidden(folder)[:3]}")
    return outcome


@check("kill -9 at 50 moments of a video job, y4m", quick=12, full=300)
def video_kills(count: int) -> Outcome:
    """No output before it is complete, and the one of a run that went on is that of a run that was not killed."""
    return _video_kills(count, ".y4m", 300)


@check("the same for a coded video", quick=6, full=50)
def coded_video_kills(count: int) -> Outcome:
    """Segments that a killed run has closed are joined with the rest to the same file."""
    if importlib.util.find_spec("av") is None:
        raise NotHereError("PyAV is not installed")
    return _video_kills(count, ".mp4", 120)


@check("kill -9 at 500 moments of writing checkpoints", quick=60, full=500)
def checkpoint_kills(count: int) -> Outcome:
    """The latest checkpoint can always be read, and is the last or the one before it."""
    import torch

    from fastnst.train.checkpoints import load_checkpoint, save_checkpoint

    outcome, chance = Outcome(), random.Random(3)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "last.safetensors"
        save_checkpoint(path, {"w": torch.zeros(20_000)}, {"step": 0})

        def writes() -> int:
            step = load_checkpoint(path)[1]["step"]
            while True:
                step += 1
                save_checkpoint(path, {"w": torch.full((20_000,), float(step))}, {"step": step})

        before = 0
        for number in range(count):
            killed_after(writes, chance.uniform(0, 0.03))
            try:
                tensors, facts = load_checkpoint(path)
            except ValueError as error:
                outcome.expect(False, f"kill {number}: {error}")
                continue
            sound = facts["step"] >= before and bool((tensors["w"] == facts["step"]).all())
            outcome.expect(sound, f"kill {number}: step {facts['step']} after {before}")
            before = facts["step"]
        save_checkpoint(path, {"w": torch.zeros(1)}, {"step": 0})
        left = [each.name for each in path.parent.iterdir()]
        outcome.expect(left == [path.name], f"left: {left}")
    outcome.note = f"{before} checkpoints"
    return outcome


@check("50 kills of a training run, resumed: the same bytes", quick=3, full=50)
def training_kills(count: int) -> Outcome:
    """A run that is killed again and again comes to the weights, the optimiser's state and the log of one that is not."""
    import tiny_recipe

    outcome, chance = Outcome(), random.Random(5)

    def train(out: Path) -> int:
        options = ["--first", "25", "--second", "25", "--every", "3", "--threads", "1"]
        tiny_recipe.main(["--data", str(out.parent), "--out", str(out), *options])
        return 0

    with TemporaryDirectory() as folder:
        whole, broken = Path(folder) / "whole", Path(folder) / "broken"
        seconds = timed(lambda: ended(forked(partial(train, whole))))
        wanted = _trained(whole)
        while outcome.reached < count:
            killed = killed_after(partial(train, broken), chance.uniform(0, seconds))
            if not killed or (broken / "final.safetensors").exists():
                outcome.expect(ended(forked(partial(train, broken))) == 0 and _trained(broken) == wanted, "the last run")
                shutil.rmtree(broken)
            else:
                outcome.expect(True, "")
        outcome.expect(ended(forked(partial(train, broken))) == 0 and _trained(broken) == wanted, "the very last run")
    return outcome


def _trained(out: Path) -> dict[str, bytes]:
    """All that a run leaves and that does not tell the time."""
    from fastnst.train.checkpoints import load_checkpoint

    found = {"log": b"".join(row for row in (out / "log.csv").read_bytes().splitlines(True) if b"samples" not in row)}
    for name in ("last", "final"):
        tensors, _ = load_checkpoint(out / f"{name}.safetensors")
        found |= {f"{name} {key}": value.numpy().tobytes() for key, value in tensors.items()}
    return found


@check("1,000 flipped bits of a checkpoint", quick=300, full=1000)
def checkpoint_bits(count: int) -> Outcome:
    """Each of them is noticed."""
    import torch

    from fastnst.train.checkpoints import CheckpointError, load_checkpoint, save_checkpoint

    outcome, chance = Outcome(), random.Random(4)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "last.safetensors"
        tensors = {"a": torch.arange(60.0), "b.c": torch.ones(7, 3, dtype=torch.bfloat16), "d": torch.tensor(5)}
        save_checkpoint(path, tensors, {"step": 7, "recipe": "none"})
        sound = path.read_bytes()
        for _ in range(count):
            at, bit = chance.randrange(len(sound)), chance.randrange(8)
            path.write_bytes(sound[:at] + bytes([sound[at] ^ 1 << bit]) + sound[at + 1 :])
            try:
                load_checkpoint(path)
            except CheckpointError:
                outcome.expect(True, "")
            else:
                outcome.expect(False, f"bit {bit} of byte {at} of {len(sound)}")
    return outcome


def _limited(limit: Callable[[], object], work: Callable[[], int]) -> int:
    def child() -> int:
        limit()
        return work()

    return ended(forked(child))


def _set_limit(kind: int, size: int) -> None:
    resource.setrlimit(kind, (size, resource.getrlimit(kind)[1]))


@check("RLIMIT_AS at 30 levels", quick=10, full=30)
def little_memory(count: int) -> Outcome:
    """Too little memory is exit code 1 and no output; enough is 0 and the whole output."""
    outcome, codes = Outcome(), set()
    with workplace(1) as folder:
        Image.fromarray(picture(900, 1000, 2)).save(folder / "large.png")
        ended(forked(partial(stylize, folder, "large.png", "wanted.png")))
        wanted = (folder / "wanted.png").read_bytes()
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        for level in range(count):
            size = held + level * (96 << 20) // count
            code = _limited(partial(_set_limit, resource.RLIMIT_AS, size), partial(stylize, folder, "large.png", "out.png"))
            out = folder / "out.png"
            there = out.exists() and out.read_bytes() == wanted
            codes.add(code)
            outcome.expect(
                (code, there) in {(0, True), (1, False)}, f"{size - held} bytes more: exit code {code}, output {there}"
            )
            out.unlink(missing_ok=True)
        outcome.expect(not hidden(folder), f"left: {hidden(folder)}")
    outcome.note = f"exit codes {sorted(codes)}"
    return outcome


@check("disk full at 30 points", quick=10, full=30)
def little_disk(count: int) -> Outcome:
    """A disk that is full after so many bytes is exit code 1, and leaves neither an output nor a part of one."""
    outcome = Outcome()
    with workplace(1) as folder:
        video(folder / "clip.y4m", 40)
        for content, output in (("in/000.png", "out.png"), ("clip.y4m", "out.y4m")):
            job = partial(stylize, folder, content, output)
            ended(forked(job))
            whole = (folder / output).stat().st_size
            (folder / output).unlink()
            for point in range(count // 2):
                limit = partial(_set_limit, resource.RLIMIT_FSIZE, whole * point // (count // 2))
                code = _limited(limit, job)
                outcome.expect(code == 1 and not (folder / output).exists(), f"{output} at {point}: exit code {code}")
            outcome.expect(ended(forked(job)) == 0, f"{output}: the next run")
        outcome.expect(not hidden(folder), f"left: {hidden(folder)}")
    return outcome


@check("read-only targets", quick=3, full=3)
def read_only_targets(_: int) -> Outcome:
    """A folder that may not be written to is exit code 1, and stays as it is."""
    outcome = Outcome()
    with workplace(2) as folder:
        video(folder / "clip.y4m", 3)
        folder.chmod(0o755)
        (folder / "locked").mkdir(mode=0o555)
        nobody = 65534
        for content, output in (("in/000.png", "locked/out.png"), ("in", "locked"), ("clip.y4m", "locked/out.y4m")):
            limit = partial(os.setuid, nobody) if os.geteuid() == 0 else lambda: None
            code = _limited(limit, partial(stylize, folder, content, output))
            left = list((folder / "locked").iterdir())
            outcome.expect(code == 1 and not left, f"{output}: exit code {code}, left: {left}")
    return outcome
