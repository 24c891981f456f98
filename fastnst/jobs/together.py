"""Several pictures at the same time, each by one thread from file to file; results come in order."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

from fastnst.system.threads import awaited, room_for_threads

Given = TypeVar("Given")
Made = TypeVar("Made")


class Together:
    """Threads that share the work on many small pictures. While one waits for a file to be read, decoded, encoded or written,
    the others have the cores.

    Args:
        cores: how many to keep busy.

    Raises:
        MemoryError: there is not even memory for the threads.
    """

    def __init__(self, cores: int) -> None:
        threads = cores + 1
        room_for_threads(threads)
        self._pool, self._ahead = ThreadPoolExecutor(threads, "pictures"), 2 * threads

    def map(self, do: Callable[[Given], Made], given: Iterable[Given]) -> Iterator[Made]:
        """``do`` of each, in order; a few are begun before they are asked for, and no more are read from ``given``."""
        left, begun = iter(given), deque[Future[Made]]()
        try:
            begun.extend(self._pool.submit(do, each) for each in itertools.islice(left, self._ahead))
            while begun:
                made = awaited(begun.popleft())
                begun.extend(self._pool.submit(do, each) for each in itertools.islice(left, 1))
                yield made
        finally:
            for job in begun:
                job.cancel()

    def close(self) -> None:
        """What is begun is ended, so that nothing is left half-written; nothing more is begun."""
        self._pool.shutdown(cancel_futures=True)


class AtOnce(Executor):
    """Does what it is given in the thread that gives it."""

    def submit(self, fn: Callable[..., Made], /, *args: Any, **kwargs: Any) -> Future[Made]:
        done: Future[Made] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


class GivenUpError(Exception):
    """Nobody waits for the result any longer."""


class InBackground(Executor):
    """Does what it is given in threads of its own. Who waits for it can be told to give up, while they are still at work.

    Raises:
        MemoryError: there is not even memory for the threads.
    """

    def __init__(self, threads: int) -> None:
        room_for_threads(threads)
        self._pool, self._lock = ThreadPoolExecutor(threads, "engine"), threading.Lock()
        self._awaited = set[Future[Any]]()

    def submit(self, fn: Callable[..., Made], /, *args: Any, **kwargs: Any) -> Future[Made]:
        result: Future[Made] = Future()

        def hand_on(job: Future[Made]) -> None:
            with self._lock:
                if result not in self._awaited:
                    return
                self._awaited.remove(result)
            error = None if job.cancelled() else job.exception()
            if job.cancelled() or error is not None:
                result.set_exception(error or GivenUpError())
            else:
                result.set_result(job.result())

        with self._lock:
            self._awaited.add(result)
        self._pool.submit(fn, *args, **kwargs).add_done_callback(hand_on)
        return result

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """What waits for a result gets GivenUpError at once, unless ``wait``."""
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)
        with self._lock:
            left, self._awaited = self._awaited, set()
        for result in left:
            result.set_exception(GivenUpError())
