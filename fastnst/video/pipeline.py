"""Stylizes the frames of a video, several at a time, and returns them in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from fastnst.engine import Pixels, Statistics, default_threads
from fastnst.engine.palette import Colors
from fastnst.images import Picture, filled, resize
from fastnst.options import Options
from fastnst.steps import Clock, stylize_pixels
from fastnst.stylize import Stylizer
from fastnst.system.threads import awaited, room_for_threads
from fastnst.video.color import Coding, Plane
from fastnst.video.frames import Frame, Source
from fastnst.video.stability import Average, follow, follow_colors, smoothing_of


@dataclass(frozen=True)
class Done:
    """A finished frame, and the moving average after it."""

    frame: Frame
    average: Average | None
    repeated: bool  # the frame of the source equals the one before it, and so does this one


@dataclass
class _PendingFrame:
    """A frame that is being stylized. The next frame waits for its three futures."""

    frame: Frame
    before: _PendingFrame | None
    average: Future[Average | None] = field(default_factory=Future)
    colors: Future[Colors | None] = field(default_factory=Future)  # the input of the palette step
    planes: Future[tuple[Plane, ...]] | None = field(default_factory=Future)  # None if an earlier run made them


@dataclass(frozen=True)
class _Follower:
    """Smooths the statistics of a frame with those of the frame before it; it waits until these are known."""

    pending: _PendingFrame
    before: _PendingFrame | None
    smoothing: float

    def statistics(self, now: Statistics) -> Statistics:
        if not self.pending.average.done():
            past = self.before.average.result() if self.before is not None else None
            self.pending.average.set_result(follow(past, now, self.smoothing))
        return self._average().statistics

    def colors(self, now: Colors) -> Colors:
        if not self.pending.colors.done():
            past = None if self._average().begins or self.before is None else self.before.colors.result()
            self.pending.colors.set_result(follow_colors(past, now, self.smoothing))
        return self.pending.colors.result() or now

    def _average(self) -> Average:
        average = self.pending.average.result()
        assert average is not None
        return average


class Pipeline:
    """Stylizes frames of one video.

    Each frame is stylized by one thread, because separate frames need no synchronisation between cores. ``threads`` frames are
    stylized at a time and as many are queued before and after, so memory does not grow with the video. One more thread reads.

    A frame that equals the one before it gets the same output, and the average stays as it is.

    Args:
        options: with a look, for models that take a style. Size and quality are left to the caller.
        source: how the input frames are coded.
        target: how the output frames are coded.
        size: width and height of the output.
        average: the one after the last frame that an earlier run has finished.
        keep_alpha: whether frames keep their transparency, or else are blended with white.
    """

    def __init__(
        self,
        stylizer: Stylizer,
        options: Options,
        source: Coding,
        target: Coding,
        size: tuple[int, int],
        average: Average | None = None,
        keep_alpha: bool = False,
    ) -> None:
        self._engine, self._threads = stylizer.engine.with_levels(options.levels), stylizer.threads or default_threads()
        self._options, self._smoothing = options, smoothing_of(stylizer.engine, options)
        self._source, self._target, self._size = source, target, size
        self._average, self._keep_alpha = average, keep_alpha

    def run(self, source: Source, done: int = 0) -> Generator[Done, None, None]:
        """Yield all stylized frames in order. The source is closed at the end, also when the generator is closed early.

        Args:
            done: the number of frames that an earlier run has finished.

        Raises:
            Exception: the exception that reading or stylizing a frame raised, when it is that frame's turn.
            MemoryError: there is not enough memory for the threads.
        """
        room_for_threads(1 + self._threads)
        reader, workers = ThreadPoolExecutor(1, "read"), ThreadPoolExecutor(self._threads, "stylize")
        reading: deque[Future[Frame | None]] = deque()
        working: deque[Future[Done]] = deque()
        try:
            frames = source.frames(max(0, done - 1), self._keep_alpha)
            last = self._finished(next(frames)) if done else None
            while True:
                while len(reading) <= self._threads:
                    reading.append(reader.submit(next, frames, None))
                frame = awaited(reading.popleft())
                if frame is None:
                    break
                pending = last = _PendingFrame(frame, last)
                working.append(workers.submit(self._do, pending))
                if len(working) > 2 * self._threads:
                    yield awaited(working.popleft())
            while working:
                yield awaited(working.popleft())
        finally:
            workers.shutdown(wait=False, cancel_futures=True)
            # Only the reading thread may close the source; an interrupted caller does not wait for that.
            for each in reading:
                each.cancel()
            reader.submit(source.close)
            reader.shutdown(wait=False)

    def _finished(self, frame: Frame) -> _PendingFrame:
        pending = _PendingFrame(frame, None, planes=None)
        pending.average.set_result(self._average)
        pending.colors.set_result(self._average.colors if self._average else None)
        return pending

    def _do(self, pending: _PendingFrame) -> Done:
        before, pending.before = pending.before, None  # or a chain would keep all frames in memory
        assert pending.planes is not None
        try:
            repeated = before is not None and pending.frame.looks_like(before.frame)
            if before is not None and repeated:
                pending.average.set_result(before.average.result())
                pending.colors.set_result(before.colors.result())
            picture = self._picture(pending.frame)
            if before is not None and repeated and before.planes is not None:
                planes = before.planes.result()
            else:
                planes = self._target.from_rgb(self._stylized(picture, pending, before))
            pending.planes.set_result(planes)
            average = pending.average.result()
            if average is not None:
                average = replace(average, colors=pending.colors.result())
            alpha = None if picture.alpha is None else np.asarray(picture.alpha)
            return Done(Frame(planes, pending.frame.time, alpha), average, repeated)
        except BaseException as error:
            # The frames that wait for this one must be released.
            for promise in (pending.average, pending.colors, pending.planes):
                if not promise.done():
                    promise.set_exception(error)
            raise

    def _stylized(self, picture: Picture, pending: _PendingFrame, before: _PendingFrame | None) -> Pixels:
        follower = _Follower(pending, before, self._smoothing) if self._smoothing else None
        if follower is None and not pending.average.done():  # no average is needed, so nothing has to wait for it
            pending.average.set_result(None)
            pending.colors.set_result(None)
        pixels, options = np.asarray(filled(picture).rgb), self._options.at_frame(pending.frame.masks)
        styled = stylize_pixels(self._engine, pixels, options, 1, Clock(), follower)
        if not pending.colors.done():
            pending.colors.set_result(None)
        return styled

    def _picture(self, frame: Frame) -> Picture:
        """In the size of the output."""
        alpha = None if frame.alpha is None else Image.fromarray(frame.alpha)
        return resize(Picture(Image.fromarray(self._source.to_rgb(frame.planes)), alpha), self._size)
