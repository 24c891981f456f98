"""Canonical prefix codes for the bytes of model files: the shortest that use whole bits (Huffman, 1952; at most 12 of them).

Coded bytes are 256 code lengths of 4 bits (0: does not occur; the lower symbol of two in the low bits), then the codes, most
significant bit first, then zero bits up to a whole byte. Codes of one length are consecutive numbers in the order of their
symbols, and shorter codes come first. The reader is ``csrc/base/huffman.cpp``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LONGEST = 12
SYMBOLS = 256


def code_lengths(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Lengths of the best code with at most ``LONGEST`` bits for symbols that occur so often: 0 for those that do not.

    By package-merge (Larmore and Hirschberg, 1990). A code has at least two symbols, so that every bit means something.
    """
    weights = [(int(count), (symbol,)) for symbol, count in enumerate(counts) if count]
    absent = (symbol for symbol, count in enumerate(counts) if not count)
    while len(weights) < 2:
        weights.append((1, (next(absent),)))
    weights.sort()
    packages: list[tuple[int, tuple[int, ...]]] = []
    for _ in range(LONGEST):
        merged = sorted(weights + packages)
        packages = [(a[0] + b[0], a[1] + b[1]) for a, b in zip(merged[::2], merged[1::2], strict=False)]
    chosen = [symbol for _, symbols in packages[: len(weights) - 1] for symbol in symbols]
    return np.bincount(chosen, minlength=SYMBOLS).astype(np.uint8)


def codes_of(lengths: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The code of each symbol as a number of so many bits."""
    codes = np.zeros(SYMBOLS, np.uint32)
    code = 0
    for length in range(1, LONGEST + 1):
        for symbol in np.flatnonzero(lengths == length):
            codes[symbol] = code
            code += 1
        code <<= 1
    return codes


def encode(data: bytes) -> bytes:
    """``data`` coded. Little data, or data without order, comes out longer than it was."""
    symbols = np.frombuffer(data, np.uint8)
    lengths = code_lengths(np.bincount(symbols, minlength=SYMBOLS))
    counts = lengths[symbols].astype(np.int64)
    ends = np.cumsum(counts)
    # For every bit of the output, how far it is from the end of its code.
    distance = np.repeat(ends, counts) - np.arange(1, int(counts.sum()) + 1)
    bits = np.repeat(codes_of(lengths)[symbols], counts) >> distance.astype(np.uint32) & 1
    nibbles = lengths[::2] | lengths[1::2] << 4
    return nibbles.tobytes() + np.packbits(bits.astype(np.uint8)).tobytes()


def decode(data: bytes, count: int) -> bytes:
    """The ``count`` bytes that :func:`encode` made ``data`` of; of other data, anything."""
    nibbles = np.frombuffer(data, np.uint8, SYMBOLS // 2)
    lengths = np.stack([nibbles & 15, nibbles >> 4], 1).ravel()
    # What each number of LONGEST bits begins with: shorter codes are those of as many numbers as there are ways to go on.
    order = np.lexsort((np.arange(SYMBOLS), lengths))
    order = order[lengths[order] > 0]
    beginnings = np.repeat(order, 1 << (LONGEST - lengths[order].astype(np.int64)))
    bits = np.pad(np.unpackbits(np.frombuffer(data, np.uint8, offset=SYMBOLS // 2)), (0, LONGEST))
    windows = np.lib.stride_tricks.sliding_window_view(bits, LONGEST) @ (1 << np.arange(LONGEST)[::-1])
    symbols = beginnings[windows]
    steps, at, places = lengths[symbols].tolist(), 0, []
    for _ in range(count):
        places.append(at)
        at += steps[at]
    return symbols[places].astype(np.uint8).tobytes()
