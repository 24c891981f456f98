"""The work of ``fastnst stylize``: pictures and videos, one after the other, with times and failures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastnst import video
from fastnst.engine import AnyLook, Look
from fastnst.images import MAX_PIXELS, ImageError, Picture, filled, open_picture, resize_short_side, save_picture
from fastnst.jobs.plans import Failure, Task
from fastnst.jobs.reports import Report, VideoReport
from fastnst.jobs.tiled import Manner, look_rows, stylize_rows
from fastnst.pictures.streams import FilledRows, PictureRows, Rows, filling_of, open_rows
from fastnst.stylize import NO_STYLE, Stylizer
from fastnst.system.atomic import remove_stale_partials
from fastnst.system.errors import UsageError
from fastnst.system.memory import held_memory, peak_memory
from fastnst.system.threads import awaited, room_for_threads

if TYPE_CHECKING:
    from fastnst.video.job import OnFrame
    from fastnst.video.pipeline import Recipe

DEFAULT_STYLE_SIZE = 512  # About the size of the styles that models are trained on; larger ones only cost time.


@dataclass(frozen=True)
class Settings:
    """How every picture and video of a run is done."""

    styles: Sequence[Path]  # none for a generator
    weights: Sequence[float] | None = None  # as for :class:`fastnst.Stylizer`
    style_size: int | None = None  # short side in pixels; 0 = as it is; None shrinks to DEFAULT_STYLE_SIZE what is larger
    alpha: float = 1.0
    preserve_color: bool = False
    palette: float | None = None  # how far colours go to the style's, 0..1; None = all the way, or with preserve_color not
    size: int = 0  # short side in pixels; 0 = as it is
    levels: Sequence[int] | None = None  # of a WCT model; None = all
    smooth: float | None = None  # of videos, 0..1, see fastnst.video.stability; None = the usual for the kind of model
    video_quality: int | None = None  # the encoder's number, 0 = best; None = its usual one


def check(stylizer: Stylizer, settings: Settings) -> None:
    """Raise UsageError if the model needs a style and has none, or takes none and is told of one."""
    told = settings.styles or settings.weights or settings.alpha != 1 or settings.levels or settings.style_size is not None
    if stylizer.engine.translates and (told or settings.smooth is not None or settings.palette is not None):
        raise UsageError(NO_STYLE)
    if not stylizer.engine.translates and not settings.styles:
        raise UsageError("this model needs a STYLE")


def run(
    tasks: Sequence[Task],
    stylizer: Stylizer,
    settings: Settings,
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
        look = read_styles(stylizer, settings, worker)
        style_seconds = time.perf_counter() - start
        before = held_memory() or 0
        for task in tasks:
            report: Report | VideoReport
            try:
                if video.is_video(task.content, task.output):
                    report = _do_video(task, stylizer, look, settings, on_frame)
                else:
                    report = _do(task, stylizer, look, settings, worker, on_part)
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


def read_styles(stylizer: Stylizer, settings: Settings, worker: Executor | None = None) -> AnyLook | None:
    """The look of all styles of a run together, made in ``worker`` where there is one; None for a generator.

    Raises:
        ImageError: a style that cannot be read.
    """
    if not settings.styles:
        return None
    looks = []
    for path in settings.styles:
        encode = partial(_encode_style, path, stylizer, settings)
        looks.append(awaited(worker.submit(encode)) if worker else encode())
    return stylizer.mix(looks, settings.weights)


def _encode_style(path: Path, stylizer: Stylizer, settings: Settings) -> AnyLook:
    levels = None if settings.levels is None else tuple(settings.levels)
    if settings.style_size == 0 and (rows := open_rows(path)):
        with closing(rows):
            beside = _beside(rows.height, rows.width)
            if _too_large(rows) or stylizer.needs_tiles(rows.height, rows.width, levels, beside):
                filling = filling_of(rows)
                style = FilledRows(rows, filling) if filling else rows
                return look_rows(style, stylizer, levels, stylizer.budget(rows.height, rows.width))
    picture = open_picture(path)
    size = min(DEFAULT_STYLE_SIZE, *picture.rgb.size) if settings.style_size is None else settings.style_size
    image = filled(_resized(picture, size, path)).rgb
    tiled = stylizer.needs_tiles(image.height, image.width, levels)
    try:
        return stylizer.encode_style(image, levels)
    except ValueError as error:
        raise ImageError(f"{path}: {error}") from None if tiled else error


def _beside(height: int, width: int) -> int:
    """Bytes of a picture that is done at once, beside the engine's: as decoded, its pixels, the result's."""
    return 10 * height * width


def _do(
    task: Task,
    stylizer: Stylizer,
    look: AnyLook | None,
    settings: Settings,
    worker: Executor,
    on_part: Callable[[float], object],
) -> Report:
    start = time.perf_counter()
    task.output.parent.mkdir(parents=True, exist_ok=True)
    if look is not None and settings.size == 0 and (rows := open_rows(task.content)):
        with closing(rows):
            if _too_large(rows) or _needs_tiles(rows.height, rows.width, stylizer, settings):
                with closing(open_rows(task.content) or rows) as again:
                    filling = filling_of(rows)
                    read = time.perf_counter() - start
                    pair = (FilledRows(rows, filling), FilledRows(again, filling)) if filling else (rows, again)
                    report = _do_tiled(task, *pair, stylizer, look, settings, worker, on_part)
                    return _with_reading(report, read)
    picture = filled(_resized(open_picture(task.content), settings.size, task.content))
    width, height = picture.rgb.size
    if look is not None and _needs_tiles(height, width, stylizer, settings):
        decoded = PictureRows(task.content, picture)
        read = time.perf_counter() - start
        report = _do_tiled(task, decoded, decoded, stylizer, look, settings, worker, on_part)
        return _with_reading(report, read)
    pixels, alpha = np.asarray(picture.rgb), picture.alpha
    del picture  # its pixels have been copied
    return _do_whole(task, pixels, alpha, stylizer, look, settings, worker, start)


def _with_reading(report: Report, seconds: float) -> Report:
    """``report`` with the time that reading took before the picture went on its way."""
    report.seconds["read"] += seconds
    report.seconds["total"] += seconds
    return report


def _needs_tiles(height: int, width: int, stylizer: Stylizer, settings: Settings) -> bool:
    return stylizer.needs_tiles(height, width, settings.levels, _beside(height, width))


def _too_large(rows: Rows) -> bool:
    """Whether the picture is never decoded whole."""
    return rows.height * rows.width > MAX_PIXELS


def _do_tiled(
    task: Task,
    rows: Rows,
    again: Rows,
    stylizer: Stylizer,
    look: AnyLook,
    settings: Settings,
    worker: Executor,
    on_part: Callable[[float], object],
) -> Report:
    start = time.perf_counter()
    levels = None if settings.levels is None else tuple(settings.levels)
    manner = Manner(look, settings.alpha, settings.preserve_color, levels, settings.palette)
    budget = stylizer.budget(rows.height, rows.width)
    outcome = stylize_rows(rows, again, task.output, stylizer, manner, budget, worker, on_part)
    seconds = {"style": 0.0, **outcome.seconds, "total": time.perf_counter() - start}
    planned = outcome.planned_bytes
    return Report(task, rows.width, rows.height, seconds, planned, planned, peak_memory(), _ran(stylizer, settings))


def _do_whole(
    task: Task,
    pixels: NDArray[np.uint8],
    alpha: Image.Image | None,
    stylizer: Stylizer,
    look: AnyLook | None,
    settings: Settings,
    worker: Executor,
    start: float,
) -> Report:
    read = time.perf_counter()
    job = worker.submit(stylizer.run, pixels, look, settings.alpha, settings.preserve_color, settings.levels, settings.palette)
    styled = awaited(job)
    done = time.perf_counter()
    save_picture(Picture(Image.fromarray(styled.pixels), alpha), task.output)
    end = time.perf_counter()
    height, width = pixels.shape[:2]
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
    planned = working + _beside(height, width)
    return Report(task, width, height, seconds, working, planned, peak_memory(), _ran(stylizer, settings))


def _ran(stylizer: Stylizer, settings: Settings) -> list[int]:
    return [level for level in stylizer.engine.levels if settings.levels is None or level in settings.levels]


def _do_video(
    task: Task, stylizer: Stylizer, look: AnyLook | None, settings: Settings, on_frame: OnFrame | None
) -> VideoReport:
    from fastnst.video.job import stylize_video

    task.output.parent.mkdir(parents=True, exist_ok=True)
    recipe = video_recipe(look, settings)
    outcome = stylize_video(
        task.content,
        task.output,
        stylizer,
        recipe,
        size=settings.size,
        quality=settings.video_quality,
        on_frame=on_frame or (lambda _done, _count: None),
    )
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
        working_memory=stylizer.engine.working_bytes(outcome.height, outcome.width, settings.levels),
        peak_memory=peak_memory(),
    )


def video_recipe(look: AnyLook | None, settings: Settings) -> Recipe:
    """How frames are done.

    Raises:
        ValueError: ``smooth`` for a model that is not AdaIN's.
    """
    from fastnst.video.pipeline import Recipe
    from fastnst.video.stability import DEFAULT_SMOOTH

    smooth = settings.smooth
    if smooth is None:
        smooth = DEFAULT_SMOOTH if isinstance(look, Look) else 0.0
    if smooth and not isinstance(look, Look):
        raise ValueError("--smooth is for AdaIN models: WCT takes statistics of the content at every level anew")
    levels = None if settings.levels is None else tuple(settings.levels)
    return Recipe(look, settings.alpha, settings.preserve_color, levels, smooth, settings.palette)


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
