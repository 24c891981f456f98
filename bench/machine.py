"""The description of the machine in reports. Its name is not part of it."""

from __future__ import annotations

import os
import platform
import re
from typing import Any


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def system() -> dict[str, Any]:
    """Facts about the machine that pytest-benchmark does not record."""
    return {
        "cores": cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def machine_of(info: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """A description from pytest-benchmark's ``machine_info`` and the facts of :func:`system`."""
    return {
        "cpu": info["cpu"].get("brand_raw") or info["processor"] or info["machine"],
        "family": info["cpu"].get("family"),
        "model": info["cpu"].get("model"),
        **{key: facts[key] for key in ("cores", "memory_bytes", "kernel", "python")},
    }


def slug(machine: dict[str, Any]) -> str:
    """The machine as part of a file name."""
    family = f" f{machine['family']}m{machine['model']}" if machine["family"] is not None else ""
    return file_name(f"{machine['cpu']}{family} {machine['cores']} cores")


def file_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def sentence(machine: dict[str, Any]) -> str:
    """The machine in a line of a report."""
    return (
        f"{machine['cpu']} (family {machine['family']}, model {machine['model']}), {machine['cores']} cores, "
        f"{machine['memory_bytes'] / 2**30:.0f} GiB, {machine['kernel']}, Python {machine['python']}"
    )
