"""The work of ``fastnst stylize``: which picture goes where, one after the other, with times and failures."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fastnst.engine import AnyLook
from fastnst.images import (
    READ_SUFFIXES,
    WRITE_SUFFIXES,
    ImageError,
    Picture,
    can_write,
    open_picture,
    remove_stale_partials,
    require_file,
    resize_short_side,
    save_picture,
)
from fastnst.stylize import NO_STYLE, Stylizer

DEFAULT_STYLE_SIZE = 512  # About the size of the styles that models are trained on; larger ones only cost time.


class UsageError(ValueError):
    """Arguments that contradict each other or what is on the disk."""


@dataclass(frozen=True)
class Task:
    """One picture to read and one to write."""

    content: Path
    output: Path


@dataclass(frozen=True)
class Plan:
    """What a run has to do."""

    tasks: list[Task]
    already_there: int = 0  # outputs of an earlier run
    left_alone: int = 0  # files of the folder that do not look like pictures


@dataclass(frozen=True)
class Settings:
    """How every picture of a run is done."""

    styles: Sequence[Path]  # none for a generator
    weights: Sequence[float] | None = None  # as for :class:`fastnst.Stylizer`
    style_size: int | None = None  # short side in pixels; 0 = as it is; None shrinks to DEFAULT_STYLE_SIZE what is larger
    alpha: float = 1.0
    preserve_color: bool = False
    size: int = 0  # short side in pixels; 0 = as it is
    levels: Sequence[int] | None = None  # of a WCT model; None = all


@dataclass(frozen=True)
class Report:
    """One picture done."""

    task: Task
    width: int
    height: int
    seconds: dict[str, float]  # style, read, encode, decode, color, write, total
    working_memory: int  # bytes that the engine's plan needs for this size, without weights
    peak_memory: int | None  # bytes this process has held at most so far, where the system says
    levels: Sequence[int] = ()  # of a WCT model, in the order in which they ran

    @property
    def engine_milliseconds(self) -> float:
        """The engine's time for this picture; the style is not in it, for that is encoded once for all pictures of a run."""
        return 1000 * (self.seconds["encode"] + self.seconds["decode"])

    def as_json(self) -> dict[str, object]:
        """The report in JSON's types."""
        return {
            "content": str(self.task.content),
            "output": str(self.task.output),
            "width": self.width,
            "height": self.height,
            "seconds": {step: round(seconds, 6) for step, seconds in self.seconds.items()},
            "engine_milliseconds": round(self.engine_milliseconds, 3),
            "working_memory": self.working_memory,
            "peak_memory": self.peak_memory,
            **({"levels": list(self.levels)} if self.levels else {}),
        }


@dataclass(frozen=True)
class Failure:
    """One picture that could not be done; ``reason`` names the file and says why."""

    task: Task
    reason: str


# ---- planning ---------------------------------------------------------------------------------------------------------------


def plan(content: Path, output: Path, overwrite: bool) -> Plan:
    """What is to do for ``CONTENT -o OUT``, a picture or a folder of them.

    Raises:
        UsageError: an output that is not of the kind of the content, of unknown format, or two pictures for one output.
        ImageError: no such content.
        FileExistsError: the output of a single picture exists.
    """
    return _plan_folder(content, output, overwrite) if content.is_dir() else _plan_file(content, output, overwrite)


def _plan_file(content: Path, output: Path, overwrite: bool) -> Plan:
    require_file(content)
    if output.is_dir():
        raise UsageError(f"{output}: is a folder; name a file, for the content is one picture")
    if not can_write(output):
        raise UsageError(f"{output}: the suffix of an output is one of {' '.join(WRITE_SUFFIXES)}")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"{output}: no such folder: {output.parent}")
    if os.path.lexists(output) and not overwrite:
        raise FileExistsError(f"{output}: exists already; --overwrite replaces it")
    return Plan([Task(content, output)])


def _plan_folder(content: Path, output: Path, overwrite: bool) -> Plan:
    if os.path.lexists(output) and not output.is_dir():
        raise UsageError(f"{output}: is a file; name a folder, for the content is one")
    in_place = output.is_dir() and output.samefile(content)
    if in_place and not overwrite:
        raise UsageError(f"{output}: is the folder of the contents; only --overwrite would replace them")
    files = list(_visible_files(content, None if in_place else output.resolve()))
    pictures = [path for path in files if path.suffix.lower() in READ_SUFFIXES]
    if not pictures:
        raise ImageError(f"{content}: no pictures in this folder")
    sources: dict[Path, Path] = {}
    for picture in pictures:
        target = output / picture.relative_to(content)
        target = target if can_write(target) else target.with_suffix(".png")
        other = sources.setdefault(target, picture)
        if other is not picture:
            raise UsageError(f"{picture}: its output {target} is also that of {other}; rename one of them")
    tasks = [Task(picture, target) for target, picture in sources.items() if overwrite or not target.is_file()]
    return Plan(tasks, already_there=len(pictures) - len(tasks), left_alone=len(files) - len(pictures))


