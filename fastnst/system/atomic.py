"""Files that are complete or absent."""

from __future__ import annotations

import io
import itertools
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_PARTIAL_PREFIX = f".fastnst-{platform.node()}-"
_PARTIAL_SUFFIX = ".partial"
_serial = itertools.count()


PIPE = Path("-")
"""Standard input or output."""


def peeked_input() -> bytes:
    """The first bytes of standard input, at least one unless it is empty, without consuming them."""
    buffer = sys.stdin.buffer
    return buffer.peek(64)[:64] if isinstance(buffer, io.BufferedReader) else b""


def temporary_folder() -> str:
    """The system's folder for temporary files."""
    import tempfile

    return tempfile.gettempdir()


@contextmanager
def input_file() -> Iterator[Path]:
    """Standard input as a file, which holds all of it and exists while the block lasts."""
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="fastnst-") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield Path(file.name)


@contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    import tempfile

    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


@contextmanager
def atomic_output(path: Path, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write, which becomes ``path`` when the block ends and is deleted if the block raises. With ``-``, all of it
    goes to standard output at the end.

    Until then it is a hidden file in the same folder, named after the machine and the process; the name of ``path`` may
    already be as long as the file system allows.

    Args:
        durable: wait until it is on the disk, which takes longer than to make a small picture. Otherwise the end of the
            machine, though not that of the process, may leave an empty file.

    Raises:
        OSError: the file cannot be written.
    """
    if path == PIPE:
        with _standard_output() as file:
            yield file
        return
    partial = path.with_name(f"{_PARTIAL_PREFIX}{os.getpid()}-{next(_serial)}{_PARTIAL_SUFFIX}")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut, where the system can do that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_stale_partials(folder: Path) -> None:
    """Delete the partial files in ``folder`` of processes of this machine that no longer run."""
    for partial in folder.glob(f"*{_PARTIAL_SUFFIX}"):
        process = partial.name.removeprefix(_PARTIAL_PREFIX).split("-")[0]
        if partial.name.startswith(_PARTIAL_PREFIX) and process.isdecimal() and not _is_running(int(process)):
            partial.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    if os.name != "posix":
        return True  # there is no harmless way to ask; stale files stay there, hidden
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
