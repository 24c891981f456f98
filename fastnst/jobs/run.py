"""The work of ``fastnst stylize``: pictures and videos, one after the other, with times and failures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from fastnst import video
from fastnst.images import ImageError
from fastnst.jobs.pictures import look_of_file, stylize_picture
from fastnst.jobs.plans import Failure, Task
from fastnst.jobs.reports import Report, VideoReport
from fastnst.options import Options
from fastnst.stylize import Stylizer
from fastnst.system.atomic import remove_stale_partials
from fastnst.system.errors import UsageError
from fastnst.system.memory import held_memory, peak_memory
from fastnst.system.threads import awaited, room_for_threads

if TYPE_CHECKING:
    from fastnst.video.job import OnFrame


def check(stylizer: Stylizer, options: Options) -> None:
    """Raise UsageError if the model needs a style and has none, or takes none and is told of one."""
    if stylizer.engine.takes_style and not options.styles:
        raise UsageError("this model needs a STYLE")
    stylizer.check(options)


def run(
    tasks: Sequence[Task],
    stylizer: Stylizer,
    options: Options,
    on_frame: OnFrame | None = None,
    on_part: Callable[[float], object] = lambda _: None,
) -> Iterator[Report | VideoReport | Failure]:
    """Do all tasks, one after the other; a task that fails does not stop the next one.

    The styles are read once. That time is part of the first report only, so that the totals add up to the whole run. What
    killed runs left half-written in the folders of the outputs is removed first.

    Args:
        on_frame: called after each frame of a video.
        on_part: called with how far a large picture is, from 0 to 1; in another thread.

    Raises:
        ImageError: a style that cannot be read.
        MemoryError: there is not even memory for a thread.
    """
    for folder in {task.output.parent for task in tasks}:
        remove_stale_partials(folder)
    # The engine runs in a second thread: Python answers a signal only in the first one and between its own instructions, and
    # a large picture keeps the engine busy for seconds. Whoever is interrupted there does not wait for it.
    room_for_threads(1)
    worker = ThreadPoolExecutor(1, "engine")
    try:
        start = time.perf_counter()
        options = with_look(stylizer, options, worker)
        style_seconds = time.perf_counter() - start
        before = held_memory() or 0
        for task in tasks:
            report: Report | VideoReport
            try:
                task.output.parent.mkdir(parents=True, exist_ok=True)
                if video.is_video(task.content, task.output):
                    report = _do_video(task, stylizer, options, on_frame)
                else:
                    report = stylize_picture(task, stylizer, options, worker, on_part)
                    report = replace(report, planned_memory=before + report.planned_memory)
            except Exception as error:  # whatever it is, the other pictures can still be done
                yield Failure(task, _reason(task, error))
                continue
            report.seconds["style"] += style_seconds
            report.seconds["total"] += style_seconds
            style_seconds = 0.0
            yield report
    finally:
        worker.shutdown(wait=False)


def with_look(stylizer: Stylizer, options: Options, worker: Executor | None = None) -> Options:
    """The options with the look of all their styles together, made in ``worker`` where there is one.

    Raises:
        ImageError: a style that cannot be read.
    """
    if not options.styles:
        return options
    looks = []
    for path in options.styles:
        encode = partial(look_of_file, path, stylizer, options)
        looks.append(awaited(worker.submit(encode)) if worker else encode())
    return replace(options, look=stylizer.mix(looks, options.weights))


def _do_video(task: Task, stylizer: Stylizer, options: Options, on_frame: OnFrame | None) -> VideoReport:
    from fastnst.video.job import stylize_video

    outcome = stylize_video(task.content, task.output, stylizer, options, on_frame or (lambda _done, _count: None))
    return VideoReport(
        task=task,
        width=outcome.width,
        height=outcome.height,
        frames=outcome.frames,
        resumed_frames=outcome.resumed,
        repeated_frames=outcome.repeated,
        left_out=outcome.left_out,
        warnings=outcome.warnings,
        seconds={"style": 0.0, "total": outcome.seconds},
        working_memory=stylizer.engine.with_levels(options.levels).working_bytes(outcome.height, outcome.width, 1),
        peak_memory=peak_memory(),
    )


def _reason(task: Task, error: Exception) -> str:
    if isinstance(error, ImageError):  # names its file already
        return str(error)
    if isinstance(error, MemoryError):
        return f"{task.content}: not enough memory"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return f"{task.content}: {error}"
