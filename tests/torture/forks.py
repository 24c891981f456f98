"""Children of this process that are killed, starved or interrupted: forking costs far less than starting Python."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def resident_memory() -> int:
    """Bytes that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def forked(work: Callable[[], int], patience: int = 120) -> int:
    """The id of a child that does ``work`` and exits with what it returns, silent, like a fresh process to signals.

    One that is still at it after ``patience`` seconds is killed: what waits for ever is a finding.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which no child here needs
        process = os.fork()
    if process:
        return process
    code = 99
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        sys.stdout, sys.stderr = (os.fdopen(stream, "w") for stream in (1, 2))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.alarm(patience)
        code = work()
    except MemoryError:
        code = 98
    finally:
        os._exit(code)


def ended(process: int) -> int:
    """Its exit code, negative for a signal, as of :mod:`subprocess`."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def rehearsed(work: Callable[[], int], patience: int = 120) -> int:
    """The exit code of a child that does ``work``. What it imports is imported here then: children that follow find it there.

    Most of the time of a small job would go into imports, moments of kills would fall into them, and the first child might
    leave compiled modules, which are files that no other writes.
    """
    known = set(sys.modules)
    reading, writing = os.pipe()

    def child() -> int:
        code = work()
        os.write(writing, "\n".join(name for name in sys.modules if name not in known).encode())
        return code

    process = forked(child, patience)
    os.close(writing)
    with os.fdopen(reading) as names, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names.read().split():
            with contextlib.suppress(ImportError):  # of modules that others make without a file
                import_module(name)
    return ended(process)


def killed_after(work: Callable[[], int], seconds: float) -> bool:
    """Whether ``work``, killed after so long, was still at it."""
    process = forked(work)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    return ended(process) == -signal.SIGKILL


_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}


def _changes_files(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        return bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return event in _CHANGES


def file_operations(work: Callable[[], int], log: Path) -> int:
    """How often ``work`` changes files: opens one to write, renames, removes. ``log`` is a file for their count."""

    def child() -> int:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
        sys.addaudithook(lambda event, about: _changes_files(event, about) and os.write(descriptor, b"."))
        return work()

    ended(forked(child))
    return log.stat().st_size


def killed_before(work: Callable[[], int], step: int) -> bool:
    """Whether ``work`` came to its file operation number ``step``, from 0, before which it is killed."""

    def child() -> int:
        steps = itertools.count()

        def look(event: str, about: tuple[Any, ...]) -> None:
            if _changes_files(event, about) and next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(look)
        return work()

    return ended(forked(child)) == -signal.SIGKILL
