"""The instructions that are written into a module after linking: csrc/web/relaxed.py."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

RELAXED = runpy.run_path(str(Path(__file__).resolve().parents[2] / "csrc" / "web" / "relaxed.py"))
ZEROS = b"\x41\x00\xfd\x0f"  # i32.const 0, i8x16.splat
DRAFTS = {b"\xfd\xb2\x01": (3, b"\xfd\x93\x02"), b"\xfd\xa2\x01": (2, b"\xfd\x92\x02")}


def module(*instructions: bytes) -> bytes:
    """One function without arguments and results."""
    body = b"\x00" + b"".join(instructions) + b"\x0b"
    code = bytes([1, len(body)]) + body
    return b"\0asm\1\0\0\0" + b"\x01\x04\x01\x60\0\0" + b"\x03\x02\x01\0" + bytes([10, len(code)]) + code


def test_instructions_are_replaced_and_numbers_with_the_same_bytes_are_not() -> None:
    number = b"\x41\xfd\xb2\x01\x1a"  # i32.const 22909, drop
    drafts = [ZEROS * operands + draft + b"\x1a" for draft, (operands, _) in DRAFTS.items()]
    meant = [ZEROS * operands + opcode + b"\x1a" for operands, opcode in DRAFTS.values()]
    assert RELAXED["written"](module(number, *drafts)) == module(number, *meant)
    assert RELAXED["written"](module(number, *meant)) == module(number, *meant)


def test_a_module_without_them_or_with_unknown_instructions_is_refused() -> None:
    with pytest.raises(ValueError, match="no instruction fd 92 02, fd 93 02"):
        RELAXED["written"](module(b"\x41\xfd\xb2\x01\x1a"))
    with pytest.raises(ValueError, match="there is no instruction 0xff"):
        RELAXED["written"](module(b"\xff"))
