"""The precision in which training is fastest: bfloat16 on processors with instructions for its products, else float32.

Processors without them convert every number first, which takes many times as long as float32.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Linux's names of the instructions, on x86 and Arm."""


def multiplies_bfloat16(cpuinfo: str) -> bool:
    """Whether the processor has such instructions, by the text of ``/proc/cpuinfo``."""
    return not BFLOAT16_FLAGS.isdisjoint(cpuinfo.split())


@cache
def fastest(device: str) -> str:
    """``bfloat16`` or ``float32`` on ``cpu`` or ``cuda``."""
    native = device != "cpu" or (CPUINFO.exists() and multiplies_bfloat16(CPUINFO.read_text()))
    return "bfloat16" if native else "float32"
