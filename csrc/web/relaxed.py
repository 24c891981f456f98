"""Writes WebAssembly's relaxed products of bytes into a module, where csrc/engine/kernels/relaxed.cpp left others instead.

Compilers of early 2022, such as Debian 12's, do not know these instructions. They do know an early draft of two others with as
many operands, which nothing else here uses. A browser would refuse a module with drafts or, worse, misread them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

DRAFTS = {
    b"\xfd\xa2\x01": b"\xfd\x92\x02",  # i8x16.relaxed_swizzle: i16x8.relaxed_dot_i8x16_i7x16_s
    b"\xfd\xb2\x01": b"\xfd\x93\x02",  # i8x16.laneselect: i32x4.relaxed_dot_i8x16_i7x16_add_s
}
"""What stands for an instruction: the same number of bytes, so that nothing moves."""

# How many numbers, of a variable length, follow an instruction; memory accesses have two, their alignment and their offset.
NUMBERS = dict.fromkeys([*range(0x45, 0xC5), 0x00, 0x01, 0x05, 0x0B, 0x0F, 0x1A, 0x1B, 0xD1], 0)
NUMBERS |= dict.fromkeys([0x02, 0x03, 0x04, 0x0C, 0x0D, 0x10, *range(0x20, 0x27), 0x3F, 0x40, 0x41, 0x42, 0xD0, 0xD2], 1)
NUMBERS |= dict.fromkeys([0x11, *range(0x28, 0x3F)], 2)
BYTES = {0x43: 4, 0x44: 8}
BULK = [0] * 8 + [2, 1, 2, 1, 2, 1, 2, 1, 1, 1]


class Reader:
    """A module's bytes from a place on."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def number(self) -> int:
        """One of a variable length; of one with a sign, the bits."""
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def skip(self, numbers: int, count: int = 0) -> None:
        for _ in range(numbers):
            self.number()
        self.at += count

    def instruction(self) -> bytes:
        """Go past one with all that follows it, and return its opcode."""
        start, code = self.at, self.number_of_opcode()
        opcode = self.data[start : self.at]
        match opcode[0]:
            case 0xFC:
                self.skip(BULK[code])
            case 0xFD:
                memory = code <= 11 or 84 <= code <= 93
                count = 16 if code in {12, 13} else int(21 <= code <= 34 or 84 <= code <= 91)
                self.skip(2 * memory, count)
            case 0xFE:
                self.skip(*(0, 1) if code == 3 else (2, 0))
            case 0x0E:
                self.skip(self.number() + 1)
            case 0x1C:
                self.skip(self.number())
            case plain if plain in BYTES:
                self.skip(0, BYTES[plain])
            case plain if plain in NUMBERS:
                self.skip(NUMBERS[plain])
            case unknown:
                raise ValueError(f"byte {start} of the module: there is no instruction {unknown:#04x}")
        return opcode

    def number_of_opcode(self) -> int:
        self.at += 1
        first = self.data[self.at - 1]
        return self.number() if first in {0xFC, 0xFD, 0xFE} else first


def instructions(module: bytes) -> Iterator[tuple[int, bytes]]:
    """The opcode of every instruction of a module, and where it stands."""
    sections = Reader(module, 8)
    while sections.at < len(module):
        kind, size = sections.number(), sections.number()
        functions = Reader(module, sections.at)
        sections.at += size
        for _ in range(functions.number() if kind == 10 else 0):
            end = functions.number() + functions.at
            body = Reader(module, functions.at)
            for _ in range(body.number()):
                body.skip(1, 1)  # so many locals of a type
            while body.at < end:
                start = body.at
                yield start, body.instruction()
            if body.at != end:
                raise ValueError(f"byte {end} of the module: a function ends within an instruction")
            functions.at = end


def written(module: bytes) -> bytes:
    """The module with the instructions that are meant.

    Raises:
        ValueError: one of them is not there, or the module cannot be read.
    """
    made, count = bytearray(module), dict.fromkeys(DRAFTS.values(), 0)
    for at, opcode in instructions(module):
        meant = DRAFTS.get(opcode, opcode)
        made[at : at + len(meant)] = meant
        if meant in count:
            count[meant] += 1
    if lacking := [meant.hex(" ") for meant, times in count.items() if times == 0]:
        raise ValueError(f"the module has no instruction {', '.join(lacking)}")
    return bytes(made)


def write(file: Path) -> None:
    """Have a module's file say what is meant. Where it does, nothing changes."""
    module = file.read_bytes()
    if (made := written(module)) == module:
        return
    whole = file.with_suffix(".partial")
    whole.write_bytes(made)
    whole.replace(file)
