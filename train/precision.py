"""The precision that training is fast in: bfloat16 where the processor multiplies it, float32 elsewhere.

Processors without such instructions convert every number first, at many times the price of float32.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""What Linux calls the instructions, on x86 and Arm."""


def multiplies_bfloat16(cpuinfo: str) -> bool:
    """Whether the processor that ``/proc/cpuinfo`` speaks of has such instructions."""
    return not BFLOAT16_FLAGS.isdisjoint(cpuinfo.split())


@cache
def fastest(device: str) -> str:
    """``bfloat16`` or ``float32`` on ``cpu`` or ``cuda``."""
    native = device != "cpu" or (CPUINFO.exists() and multiplies_bfloat16(CPUINFO.read_text()))
    return "bfloat16" if native else "float32"
