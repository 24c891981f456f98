"""Exit codes, and how failures and signals become one line of error and one of these codes."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def fail(message: str, code: int = FAILED) -> int:
    """Print a failure as one line and return the exit code."""
    print(f"fastnst: error: {_visible(message)}", file=sys.stderr)
    return code


def warn(message: str) -> None:
    """Print a warning about an output that was made, as one line."""
    print(f"fastnst: warning: {_visible(message)}", file=sys.stderr)


def hint(message: str) -> None:
    """Print as one line what a user may want to do otherwise."""
    print(f"fastnst: hint: {_visible(message)}", file=sys.stderr)


def _visible(message: str) -> str:
    """One line: a file name may hold anything, line ends and the terminal's control sequences included."""
    return re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\x{ord(match[0]):02x}", message)


def one_line(error: Exception) -> str:
    """The message for an error that nothing else handles."""
    if isinstance(error, MemoryError):
        return "not enough memory"
    if isinstance(error, OSError) and error.filename:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, ModuleNotFoundError) and _is_ours(error):
        return (
            f"{error.name} is not part of the package in {Path(__file__).parents[1]}: install fastnst from its source tree by "
            "`pip install .`, and run it from another folder"
        )
    if isinstance(error, ValueError | OSError | RuntimeError | ImportError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def missing(command: str, extra: str, error: ModuleNotFoundError) -> int:
    """Print which module a command could not import, and return the exit code."""
    return fail(one_line(error) if _is_ours(error) else f"fastnst {command} needs {error.name}: pip install 'fastnst[{extra}]'")


def _is_ours(error: ModuleNotFoundError) -> bool:
    """Whether the module is one of fastnst, which an unbuilt source tree has in other folders than the package."""
    return (error.name or "").split(".")[0] == "fastnst"


def open_closed_streams() -> None:
    """Connect standard streams that are closed to the null device; otherwise the next file opened would become one of them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115, it stays open


def keep_file_names_printable() -> None:
    """Print file names that are not UTF-8 as the bytes they are."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hide what decoders in C print on standard error, because a failure is one line. Not with ``-X dev``."""
    stream = sys.__stderr__
    if stream is None or stream is not sys.stderr or sys.flags.dev_mode:
        yield
        return
    stream.flush()
    ours, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = os.fdopen(ours, "w", buffering=1, encoding=stream.encoding, errors=stream.errors)
    try:
        yield
    finally:
        os.dup2(ours, 2)
        sys.stderr.close()
        sys.stderr = stream


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Clean up after SIGTERM as after Ctrl-C."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    # Only the main thread may set handlers, and a handler that somebody else has set stays.
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
