"""Worker threads: whether there is memory for them, and how to wait for them."""

from __future__ import annotations

import mmap
import os
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")

_PER_THREAD = 16 << 20  # bytes of address space: a stack of 8 MB, and what a thread allocates at its start
_SECONDS = 0.1


def default_threads() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def room_for_threads(count: int) -> None:
    """Check that ``count`` threads can be started. Without this Python can wait for ever: for a thread that got its stack, but
    then no memory to report that it has started.

    Raises:
        MemoryError: there is not enough memory for all of them.
    """
    try:
        mmap.mmap(-1, count * _PER_THREAD).close()  # asks the system, not malloc; the pages are never touched
    except OSError:
        raise MemoryError from None


def awaited(job: Future[T]) -> T:
    """The result of ``job``, for the main thread, which has to handle signals.

    Python looks for signals just before it sleeps on a lock. A signal that comes in between, which takes a while on a busy
    machine, would not be handled until the lock is released; so this wakes up ten times a second.

    Raises:
        Exception: the exception that ``job`` raised.
    """
    while not wait([job], _SECONDS).done:
        pass
    return job.result()


def sleep_while_waiting() -> None:
    """Make the threads of OpenMP, which PyTorch uses, sleep while they wait for each other. Call it before torch is imported,
    and only in commands, because it affects the whole process and its children.

    By default these threads spin for milliseconds at the end of every loop. That gains little on an idle machine, and on a busy
    one it occupies the core that the last thread needs. A value that the user has set is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
