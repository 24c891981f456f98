"""The work of ``fastnst stylize``: pictures, videos and archives of pictures, with times and failures."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeAlias

from fastnst import video
from fastnst.images import ImageError, picture_size
from fastnst.jobs.looks import Looks
from fastnst.jobs.pictures import Contents, stylize_picture
from fastnst.jobs.plans import Failure, Task
from fastnst.jobs.reports import Done, Report, VideoReport
from fastnst.jobs.together import AtOnce, InBackground, Together
from fastnst.options import Options
from fastnst.stylize import LookError, Stylizer
from fastnst.system.atomic import PIPE, atomic_output, remove_stale_partials
from fastnst.system.errors import UsageError, full_disk
from fastnst.system.memory import held_memory, machine_memory, peak_memory
from fastnst.system.threads import default_threads

if TYPE_CHECKING:
    from fastnst.jobs.lookstore import LookStore
    from fastnst.video.job import OnFrame

_BESIDE = 10
"""Bytes that a pixel takes beside the engine's: decoded, as it goes in, as it comes out."""


def check(stylizer: Stylizer, options: Options) -> None:
    """Raise UsageError if the model needs a style and has none, or takes none and is told of one."""
    if stylizer.engine.takes_style and not options.styles and not options.regions:
        raise UsageError("this model needs a STYLE")
    stylizer.check(options)


def check_video(task: Task, stylizer: Stylizer, options: Options) -> None:
    """Raise ImageError for options that a video cannot have."""
    from fastnst.video.job import check_encoding
    from fastnst.video.stability import smoothing_of

    try:
        if options.crop:
            raise ValueError("--crop is for pictures, and this is a video")
        smoothing_of(stylizer.engine, options)
    except ValueError as error:
        raise ImageError(f"{task.content}: {error}") from None
    check_encoding(task.output, options)


Result: TypeAlias = Done | Failure


class BulkOptions(NamedTuple):
    """How the tasks of a data set are done.

    Args:
        cores: how many pictures are done at a time, each by one thread.
        store: where looks are kept from run to run.
        digests: whether reports tell the SHA-256 of outputs.
    """

    cores: int = 1
    store: LookStore | None = None
    digests: bool = False


