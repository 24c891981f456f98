"""Threads besides the main one: whether there is memory for them, and how to wait for them."""

from __future__ import annotations

import mmap
import os
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")

_PER_THREAD = 16 << 20  # bytes of addresses: a stack of 8 MB, and what a thread has allocated when it has begun
_SECONDS = 0.1


def default_threads() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def room_for_threads(count: int) -> None:
    """Make sure that so many threads can be started: Python waits for ever for one that gets a stack, but then no memory to
    say that it has begun.

    Raises:
        MemoryError: there is not room for all.
    """
    try:
        mmap.mmap(-1, count * _PER_THREAD).close()  # from the system, not from what malloc has; never touched
    except OSError:
        raise MemoryError from None


def awaited(job: Future[T]) -> T:
    """What ``job`` comes to, for the first thread, which has to answer signals.

    Python looks for signals before it goes to sleep on a lock. One that comes in between, which under load is a while,
    would not be seen until the lock is free.
    """
    while not wait([job], _SECONDS).done:
        pass
    return job.result()


def sleep_while_waiting() -> None:
    """Have OpenMP's threads, which PyTorch computes with, sleep while they wait for one another; to be called before torch is
    imported, and only for commands: the whole process and its children are meant.

    Otherwise they spin for milliseconds at the end of every loop, which helps nobody who has the cores to himself by much, and
    takes the very core that the last thread is waiting for where others work too. What the user has set stands.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
