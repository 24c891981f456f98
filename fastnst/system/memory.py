"""How much memory there is, how much a picture may take, and how much the process has taken."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from fastnst import _engine

parse_bytes = _engine.parse_bytes
"""The number of bytes in a text such as ``"512M"``; ``csrc/base/memory.h`` says which. Raises ValueError, one line."""


def default_budget(height: int, width: int) -> int:
    """Bytes of working memory for a picture of this size where nobody says: never more than a quarter of the machine's, or of
    what a control group leaves of that."""
    return _engine.default_budget(height * width, _engine.machine_memory())


def held_memory() -> int | None:
    """Bytes that this process holds now; ``None`` where the system does not say."""
    return _status("VmRSS")


def peak_memory() -> int | None:
    """The most memory this process has held at once, in bytes; ``None`` where the system does not say."""
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