def run(
    tasks: Sequence[Task],
    stylizer: Stylizer,
    options: Options,
    on_frame: OnFrame | None = None,
    on_part: Callable[[float], object] = lambda _: None,
    bulk: BulkOptions | None = None,
) -> Iterator[Result]:
    """Do all tasks, in their order; a task that fails does not stop the next one.

    Pictures are done side by side, each by one thread, unless the stylizer has a limit of memory; those that are so large that
    they would take more than a quarter of the machine's memory together are done one after the other, by all threads. Each look
    is made once, and a content that several tasks in a row have is read and encoded once. The time of a style is part of the
    first report that it is for. What killed runs left half-written in the folders of the outputs is removed first.

    Args:
        on_frame: called after each frame of a video, and each sample of an archive.
        on_part: called with how far a large picture is, from 0 to 1; in another thread.
        bulk: with it, contents are done several at a time; results come in the order of the tasks all the same.

    Raises:
        ImageError: a mask or the style of all tasks cannot be read; or the disk is full, after which nothing more is tried.
        MemoryError: there is not even memory for a thread.
    """
    for folder in {task.output.parent for task in tasks if task.output.parent.is_dir()}:
        remove_stale_partials(folder)
    if options.is_parted:
        from fastnst.jobs.regions import with_masks

        options = with_masks(options)
    many = bulk is None and stylizer.max_memory is None and len({task.content for task in tasks}) > 1
    cores = bulk.cores if bulk else stylizer.threads or default_threads() if many else 1
    # The engine runs in threads of its own: Python answers a signal only in the first one and between its own instructions, and
    # a large picture keeps the engine busy for seconds. Whoever is interrupted there does not wait for it.
    worker = AtOnce() if bulk else InBackground(cores)
    together = Together(cores) if bulk or many else None
    try:
        work = _Run(stylizer, options, worker, bulk, on_frame, on_part)
        if bulk is None and len({task.styles for task in tasks}) == 1 and not work.looks.follows_contents:
            work.make_look(tasks[0])  # nothing could be done without it
        yield from work.several(tasks, together, machine_memory() // 4 // (cores + 1) if many else 0)
    finally:
        worker.shutdown(wait=False)
        if together is not None:
            together.close()


class _Run:
    """What the tasks of a run have in common; its methods may be called from several threads."""

    def __init__(
        self,
        stylizer: Stylizer,
        options: Options,
        worker: Executor,
        bulk: BulkOptions | None,
        on_frame: OnFrame | None,
        on_part: Callable[[float], object] = lambda _: None,
    ) -> None:
        self._stylizer, self._options, self._worker, self._bulk = stylizer, options, worker, bulk
        self._on_frame: OnFrame = on_frame or (lambda _done, _count: None)
        self._on_part = on_part
        self._one_thread = copy.copy(stylizer)
        self._one_thread.threads = 1
        self.looks = Looks(stylizer, options, worker, bulk.store if bulk else None)
        self._style_seconds: dict[Path, float] = {}  # by the outputs that they were spent for
        self._before = held_memory() or 0

    def make_look(self, task: Task) -> Options:
        """The options with the look of a task."""
        start = time.perf_counter()
        ready = self.looks.options(task.styles, partial(_short_side, task, self._options))
        if self.looks.made:
            spent = self._style_seconds.get(task.output, 0.0)
            self._style_seconds[task.output] = spent + time.perf_counter() - start
        return ready

    def several(self, tasks: Sequence[Task], together: Together | None, room: int) -> Iterator[Result]:
        """Contents side by side, each by one thread; archives one after the other, and what is in one side by side.

        Args:
            together: None where nothing is done side by side.
            room: bytes that a picture may take to be done beside others. Larger ones, and videos, are done alone; with 0 all.
        """
        for (archives, alone), some in groupby(tasks, partial(self._kind, room=room)):
            if archives:
                assert together is not None  # only data sets have archives
                for task in some:
                    yield from self._archive(task, together)
                continue
            contents = (list(each) for _, each in groupby(some, lambda task: task.content))
            if alone or together is None:  # one after the other, each told as it comes
                for content in contents:
                    yield from self._content(content, self._stylizer)
            else:
                for results in together.map(lambda content: list(self._content(content, self._one_thread)), contents):
                    yield from results

    def _kind(self, task: Task, room: int) -> tuple[bool, bool]:
        """Whether it is an archive, and whether it is done alone."""
        if self._bulk or task.samples is not None:
            return task.samples is not None, False
        if not room or video.is_video(task.content, task.output):
            return False, True
        try:
            return False, math.prod(picture_size(task.content)) * (self._stylizer.engine.usual_bytes + _BESIDE) > room
        except ImageError:
            return False, False  # it is said where it is read

    def _content(self, tasks: Sequence[Task], stylizer: Stylizer) -> Iterator[Result]:
        """All that is made of one content, which is read once."""
        contents = Contents(len(tasks) > 1)
        try:
            for task in tasks:
                yield self.one(task, contents, stylizer)
        finally:
            contents.close()

    def _archive(self, task: Task, together: Together) -> Iterator[Result]:
        from fastnst.jobs.shards import stylize_archive

        try:
            yield from stylize_archive(task, self._sample, _reason, self._options.alpha, together, self._on_frame)
        except Exception as error:
            if full_disk(error):
                raise
            yield Failure(task, _reason(task, error))

    def _sample(self, task: Task, contents: Contents, into: BinaryIO) -> None:
        ready = self.looks.options(task.styles, partial(_needs_size, self._options))
        stylize_picture(task, self._stylizer, ready, self._worker, self._on_part, contents, into)

    def one(self, task: Task, contents: Contents, stylizer: Stylizer) -> Result:
        """A picture or a video."""
        report: Report | VideoReport
        try:
            task.output.parent.mkdir(parents=True, exist_ok=True)
            ready = self.make_look(task)
            if video.is_video(task.content, task.output):
                check_video(task, stylizer, ready)
                report = _do_video(task, stylizer, ready, self._on_frame)
            else:
                report = self._picture(task, ready, contents, stylizer)
                report = report._replace(planned_memory=self._before + report.planned_memory)
        except Exception as error:  # whatever it is, the other pictures can still be done
            if full_disk(error):
                raise
            return Failure(task, _reason(task, error))
        spent = self._style_seconds.pop(task.output, 0.0)
        report.seconds["style"] += spent
        report.seconds["total"] += spent
        return report

    def _picture(self, task: Task, ready: Options, contents: Contents, stylizer: Stylizer) -> Report:
        if self._bulk is None:
            return stylize_picture(task, stylizer, ready, self._worker, self._on_part, contents)
        try:
            with atomic_output(task.output, durable=False) as file:
                report = stylize_picture(task, stylizer, ready, self._worker, self._on_part, contents, file)
        except OSError as error:
            raise ImageError(f"{task.output}: cannot be written: {error.strerror or error}") from error
        if not self._bulk.digests:
            return report
        from fastnst.system.digest import file_digest

        return report._replace(sha256=file_digest(task.output))


def _needs_size(options: Options) -> int:
    """Of a picture in an archive, short side."""
    if options.crop or options.size:
        return options.crop or options.size
    raise UsageError("--style-scale auto in an archive needs --size, because its pictures are of many sizes")


def _short_side(task: Task, options: Options) -> int:
    """That of a content as it is stylized."""
    if options.crop or options.size:
        return options.crop or options.size
    if video.is_video(task.content, task.output):
        if task.content == PIPE:
            raise UsageError("--style-scale auto needs the size of the content, which a pipe does not tell")
        from fastnst.video.sources import open_source

        source = open_source(task.content, options.clip)
        source.close()
        return min(source.format.width, source.format.height)
    return min(picture_size(task.content))


def _do_video(task: Task, stylizer: Stylizer, options: Options, on_frame: OnFrame) -> VideoReport:
    from fastnst.video.job import stylize_video

    outcome = stylize_video(task.content, task.output, stylizer, options, on_frame)
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
