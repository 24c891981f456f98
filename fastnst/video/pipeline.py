"""Frames through the engine, several at once, in order at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from fastnst.engine import AnyLook, Look, default_threads
from fastnst.palette import Colors, Palette, colors_of
from fastnst.stylize import Pixels, Stylizer, keep_color, palette_step
from fastnst.system.threads import awaited, room_for_threads
from fastnst.video.color import Coding, Plane
from fastnst.video.frames import Frame, Source
from fastnst.video.stability import Average, follow, follow_colors, steady_look


@dataclass(frozen=True)
class Recipe:
    """How every frame is done; as for :class:`fastnst.Stylizer`."""

    look: AnyLook | None  # None for a generator
    alpha: float = 1.0
    preserve_color: bool = False
    levels: tuple[int, ...] | None = None
    smooth: float = 0.0  # how slowly the content's statistics follow the frames: 0 = at once; only for AdaIN
    palette: float | None = None


@dataclass(frozen=True)
class Done:
    """A frame that is finished, and the average after it."""

    frame: Frame
    average: Average | None
    repeated: bool  # the source's frame was the one before, and so is this


@dataclass
class _Step:
    """A frame on its way. What it owes to the next one are three promises."""

    frame: Frame
    before: _Step | None
    average: Future[Average | None] = field(default_factory=Future)
    colors: Future[Colors | None] = field(default_factory=Future)  # that the palette step starts from
    planes: Future[tuple[Plane, ...]] | None = field(default_factory=Future)  # None where an earlier run made them


class Pipeline:
    """Stylizes frames of one video.

    One thread works on a frame from beginning to end, for frames side by side need no agreement between cores; ``threads`` of
    them are in work at once, and as many wait on either side, so memory does not grow with the video. A further thread reads.

    A frame whose bytes are those of the frame before it gets that one's output: the average stands still.

    Args:
        source: of the frames that come.
        target: of those that are made.
        size: their width and height.
        average: after the frames that an earlier run has done.
    """

    def __init__(
        self,
        stylizer: Stylizer,
        recipe: Recipe,
        source: Coding,
        target: Coding,
        size: tuple[int, int],
        average: Average | None = None,
    ) -> None:
        self._engine, self._threads = stylizer.engine, stylizer.threads or default_threads()
        self._recipe, self._source, self._target, self._size = recipe, source, target, size
        self._average = average

    def run(self, source: Source, done: int = 0) -> Generator[Done, None, None]:
        """All frames, done, in order. Closes the source at the end, also when it is closed itself.

        Args:
            done: how many frames an earlier run has done.

        Raises:
            Exception: whatever reading or stylizing a frame raised, when its turn has come.
            MemoryError: there is no memory for the threads.
        """
        room_for_threads(1 + self._threads)
        reader, workers = ThreadPoolExecutor(1, "read"), ThreadPoolExecutor(self._threads, "stylize")
        reading: deque[Future[Frame | None]] = deque()
        working: deque[Future[Done]] = deque()
        try:
            frames = source.frames(max(0, done - 1))
            last = self._finished(next(frames)) if done else None
            while True:
                while len(reading) <= self._threads:
                    reading.append(reader.submit(next, frames, None))
                frame = awaited(reading.popleft())
                if frame is None:
                    break
                step = last = _Step(frame, last)
                working.append(workers.submit(self._do, step))
                if len(working) > 2 * self._threads:
                    yield awaited(working.popleft())
            while working:
                yield awaited(working.popleft())
        finally:
            workers.shutdown(wait=False, cancel_futures=True)
            # Only the thread that reads may close the source, and whoever was interrupted does not wait for it.
            for each in reading:
                each.cancel()
            reader.submit(source.close)
            reader.shutdown(wait=False)

    def _finished(self, frame: Frame) -> _Step:
        step = _Step(frame, None, planes=None)
        step.average.set_result(self._average)
        step.colors.set_result(self._average.colors if self._average else None)
        return step

    def _do(self, step: _Step) -> Done:
        before, step.before = step.before, None  # a chain of all frames would hold all memory
        assert step.planes is not None
        try:
            repeated = before is not None and step.frame.looks_like(before.frame)
            if before is not None and repeated:
                step.average.set_result(before.average.result())
                step.colors.set_result(before.colors.result())
            if before is not None and repeated and before.planes is not None:
                planes = before.planes.result()
            else:
                planes = self._target.from_rgb(self._stylized(step, before))
            step.planes.set_result(planes)
            average = step.average.result()
            if average is not None:
                average = replace(average, colors=step.colors.result())
            return Done(Frame(planes, step.frame.time), average, repeated)
        except BaseException as error:
            # Whoever waits for this frame must not wait for ever.
            for promise in (step.average, step.colors, step.planes):
                if not promise.done():
                    promise.set_exception(error)
            raise

    def _stylized(self, step: _Step, before: _Step | None) -> Pixels:
        recipe = self._recipe
        pixels = self._resized(self._source.to_rgb(step.frame.planes))
        look = recipe.look
        if not recipe.smooth and not step.average.done():
            step.average.set_result(None)
            step.colors.set_result(None)
        if look is None:
            styled = self._engine.translate(pixels, 1)
            return keep_color(pixels, styled) if recipe.preserve_color else styled
        palette = palette_step(look, recipe.alpha, recipe.preserve_color, recipe.palette)
        content = self._engine.encode(pixels, 1, recipe.levels)
        if recipe.smooth and isinstance(look, Look):
            now = Look(*content.statistics())
            if not step.average.done():
                past = before.average.result() if before is not None else None
                step.average.set_result(follow(past, now, recipe.smooth))
            average = step.average.result()
            assert average is not None
            look = steady_look(look, now, average)
        styled = self._engine.decode(content, look, recipe.alpha, 1)
        if palette:
            self._recolor(styled, palette, step, before)
        elif not step.colors.done():
            step.colors.set_result(None)
        return keep_color(pixels, styled) if recipe.preserve_color else styled

    def _recolor(self, styled: Pixels, palette: Palette, step: _Step, before: _Step | None) -> None:
        """The palette step; with ``smooth`` it starts from colours that follow the frames, as the content's statistics do."""
        now = colors_of(styled)
        average = step.average.result()
        if average is not None and not step.colors.done():
            past = None if average.begins or before is None else before.colors.result()
            step.colors.set_result(follow_colors(past, now, self._recipe.smooth))
        palette.apply(styled, 1, step.colors.result() or now)

    def _resized(self, pixels: Pixels) -> Pixels:
        if (pixels.shape[1], pixels.shape[0]) == self._size:
            return pixels
        return np.asarray(Image.fromarray(pixels).resize(self._size, Image.Resampling.LANCZOS))
