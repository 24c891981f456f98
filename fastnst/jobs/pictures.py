"""One picture from file to file, and the look of one: in rows and tiles where it is too large to be decoded and done whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from fastnst.color import color_step
from fastnst.engine import Look, Plan, Tell, default_threads
from fastnst.images import MAX_PIXELS, ImageError, Picture, filled, open_picture, resize_short_side
from fastnst.jobs.plans import Task
from fastnst.jobs.reports import Report
from fastnst.options import Options
from fastnst.pictures.streams import (
    ArrayRows,
    FilledRows,
    Rows,
    RowWriter,
    WholeWriter,
    filling_of,
    open_rows,
    open_writer,
    writing_memory,
)
from fastnst.pictures.streams.files import WRITE_SUFFIXES
from fastnst.stylize import Stylizer
from fastnst.system.atomic import atomic_output
from fastnst.system.memory import peak_memory
from fastnst.system.threads import awaited

DEFAULT_STYLE_SIZE = 512  # About the size of the styles that models are trained on; larger ones only cost time.
_BLEND_BYTES = 16 << 20  # of colours and transparency, and of Pillow, for one piece
_PALETTE_BYTES = 1 << 15  # of the rows that the palette step reads back at a time

_PlanOf = Callable[[Rows], Plan]


def stylize_picture(task: Task, stylizer: Stylizer, options: Options, worker: Executor, tell: Tell) -> Report:
    """Stylize one picture file into another, complete or not at all, with the pixels of :class:`fastnst.Stylizer`.

    Args:
        options: with the look.
        worker: where the engine runs, so that whoever is interrupted can give up waiting for it and remove the output.
        tell: called there with how far it is, from 0 to 1, if the picture is done in tiles.

    Raises:
        ImageError: the content cannot be read, the output not written, or there is too little memory for it.
    """
    start, output = time.perf_counter(), task.output

    def plan_of(source: Rows) -> Plan:
        size = (source.height, source.width)
        beside = source.memory + writing_memory(output, size, source.alpha)
        step = color_step(options)
        if step.blend is not None or source.alpha:
            beside += _BLEND_BYTES
        if step.palette is not None:
            beside += max(_PALETTE_BYTES, 3 * source.width)
        try:
            return stylizer.plan(size, options, beside=_beside_whole(size), beside_tiles=beside)
        except ValueError as error:
            others = f", beside {beside / 1e6:.1f} MB for reading and writing" if stylizer.engine.tileable else ""
            raise ImageError(f"{source.path}: {error}{others}") from None

    source, plan = _opened(task.content, options.size, plan_of, stylizer.engine.tileable)
    with closing(source):
        read = time.perf_counter() - start
        with _target(output, source, plan, stylizer.threads or default_threads()) as target:
            folder = str(output.parent)
            seconds = awaited(worker.submit(stylizer.stylize, source, target, options, plan, folder, tell))
            done = time.perf_counter()
            target.finish()
            seconds["write"] += time.perf_counter() - done
    seconds["read"] += read
    seconds = {"style": 0.0, **seconds, "total": time.perf_counter() - start}
    working = plan.bytes if plan.tiling else plan.working_bytes
    levels = stylizer.engine.with_levels(options.levels).levels
    return Report(task, source.width, source.height, seconds, working, plan.bytes, peak_memory(), levels)


def look_of_file(path: Path, stylizer: Stylizer, options: Options) -> Look:
    """The look of a style of any size.

    Raises:
        ImageError: it cannot be read, or there is too little memory for it.
    """

    def plan_of(source: Rows) -> Plan:
        size = (source.height, source.width)
        beside, beside_tiles = (0, 0) if source.decoded else (_beside_whole(size), source.memory)
        try:
            return stylizer.plan(size, options, beside=beside, beside_tiles=beside_tiles, decodes=False)
        except ValueError as error:
            raise ImageError(f"{path}: {error}") from None

    source, plan = _opened(path, options.style_size, plan_of, in_rows=True)
    with closing(source):
        return stylizer.look_of(source, options, plan)


def _opened(path: Path, short_side: int | None, plan_of: _PlanOf, in_rows: bool) -> tuple[Rows, Plan]:
    """A picture file, its hidden pixels filled, and how it is done: read in rows if that is in tiles, or else decoded.

    Args:
        short_side: in pixels; 0 = as it is, which alone can be read in rows; None shrinks what is larger than
            DEFAULT_STYLE_SIZE.
        in_rows: whether it may be read in rows at all.
    """
    if in_rows and short_side == 0 and (rows := open_rows(path)):
        with ExitStack() as stack:
            stack.callback(rows.close)
            if (plan := plan_of(rows)).tiling:
                if filling := filling_of(rows):
                    rows = FilledRows(rows, filling)
                    plan = plan_of(rows)
                stack.pop_all()
                return rows, plan
    picture = open_picture(path)
    size = min(DEFAULT_STYLE_SIZE, *picture.rgb.size) if short_side is None else short_side
    source = ArrayRows.of(path, filled(_resized(picture, size, path)))
    return source, plan_of(source)


def _resized(picture: Picture, size: int, path: Path) -> Picture:
    try:
        return resize_short_side(picture, size)
    except ValueError as error:
        raise ImageError(f"{path}: with a short side of {size}: {error}") from None


def _beside_whole(size: tuple[int, int]) -> int | None:
    """Bytes of a picture that is done whole, beside the engine's: as decoded, its pixels, the result's. None where it is too
    large to be decoded whole."""
    pixels = size[0] * size[1]
    return 10 * pixels if pixels <= MAX_PIXELS else None


@contextmanager
def _target(output: Path, source: Rows, plan: Plan, threads: int) -> Iterator[RowWriter]:
    """Where the result goes. Formats that are not written in rows, and what is done whole, wait in memory for the end."""
    size = (source.height, source.width)
    try:
        if plan.tiling is None or output.suffix.lower() not in WRITE_SUFFIXES:
            yield WholeWriter(output, *size, source.alpha)
        else:
            with atomic_output(output) as file:
                yield open_writer(output, file, size, source.alpha, threads)
    except OSError as error:
        raise ImageError(f"{output}: cannot be written: {error.strerror or error}") from error
