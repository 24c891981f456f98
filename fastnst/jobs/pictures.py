"""One picture from file to file, and the look of one: in rows and tiles where it is too large to be decoded and done whole."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from fastnst.color import color_step
from fastnst.engine import Look, Plan, Tell, default_threads
from fastnst.images import (
    MAX_PIXELS,
    ImageError,
    Picture,
    Saving,
    crop_middle,
    filled,
    open_picture,
    read_metadata,
    resize_short_side,
)
from fastnst.jobs.plans import Task
from fastnst.jobs.reports import Report
from fastnst.options import Options, StyleScale
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
    written_in_rows,
)
from fastnst.steps import Memo
from fastnst.stylize import Stylizer
from fastnst.system.atomic import PIPE, atomic_output, input_file, temporary_folder
from fastnst.system.memory import peak_memory
from fastnst.system.threads import awaited

DEFAULT_STYLE_SIZE = 512  # About the size of the styles that models are trained on; larger ones only cost time.
_BLEND_BYTES = 16 << 20  # of colours and transparency, and of Pillow, for one piece
_CELL_BYTES = 64  # of how masks are scaled, for pixels along a side, at every level
_PALETTE_BYTES = 1 << 15  # of the rows that the palette step reads back at a time

_PlanOf = Callable[[Rows], Plan]


class Contents:
    """The content that was opened last: read once and encoded once, if several results are made of it.

    Args:
        several: whether that is to be expected; else nothing is kept.
        data: what is in the file of the only content, where that lies in no folder.
    """

    def __init__(self, several: bool, data: bytes | None = None) -> None:
        self._data = data
        self._key: tuple[Path, int] | None = None
        self._rows: Rows | None = None
        self.memo = Memo() if several else None

    def opened(self, path: Path, options: Options, plan_of: _PlanOf, in_rows: bool) -> tuple[Rows, Plan]:
        """As :func:`_opened`, as large as the options say."""
        short_side = options.size
        if self._rows is not None and self._key == (path, short_side):
            return self._rows, plan_of(self._rows)
        self.close()
        self._rows, plan = _opened(path, lambda own: short_side or own, plan_of, in_rows, options.crop, self._data)
        self._key = path, short_side
        return self._rows, plan

    @property
    def in_files(self) -> bool:
        """Whether contents lie in folders."""
        return self._data is None

    def file(self, path: Path) -> BinaryIO | None:
        """A content as bytes; None if there is none, which whoever reads its pixels says."""
        if self._data is not None:
            return io.BytesIO(self._data)
        return path.open("rb") if path.is_file() else None

    def close(self) -> None:
        """Let go of it."""
        if self._rows is not None:
            self._rows.close()
        self._rows = None
        if self.memo is not None:
            self.memo.clear()


def stylize_picture(
    task: Task,
    stylizer: Stylizer,
    options: Options,
    worker: Executor,
    tell: Tell,
    contents: Contents,
    into: BinaryIO | None = None,
) -> Report:
    """Stylize one picture file into another, complete or not at all, with the pixels of :class:`fastnst.Stylizer`.

    Args:
        options: with the look.
        worker: where the engine runs, so that whoever is interrupted can give up waiting for it and remove the output.
        tell: called there with how far it is, from 0 to 1, if the picture is done in tiles.
        contents: what the content is opened by; it closes it.
        into: where the output is written instead; its name tells the format all the same.

    Raises:
        ImageError: the content cannot be read, the output not written, or there is too little memory for it.
    """
    if task.content != PIPE:
        return _stylized(task, task.content, stylizer, options, worker, tell, contents, into)
    with input_file() as path:
        try:
            return _stylized(task, path, stylizer, options, worker, tell, contents, into)
        except ImageError as error:
            said = str(error).replace(str(path), "standard input")
            raise ImageError(said.replace("not a picture in", "neither a y4m video nor a picture in")) from error
        finally:
            contents.close()


def _stylized(
    task: Task,
    content: Path,
    stylizer: Stylizer,
    options: Options,
    worker: Executor,
    tell: Tell,
    contents: Contents,
    into: BinaryIO | None,
) -> Report:
    start, output = time.perf_counter(), task.output
    saving = _saving(task, options, contents.file(content))

    def plan_of(source: Rows) -> Plan:
        beside, beside_tiles = beside_engine(source, saving, options, stylizer)
        try:
            return stylizer.plan((source.height, source.width), options, beside=beside, beside_tiles=beside_tiles)
        except ValueError as error:
            for_what = "reading, writing and regions" if options.is_parted else "reading and writing"
            raise ImageError(f"{source.path}: {error}, beside {beside_tiles / 1e6:.1f} MB for {for_what}") from None

    in_rows = options.size == options.crop == 0 and contents.in_files
    source, plan = contents.opened(content, options, plan_of, in_rows)
    read = time.perf_counter() - start
    with _target(output, saving, source, plan, stylizer.threads or default_threads(), into) as target:
        folder = temporary_folder() if output == PIPE or into else str(output.parent)
        job = worker.submit(stylizer.stylize, source, target, options, plan, folder, tell, contents.memo)
        seconds = awaited(job)
        done = time.perf_counter()
        target.finish()
        seconds["write"] += time.perf_counter() - done
    seconds["read"] += read
    seconds = {"style": 0.0, **seconds, "total": time.perf_counter() - start}
    working = plan.bytes if plan.tiling else plan.working_bytes
    levels = stylizer.engine.with_levels(options.levels).levels
    sizes = source.width, source.height, seconds, working, plan.bytes, peak_memory(), levels
    return Report(task, *sizes, left_out=saving.left_out)


def beside_engine(source: Rows, saving: Saving, options: Options, stylizer: Stylizer) -> tuple[int | None, int]:
    """Bytes beside the engine's if a picture is done whole, see :func:`_beside_whole`, and if it is done in tiles."""
    size = (source.height, source.width)
    tiles = source.memory + writing_memory(saving, size, source.alpha)
    step = color_step(options)
    keeps_rest = bool(options.regions) and not options.styles
    if step.blend is not None or source.alpha or keeps_rest:
        tiles += _BLEND_BYTES
    if step.of_the_whole or (options.look is None and options.colors == "palette"):  # the look may still be to come
        tiles += max(_PALETTE_BYTES, 3 * source.width)
    masks = len(options.regions) + (options.alpha_map is not None)
    regions = (masks + 1) * (stylizer.engine.region_bytes + _CELL_BYTES * max(size)) if masks else 0
    whole = _beside_whole(size)
    return None if whole is None else whole + regions, tiles + regions