def _visible_files(folder: Path, but: Path | None) -> Iterator[Path]:
    """The files of ``folder`` and the folders in it, in order of name; nothing hidden and nothing of the folder ``but``."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            # A linked folder may lead back to this one.
            if not path.is_symlink() and path.resolve() != but:
                yield from _visible_files(path, but)
        else:
            yield path


def check(stylizer: Stylizer, settings: Settings) -> None:
    """Raise UsageError if the model needs a style and has none, or takes none and is told of one."""
    told = settings.styles or settings.weights or settings.alpha != 1 or settings.levels or settings.style_size is not None
    if stylizer.engine.translates and told:
        raise UsageError(NO_STYLE)
    if not stylizer.engine.translates and not settings.styles:
        raise UsageError("this model needs a STYLE")


# ---- doing ------------------------------------------------------------------------------------------------------------------


def run(tasks: Sequence[Task], stylizer: Stylizer, settings: Settings) -> Iterator[Report | Failure]:
    """Do all tasks, one after the other; a task that fails does not stop the next one.

    The styles are read once. That time is part of the first report only, so that the totals add up to the whole run. What
    killed runs left half-written in the folders of the outputs is removed first.

    Raises:
        ImageError: a style that cannot be read.
    """
    for folder in {task.output.parent for task in tasks}:
        remove_stale_partials(folder)
    # The engine runs in a second thread: Python answers a signal only in the first one and between its own instructions, and
    # a large picture keeps the engine busy for seconds. Whoever is interrupted there does not wait for it.
    worker = ThreadPoolExecutor(1, "engine")
    try:
        start = time.perf_counter()
        look = _read_styles(stylizer, settings, worker)
        style_seconds = time.perf_counter() - start
        for task in tasks:
            try:
                report = _do(task, stylizer, look, settings, worker)
            except Exception as error:  # whatever it is, the other pictures can still be done
                yield Failure(task, _reason(task, error))
                continue
            report.seconds["style"] += style_seconds
            report.seconds["total"] += style_seconds
            style_seconds = 0.0
            yield report
    finally:
        worker.shutdown(wait=False)


def _read_styles(stylizer: Stylizer, settings: Settings, worker: Executor) -> AnyLook | None:
    if not settings.styles:
        return None
    looks = []
    for path in settings.styles:
        picture = open_picture(path)
        size = min(DEFAULT_STYLE_SIZE, *picture.rgb.size) if settings.style_size is None else settings.style_size
        style = _resized(picture, size, path).flattened()
        looks.append(worker.submit(stylizer.encode_style, style, settings.levels).result())
    return stylizer.mix(looks, settings.weights)


def _do(task: Task, stylizer: Stylizer, look: AnyLook | None, settings: Settings, worker: Executor) -> Report:
    start = time.perf_counter()
    picture = _resized(open_picture(task.content), settings.size, task.content)
    read = time.perf_counter()
    pixels = np.asarray(picture.rgb)
    job = worker.submit(stylizer.run, pixels, look, settings.alpha, settings.preserve_color, settings.levels)
    styled = job.result()
    done = time.perf_counter()
    task.output.parent.mkdir(parents=True, exist_ok=True)
    save_picture(Picture(Image.fromarray(styled.pixels), picture.alpha), task.output)
    end = time.perf_counter()
    width, height = picture.rgb.size
    seconds = {
        "style": 0.0,
        "read": read - start,
        "encode": styled.encode_seconds,
        "decode": styled.decode_seconds,
        "color": styled.color_seconds,
        "write": end - done,
        "total": end - start,
    }
    working = stylizer.engine.working_bytes(height, width, settings.levels)
    ran = [level for level in stylizer.engine.levels if settings.levels is None or level in settings.levels]
    return Report(task, width, height, seconds, working, peak_memory(), ran)


def _resized(picture: Picture, size: int, path: Path) -> Picture:
    try:
        return resize_short_side(picture, size)
    except ValueError as error:
        raise ImageError(f"{path}: with a short side of {size}: {error}") from None


def _reason(task: Task, error: Exception) -> str:
    if isinstance(error, ImageError):  # names its file already
        return str(error)
    if isinstance(error, MemoryError):
        return f"{task.content}: not enough memory"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return f"{task.content}: {error}"


def peak_memory() -> int | None:
    """The most memory this process has held at once, in bytes; ``None`` where the system does not say."""
    if sys.platform == "linux":
        # Not getrusage: a child inherits the maximum of its parent there.
        with Path("/proc/self/status").open() as status:
            return next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:")), None)
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
