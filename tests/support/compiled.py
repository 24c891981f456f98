"""What is demanded of every Triton kernel that was compiled ahead of time."""

from __future__ import annotations

import re

from fastnst.kernels.triton.aot import Compiled

SHARED_MEMORY = 99 * 1024
"""Bytes that a program may have on every GPU from sm_80 on; sm_80 itself has 163 KiB, sm_90 227."""

SPILT = 16
"""Bytes per thread that the assembler may spill: it does so, with registers left, to have more programs at a time."""


def assert_sound(kernel: Compiled, *, double: bool = False, shared_memory: int = SHARED_MEMORY) -> None:
    """Registers and shared memory suffice, no address overflows, and no float64 unless it is meant (``double``)."""
    what = f"{kernel.name} for sm_{kernel.capability} with {dict(kernel.options)}"
    assert ".local" not in kernel.ptx, f"{what} has arrays in local memory"
    assert kernel.local <= SPILT, f"{what} spills {kernel.local} bytes"
    assert kernel.shared <= shared_memory, f"{what} takes {kernel.shared} bytes of shared memory"
    assert double or ".f64" not in kernel.ptx, f"{what} computes in float64"
    narrow = narrow_addresses(kernel.ttir)
    assert not narrow, f"{what} has addresses of 32 bits: {narrow}"
    assert_rounded(kernel)


def assert_rounded(kernel: Compiled) -> None:
    """No quotient and no root is approximate: the interpreter's are not, and tolerances are met there."""
    found = sorted(set(re.findall(r"\b(?:div\.(?:full|approx)|r?sqrt\.approx|rcp\.approx)[\w.]*", kernel.ptx)))
    assert not found, f"{kernel.name} for sm_{kernel.capability} has {', '.join(found)}"


def narrow_addresses(ttir: str) -> list[str]:
    """The lines that may overflow in a tensor of 2^31 elements: products of 32 bits, and what is added to a pointer in 32 bits.

    A range of a tile's length may be added: it is short.
    """
    lines = [re.sub(r" loc\(.*", "", line).strip() for line in ttir.splitlines()]
    made = {line.split(" = ")[0]: line.split(" = ")[1] for line in lines if re.match(r"%\S+ = ", line)}

    def short(name: str) -> bool:
        source = made.get(name, "")
        shaped = re.match(r"tt\.(?:expand_dims|broadcast|splat) (%\S+)", source)
        return short(shaped[1]) if shaped else source.startswith(("tt.make_range", "arith.constant"))

    products = [line for line in lines if re.search(r"= arith\.muli .* : (?:i32|tensor<\w*xi32>)$", line)]
    added = [re.search(r"= tt\.addptr %\S+, (%\S+) : .*\b(?:i32|\w*xi32>)$", line) for line in lines]
    return products + [each.string for each in added if each and not short(each[1])]