def _saving(task: Task, options: Options, file: BinaryIO | None) -> Saving:
    """How the output of a task is saved, with the metadata of its content, which is closed."""
    saving = task.saving or Saving.by(task.output.suffix)
    if file is None:
        return saving
    with file:
        return saving if options.strip_metadata else replace(saving, metadata=read_metadata(file))


def look_of_file(path: Path, stylizer: Stylizer, options: Options, scale: StyleScale, content: int | None = None) -> Look:
    """The look of a style of any size.

    Args:
        content: the short side of the content in pixels, where it is known.

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

    def side(own: int) -> int:
        usual = min(DEFAULT_STYLE_SIZE, own) if options.style_size is None else options.style_size or own
        return scale.side(usual, content)

    source, plan = _opened(path, side, plan_of, in_rows=options.style_size == 0)
    with closing(source):
        return stylizer.look_of(source, options, plan)


def _opened(
    path: Path,
    short_side: Callable[[int], int],
    plan_of: _PlanOf,
    in_rows: bool,
    crop: int = 0,
    data: bytes | None = None,
) -> tuple[Rows, Plan]:
    """A picture file, its hidden pixels filled, and how it is done: read in rows if that is in tiles, or else decoded.

    Args:
        short_side: what its own becomes, in pixels; only a picture that stays as it is can be read in rows.
        in_rows: whether it may be read in rows at all.
        crop: sides of the square that is cut out of its middle then; 0 = all.
        data: as for :func:`fastnst.images.open_picture`.
    """
    if in_rows and (rows := open_rows(path)):
        with ExitStack() as stack:
            stack.callback(rows.close)
            own = min(rows.height, rows.width)
            if short_side(own) == own and (plan := plan_of(rows)).tiling:
                if filling := filling_of(rows):
                    rows = FilledRows(rows, filling)
                    plan = plan_of(rows)
                stack.pop_all()
                return rows, plan
    picture = open_picture(path, data)
    source = ArrayRows.of(path, filled(_resized(picture, short_side(min(picture.rgb.size)), crop, path)))
    return source, plan_of(source)


def _resized(picture: Picture, size: int, crop: int, path: Path) -> Picture:
    try:
        picture = resize_short_side(picture, size)
    except ValueError as error:
        raise ImageError(f"{path}: with a short side of {size}: {error}") from None
    try:
        return crop_middle(picture, crop) if crop else picture
    except ValueError as error:
        raise ImageError(f"{path}: {error}") from None


def _beside_whole(size: tuple[int, int]) -> int | None:
    """Bytes of a picture that is done whole, beside the engine's: as decoded, its pixels, the result's. None where it is too
    large to be decoded whole."""
    pixels = size[0] * size[1]
    return 10 * pixels if pixels <= MAX_PIXELS else None


@contextmanager
def _target(output: Path, saving: Saving, source: Rows, plan: Plan, threads: int, into: BinaryIO | None) -> Iterator[RowWriter]:
    """Where the result goes. Formats that are not written in rows, and what is done whole, wait in memory for the end."""
    size = (source.height, source.width)
    try:
        if plan.tiling is None or not written_in_rows(saving):
            yield WholeWriter(output, *size, source.alpha, saving, into)
        else:
            with atomic_output(output) if into is None else nullcontext(into) as file:
                yield open_writer(saving, file, size, source.alpha, threads)
    except OSError as error:
        raise ImageError(f"{output}: cannot be written: {error.strerror or error}") from error
