"""How much memory there is, how much a picture may take, and how much the process has taken."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_LEAST = 64 << 20
_PER_PIXEL = 12  # bytes: a third of what whole pictures take; for 7 % more of the engine's time, which files in rows win back
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def parse_bytes(text: str) -> int:
    """The number of bytes in ``text``: a whole number, or one with K, M, G or T for powers of 1024.

    Raises:
        ValueError: anything else, or 0.
    """
    match = re.fullmatch(r"([0-9]{1,15})([KMGT]?)(i?B)?", text.strip(), re.IGNORECASE)
    if not match or int(match[1]) == 0:
        raise ValueError(f"{text!r} is not a number of bytes such as 536870912, 512M or 2G")
    return int(match[1]) * _UNITS[match[2].upper()]


def machine_memory() -> int | None:
    """Bytes of memory that this process can hope for; ``None`` where the system does not say."""
    limits = [int(text) for path in _CGROUP_LIMITS if path.is_file() and (text := path.read_text().strip()).isdecimal()]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(limits, default=None)


def default_budget(height: int, width: int) -> int:
    """Bytes of working memory for a picture of this size where nobody says: never more than a quarter of the machine's."""
    machine = machine_memory()
    wanted = max(_LEAST, _PER_PIXEL * height * width)
    return wanted if machine is None else max(_LEAST, min(wanted, machine // 4))


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


def _status(field: str) -> int | None:
    if sys.platform != "linux":
        return None
    with Path("/proc/self/status").open() as status:
        return next((int(line.split()[1]) * 1024 for line in status if line.startswith(f"{field}:")), None)
