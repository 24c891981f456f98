"""A picture of any size from file to file in bounded memory: rows in, tiles through the engine, rows out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fastnst.engine import AnyLook, Tell, default_threads
from fastnst.images import ImageError, Picture
from fastnst.pictures.streams import Rows, RowWriter, WholeWriter, open_writer
from fastnst.pictures.streams.base import Samples
from fastnst.pictures.streams.files import WRITE_SUFFIXES
from fastnst.stylize import Stylizer, keep_color, palette_step
from fastnst.system.atomic import atomic_output
from fastnst.system.threads import awaited

_BLEND_BYTES = 16 << 20  # of keep_color and Pillow for one piece
_PALETTE_BYTES = 1 << 15  # of the rows that the palette step reads back at a time


@dataclass(frozen=True)
class Manner:
    """How a picture is stylized: as the arguments of :class:`fastnst.Stylizer`."""

    look: AnyLook
    alpha: float = 1.0
    preserve_color: bool = False
    levels: tuple[int, ...] | None = None
    palette: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What stylizing took."""

    planned_bytes: int
    seconds: dict[str, float]  # read, encode, decode, color, write


def stylize_rows(
    content: Rows, again: Rows, output: Path, stylizer: Stylizer, manner: Manner, budget: int, worker: Executor, tell: Tell
) -> Outcome:
    """Stylize ``content`` into the file ``output``, complete or not at all, with the pixels of :class:`fastnst.Stylizer`.

    Formats that cannot be written in rows are kept in memory until the end.

    Args:
        again: the same picture, for its transparency and its colours while the result is written.
        budget: bytes for all of it.
        worker: where the engine runs, so that whoever is interrupted can give up waiting for it and remove the output.
        tell: called there with how far it is, from 0 to 1.

    Raises:
        ImageError: the content cannot be read, the output not written, or the budget is too small.
    """
    size = (content.height, content.width)
    with ExitStack() as stack:
        writer: RowWriter
        stack.enter_context(_naming(output))
        if output.suffix.lower() in WRITE_SUFFIXES:
            file = stack.enter_context(atomic_output(output))
            writer = open_writer(output, file, size, content.alpha, stylizer.threads or default_threads())
        else:
            writer = WholeWriter(output, *size, content.alpha)
        around = content.memory + writer.memory
        if manner.preserve_color or content.alpha:
            around += (0 if again is content else again.memory) + _BLEND_BYTES
        palette = palette_step(manner.look, manner.alpha, manner.preserve_color, manner.palette)
        if palette:
            around += max(_PALETTE_BYTES, 3 * content.width)
        try:
            tiling = stylizer.engine.tiling(size, max(0, budget - around), stylizer.threads, manner.levels)
        except ValueError as error:
            beside = f"beside {around / 1e6:.1f} MB for reading and writing"
            raise ImageError(f"{content.path}: {error}, {beside}") from None
        work = _Work(content, again, writer, manner)
        start = time.perf_counter()
        job = worker.submit(
            stylizer.engine.stylize_tiled,
            size,
            work.read,
            work.write,
            manner.look,
            manner.alpha,
            tiling,
            str(output.parent),
            stylizer.threads,
            manner.levels,
            tell,
            palette,
        )
        awaited(job)
        end = time.perf_counter()
        writer.finish()
        seconds = work.seconds | {"encode": work.first_write - start - work.seconds["read"]}
        seconds["decode"] = end - work.first_write - seconds["write"]
        seconds["write"] += time.perf_counter() - end
    return Outcome(tiling.bytes + around, seconds)


def look_rows(style: Rows, stylizer: Stylizer, levels: tuple[int, ...] | None, budget: int) -> AnyLook:
    """The look of a style of any size.

    Raises:
        ImageError: it cannot be read, or the budget is too small.
    """
    size = (style.height, style.width)
    try:
        tiling = stylizer.engine.tiling(size, max(0, budget - style.memory), stylizer.threads, levels, decodes=False)
    except ValueError as error:
        raise ImageError(f"{style.path}: {error}") from None
    return stylizer.engine.look_tiled(size, style.read, tiling, stylizer.threads, levels)


@contextmanager
def _naming(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ImageError(f"{output}: cannot be written: {error.strerror or error}") from error


class _Work:
    """The functions that the engine calls, and the time they take."""

    def __init__(self, content: Rows, again: Rows, writer: RowWriter, manner: Manner) -> None:
        self._content, self._again, self._writer, self._manner = content, again, writer, manner
        self._done = 0
        self.first_write = 0.0
        self.seconds = {"read": 0.0, "color": 0.0, "write": 0.0}  # colour is part of writing here

    def read(self, first: int, rows: Samples) -> None:
        start = time.perf_counter()
        try:
            self._content.read(first, rows)
        except OSError as error:
            raise ImageError(f"{self._content.path}: {error.strerror or error}") from error
        self.seconds["read"] += time.perf_counter() - start

    def write(self, rows: Samples) -> None:
        start = time.perf_counter()
        self.first_write = self.first_write or start
        if self._manner.preserve_color or self._content.alpha:
            self._write_beside_content(rows)
        else:
            self._writer.write(rows)
        self.seconds["write"] += time.perf_counter() - start
        self._done += len(rows)

    def _write_beside_content(self, rows: Samples) -> None:
        top = 0
        for original in self._again.pictures(self._done, len(rows)):
            part = rows[top : top + original.rgb.height]
            top += original.rgb.height
            if self._manner.preserve_color:
                part = keep_color(np.asarray(original.rgb), part)
            if original.alpha is not None:
                styled = Picture(Image.fromarray(part), original.alpha)
                part = np.asarray(styled.image() if self._writer.holds_alpha else styled.flattened())
            self._writer.write(part)
