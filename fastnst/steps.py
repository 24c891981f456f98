"""One picture from a source of rows through the engine to a target of rows: whole, or in tiles with the same result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fastnst import _engine
from fastnst.color import ColorStep, Whole, color_step
from fastnst.engine import ColorSums, Engine, Features, Pixels, Plan, Regions, Statistics, Tell
from fastnst.engine.palette import Colors, colors_of
from fastnst.images import ImageError
from fastnst.options import Options
from fastnst.pictures.streams import CHUNK_BYTES, Rows, RowWriter

if TYPE_CHECKING:
    from fastnst.color.histograms import Histogram, PutAside


class Follower(Protocol):
    """What the frames before this one have a say in: statistics that follow the frames slowly."""

    def statistics(self, now: Statistics) -> Statistics:
        """Those that the content's features are normalised by; ``now`` are their own."""

    def colors(self, now: Colors) -> Colors:
        """Those that the palette step starts from; ``now`` are the decoded frame's."""


class Clock:
    """Seconds by the name of the step that they were spent on."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(("read", "encode", "decode", "color", "write"), 0.0)
        self.last = time.perf_counter()

    def ends(self, step: str) -> None:
        """What went by since the last step ended was spent on this one."""
        now = time.perf_counter()
        self.seconds[step] += now - self.last
        self.last = now


class Memo:
    """What the network made of the content that was encoded last."""

    def __init__(self) -> None:
        self._of: tuple[Pixels, tuple[int, ...]] | None = None
        self._features: Features | None = None

    def features(self, engine: Engine, content: Pixels, threads: int) -> Features:
        """Those of ``content``, encoded only if it is another array than the last time."""
        if self._features is None or self._of is None or self._of[0] is not content or self._of[1] != engine.levels:
            self._of, self._features = (content, engine.levels), engine.encode(content, threads)
        return self._features

    def clear(self) -> None:
        """Forget it."""
        self._of = self._features = None


def stylize_pixels(
    engine: Engine,
    content: Pixels,
    options: Options,
    threads: int,
    clock: Clock,
    follower: Follower | None = None,
    memo: Memo | None = None,
) -> Pixels:
    """``content``, uint8 [H, W, 3], whole. All that a generator does counts as decoding."""
    step, regions = color_step(options), options.parted
    if options.look is None and regions is None:
        decoded = engine.translate(content, threads, styles=options.style_parts(engine.styles))
    else:
        features = memo.features(engine, content, threads) if memo else engine.encode(content, threads)
        clock.ends("encode")
        normalised_by = follower.statistics(Statistics(*features.statistics())) if follower else None
        look, alpha = options.look, options.alpha
        decoded = engine.decode(features, look, alpha, threads, normalised_by=normalised_by, regions=regions)
    clock.ends("decode")
    step = step.knowing(Whole(content, threads))
    source = follower.colors(colors_of(decoded, threads)) if follower and step.palette else None
    result = step.apply(content, decoded, threads, source)
    if regions is not None:
        regions.keep_rest(len(content), 0, content, result, threads)
    clock.ends("color")
    return result


def stylize_rows(
    engine: Engine,
    source: Rows,
    target: RowWriter,
    options: Options,
    plan: Plan,
    threads: int,
    folder: str,
    tell: Tell = lambda _: None,
    memo: Memo | None = None,
) -> dict[str, float]:
    """All of ``source`` into ``target``, which the caller finishes; the seconds that each step took.

    WCT encodes again at every level; what comes after its first encoding counts as decoding.

    Args:
        plan: of this engine for this size.
        folder: where tiles put aside what they come back to.
        tell: called with how far it is, from 0 to 1, in tiles.
        memo: of a content that several looks are for, if it is done whole.

    Raises:
        ImageError: the source cannot be read.
        OSError: the target cannot be written.
        RuntimeError: ``folder`` is full.
    """
    clock = Clock()
    if plan.tiling is None:
        content, alpha = source.whole()
        clock.ends("read")
        result = stylize_pixels(engine, content, options, threads, clock, memo=memo)
        target.write_whole(result, alpha)
        clock.ends("write")
        return clock.seconds
    regions, size = options.parted, (source.height, source.width)
    step = color_step(options).knowing(_InRows(source, threads))
    clock.ends("read")
    kept = regions if regions is not None and not regions.paints_rest else None
    # Where the rows stay in memory, what has to see all of them need not wait for the last of them in a file.
    afterwards = target.keeps_rows and step.blend is None and kept is None
    rows = _Rows(source, target, step, clock, kept, threads)
    with ExitStack() as stack:
        aside: PutAside | None = None
        if step.levels and not afterwards:
            from fastnst.color.histograms import PutAside

            aside = stack.enter_context(PutAside(folder, source.width))
        write, palette = aside.write if aside else rows.write, None if afterwards else step.palette
        how = options.look, options.alpha, plan.tiling, folder, threads, tell, palette, regions
        engine.stylize_tiled(size, rows.read, write, *how, styles=options.style_parts(engine.styles))
        if aside and step.levels:
            for part in aside.again():
                _engine.map_levels(aside.histogram.tables(step.levels), part, threads)
                rows.write(part)
    clock.ends("decode")
    if afterwards and step.of_the_whole and target.pixels is not None:
        step.apply(target.pixels, target.pixels, threads)
        clock.ends("color")
    return clock.seconds


class _InRows:
    """A content that is read once more for its colours; see :class:`fastnst.color.Content`."""

    def __init__(self, source: Rows, threads: int) -> None:
        self._source, self._threads = source, threads

    def _parts(self) -> Iterator[Pixels]:
        step = max(1, CHUNK_BYTES // (3 * self._source.width))
        for top in range(0, self._source.height, step):
            rows = np.empty((min(step, self._source.height - top), self._source.width, 3), np.uint8)
            self._source.read(top, rows)
            yield rows

    def colors(self) -> Colors:
        sums = ColorSums()
        for rows in self._parts():
            sums.add(rows, self._threads)
        return Colors(*sums.colors())

    def histogram(self) -> Histogram:
        from fastnst.color.histograms import Histogram

        found = Histogram()
        for rows in self._parts():
            found.add(rows)
        return found


class _Rows:
    """What the engine calls for the rows of a source and with those of the result; ``kept`` is a rest that stays as it is."""

    def __init__(
        self, source: Rows, target: RowWriter, step: ColorStep, clock: Clock, kept: Regions | None, threads: int
    ) -> None:
        self._source, self._target, self._step, self._clock = source, target, step, clock
        self._kept, self._threads = kept, threads
        self._done = 0

    def read(self, first: int, rows: Pixels) -> None:
        self._clock.ends("encode")
        try:
            self._source.read(first, rows)
        except OSError as error:
            raise ImageError(f"{self._source.path}: {error.strerror or error}") from error
        self._clock.ends("read")

    def write(self, rows: Pixels) -> None:
        """The colour step of single pixels counts as writing here."""
        self._clock.ends("decode" if self._done else "encode")
        if self._step.blend is None and self._kept is None and not self._source.alpha:
            self._target.write(rows)
        else:
            self._write_beside_content(rows)
        self._done += len(rows)
        self._clock.ends("write")

    def _write_beside_content(self, rows: Pixels) -> None:
        top = 0
        for original in self._source.pictures(self._done, len(rows)):  # all have been read: it begins anew
            part, content = rows[top : top + original.rgb.height], np.asarray(original.rgb)
            if self._step.blend is not None:
                part = self._step.blend(content, part, self._threads)
            if self._kept is not None:
                part = np.array(part)
                self._kept.keep_rest(self._source.height, self._done + top, content, part, self._threads)
            top += original.rgb.height
            self._target.write_picture(part, original.alpha)
