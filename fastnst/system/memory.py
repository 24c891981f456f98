"""How much memory the machine has, how much a picture may take, and how much this process takes."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from fastnst import _engine

parse_bytes = _engine.parse_bytes
"""Parses a number of bytes such as ``"512M"``; ``csrc/base/memory.h`` describes the format. Raises ValueError."""


machine_memory = _engine.machine_memory
"""Bytes of memory that the machine has, or a control group's limit where that is lower."""


def default_budget(height: int, width: int, each: int = 12) -> int:
    """The default limit of working memory in bytes for a picture of this size: ``each`` for a pixel, at least 64 MB, at most a
    quarter of the machine's memory, or of a control group's limit where that is lower."""
    return _engine.default_budget(height * width, machine_memory(), each)


def held_memory() -> int | None:
    """Resident memory of this process in bytes; ``None`` where the system does not tell."""
    return _status("VmRSS")


def peak_memory() -> int | None:
    """The largest resident memory of this process so far, in bytes; ``None`` where the system does not tell."""
    if sys.platform == "linux":
        return _status("VmHWM")  # not getrusage: a child inherits the maximum of its parent there
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def return_free_memory() -> None:
    """Give the memory that has been freed back to the system, where the C library can (glibc).

    Otherwise it keeps what lies between blocks in use: arrays of up to 32 MB that come and go leave several times their size.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _status(field: str) -> int | None:
    if sys.platform != "linux":
        return None
    with Path("/proc/self/status").open() as status:
        return next((int(line.split()[1]) * 1024 for line in status if line.startswith(f"{field}:")), None)
