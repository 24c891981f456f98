"""Frames through the engine, several at once, in order at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from fastnst.engine import Pixels, Statistics, default_threads
from fastnst.engine.palette import Colors
from fastnst.options import Options
from fastnst.steps import Clock, stylize_pixels
from fastnst.stylize import Stylizer
from fastnst.system.threads import awaited, room_for_threads
from fastnst.video.color import Coding, Plane
from fastnst.video.frames import Frame, Source
from fastnst.video.stability import Average, follow, follow_colors, smoothing_of


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


@dataclass(frozen=True)
class _Follower:
    """Statistics of a frame that follow those of the frame before it, as soon as that has got so far."""

    step: _Step
    before: _Step | None
    smoothing: float

    def statistics(self, now: Statistics) -> Statistics:
        if not self.step.average.done():
            past = self.before.average.result() if self.before is not None else None
            self.step.average.set_result(follow(past, now, self.smoothing))
        return self._average().statistics

    def colors(self, now: Colors) -> Colors:
        if not self.step.colors.done():
            past = None if self._average().begins or self.before is None else self.before.colors.result()
            self.step.colors.set_result(follow_colors(past, now, self.smoothing))
        return self.step.colors.result() or now

    def _average(self) -> Average:
        average = self.step.average.result()
        assert average is not None
        return average


class Pipeline:
    """Stylizes frames of one video.

    One thread works on a frame from beginning to end, for frames side by side need no agreement between cores; ``threads`` of
    them are in work at once, and as many wait on either side, so memory does not grow with the video. A further thread reads.

    A frame whose bytes are those of the frame before it gets that one's output: the average stands still.

    Args:
        options: with the look; sizes and quality are the caller's business.
        source: of the frames that come.
        target: of those that are made.
        size: their width and height.
        average: after the frames that an earlier run has done.
    """

    def __init__(
        self,
        stylizer: Stylizer,
        options: Options,
        source: Coding,
        target: Coding,
        size: tuple[int, int],
        average: Average | None = None,
    ) -> None:
        self._engine, self._threads = stylizer.engine.with_levels(options.levels), stylizer.threads or default_threads()
        self._options, self._smoothing = options, smoothing_of(stylizer.engine, options)
        self._source, self._target, self._size = source, target, size
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
        pixels = self._resized(self._source.to_rgb(step.frame.planes))
        follower = _Follower(step, before, self._smoothing) if self._smoothing else None
        if follower is None and not step.average.done():  # nobody has to wait for what nobody needs
            step.average.set_result(None)
            step.colors.set_result(None)
        styled = stylize_pixels(self._engine, pixels, self._options, 1, Clock(), follower)
        if not step.colors.done():
            step.colors.set_result(None)
        return styled

    def _resized(self, pixels: Pixels) -> Pixels:
        if (pixels.shape[1], pixels.shape[0]) == self._size:
            return pixels
        return np.asarray(Image.fromarray(pixels).resize(self._size, Image.Resampling.LANCZOS))
