"""One archive of a data set: its pictures stylized, its other files copied, in the order in which they are there."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from fastnst.images import ImageError
from fastnst.jobs.archives import Archive, Result, Sample, Tar
from fastnst.jobs.journals import Journal, Line, line, recorded
from fastnst.jobs.parquet import Parquet
from fastnst.jobs.pictures import Contents
from fastnst.jobs.plans import Failure, Plan, Task
from fastnst.jobs.reports import ArchiveReport
from fastnst.jobs.together import Together
from fastnst.system.errors import full_disk
from fastnst.system.memory import peak_memory

_BETWEEN = 64  # samples from one entry of the journal to the next, which waits for the disk

Stylize = Callable[[Task, Contents, BinaryIO], object]
"""Stylizes one picture into a file that is open."""


@dataclass(frozen=True)
class _Done:
    """What came of one sample."""

    sample: Sample
    results: list[Result]
    lines: list[Line]
    failed: str | None = None


def stylize_archive(
    task: Task,
    stylize: Stylize,
    reason: Callable[[Task, Exception], str],
    alpha: float,
    together: Together,
    on_sample: Callable[[int, int | None], object],
) -> Iterator[Failure | ArchiveReport]:
    """Make the archive of ``task``, going on where an earlier run was; samples whose pictures fail are left out.

    Args:
        reason: why a task failed, in one line.
        alpha: for the manifest.
        on_sample: called with how many are done.

    Raises:
        ImageError: the archive cannot be read or written.
    """
    start = time.perf_counter()
    archive: Archive = Tar() if task.content.suffix.lower() == ".tar" else Parquet(task.content)
    assert task.samples is not None
    journal = Journal(task.samples.outputs.path, task, archive.resumes and not task.output.exists())
    before = journal.samples
    try:
        yield from (_failure(task, each) for each in journal.failed)
        samples = islice(archive.samples(task.content), before, None)
        lines, failed = list[Line](), list[str]()
        for done in together.map(lambda sample: _of_sample(task, archive, sample, stylize, reason, alpha), samples):
            archive.write(journal.file, done.sample, done.results) if done.failed is None else failed.append(done.failed)
            lines += done.lines
            before += 1
            if before - journal.samples >= _BETWEEN:
                yield from (_failure(task, each) for each in failed)
                journal.record(before, lines, failed)
                lines, failed = [], []
            on_sample(before, None)
        archive.finish(journal.file)
        yield from (_failure(task, each) for each in failed)
        journal.record(before, lines, failed)
        journal.finish()
    except OSError as error:
        raise ImageError(f"{task.output}: cannot be written: {error.strerror or error}") from error
    finally:
        journal.close()
    yield ArchiveReport(task, before, len(journal.failed), time.perf_counter() - start, peak_memory())


def _of_sample(
    task: Task,
    archive: Archive,
    sample: Sample,
    stylize: Stylize,
    reason: Callable[[Task, Exception], str],
    alpha: float,
) -> _Done:
    if sample.picture is None:
        return _Done(sample, [], [])
    assert task.samples is not None
    name = Path(sample.name.lstrip("/"))
    tasks = task.samples.tasks(task.content / name, task.place / name)
    contents, results, lines = Contents(len(tasks) > 1, sample.picture), list[Result](), list[Line]()
    for each in tasks:
        data = io.BytesIO()
        try:
            stylize(each, contents, data)
        except Exception as error:  # whatever it is, the other samples can still be done
            if full_disk(error):
                raise
            return _Done(sample, [], [], reason(each, error))
        called = archive.named(each.output.relative_to(task.output).as_posix())
        results.append(Result(called, data.getvalue()))
        lines.append(line(each, task.place / called, alpha, hashlib.sha256(data.getbuffer()).hexdigest()))
    return _Done(sample, results, lines)


def _failure(task: Task, reason: str) -> Failure:
    return Failure(task, reason, inside=True)


def failures_before(plan: Plan, folder: Path) -> Iterator[Failure]:
    """Those inside of archives that an earlier run has finished."""
    left = {task.output for task in plan.tasks}
    for task in plan.every:
        if task.samples is not None and task.output not in left and task.output.is_file():
            yield from (_failure(task, each) for each in recorded(folder, task.place)[1])
