"""The work of ``fastnst stylize``: pictures and videos, one after the other, with times and failures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from fastnst import video
from fastnst.images import ImageError, picture_size
from fastnst.jobs.looks import Looks
from fastnst.jobs.pictures import Contents, stylize_picture
from fastnst.jobs.plans import Failure, Task
from fastnst.jobs.reports import Report, VideoReport
from fastnst.options import Options
from fastnst.stylize import LookError, Stylizer
from fastnst.system.atomic import PIPE, remove_stale_partials
from fastnst.system.errors import UsageError
from fastnst.system.memory import held_memory, peak_memory
from fastnst.system.threads import room_for_threads

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

    Each look is made once, and a content that several tasks in a row have is read and encoded once. The time of a style is part
    of the first report that it is for, so that the totals add up to the whole run. What killed runs left half-written in the
    folders of the outputs is removed first.

    Args:
        on_frame: called after each frame of a video.
        on_part: called with how far a large picture is, from 0 to 1; in another thread.

    Raises:
        ImageError: the style of all tasks cannot be read.
        MemoryError: there is not even memory for a thread.
    """
    for folder in {task.output.parent for task in tasks}:
        remove_stale_partials(folder)
    # The engine runs in a second thread: Python answers a signal only in the first one and between its own instructions, and
    # a large picture keeps the engine busy for seconds. Whoever is interrupted there does not wait for it.
    room_for_threads(1)
    worker = ThreadPoolExecutor(1, "engine")
    contents = Contents(len({task.content for task in tasks}) < len(tasks))
    try:
        looks = Looks(stylizer, options, worker)
        start = time.perf_counter()
        if len({task.styles for task in tasks}) == 1 and not looks.follows_contents:
            looks.options(tasks[0].styles)  # nothing could be done without it
        style_seconds = time.perf_counter() - start
        before = held_memory() or 0
        for task in tasks:
            report: Report | VideoReport
            try:
                task.output.parent.mkdir(parents=True, exist_ok=True)
                start = time.perf_counter()
                ready = looks.options(task.styles, partial(_short_side, task, options))
                style_seconds += time.perf_counter() - start if looks.made else 0.0
                if video.is_video(task.content, task.output):
                    report = _do_video(task, stylizer, ready, on_frame)
                else:
                    report = stylize_picture(task, stylizer, ready, worker, on_part, contents)
                    report = replace(report, planned_memory=before + report.planned_memory)
            except Exception as error:  # whatever it is, the other pictures can still be done
                yield Failure(task, _reason(task, error))
                continue
            report.seconds["style"] += style_seconds
            report.seconds["total"] += style_seconds
            style_seconds = 0.0
            yield report
    finally:
        contents.close()
        worker.shutdown(wait=False)


def _short_side(task: Task, options: Options) -> int:
    """That of a content as it is stylized."""
    if options.size:
        return options.size
    if video.is_video(task.content, task.output):
        if task.content == PIPE:
            raise UsageError("--style-scale auto needs the size of the content, which a pipe does not tell")
        from fastnst.video.job import open_source

        source = open_source(task.content, options.clip)
        source.close()
        return min(source.format.width, source.format.height)
    return min(picture_size(task.content))


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
    if isinstance(error, ImageError | LookError | UsageError):  # names its file already
        return str(error)
    if isinstance(error, MemoryError):
        return f"{task.content}: not enough memory"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return f"{task.content}: {error}"
