"""Prefix codes of model files: complete, at most 12 bits, as short as such codes can be, and decodable. The C++ reader is
tested with whole model files in test_modelfile.py.
"""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from numpy_engine import prefix_decoded

from fastnst.format import huffman

RNG = np.random.default_rng(0)
DATA = {
    "weights": np.clip(RNG.laplace(0, 12, 4000), -127, 127).astype(np.int8).tobytes(),
    "one symbol": bytes([7] * 50),
    "two symbols": bytes([0, 255] * 9 + [0]),
    "all alike": bytes(range(256)) * 2,
    "steep": b"".join(bytes([i]) * min(2**i, 60000) for i in range(20)),  # plain Huffman would take 19 bits
    "one byte": b"\x80",
    "nothing": b"",
}


@pytest.mark.parametrize("name", DATA)
def test_what_is_coded_can_be_decoded(name: str) -> None:
    data = DATA[name]
    assert prefix_decoded(huffman.encode(data), len(data)) == data
    assert huffman.decode(huffman.encode(data), len(data)) == data


@pytest.mark.parametrize("name", DATA)
def test_codes_are_complete_and_not_long(name: str) -> None:
    lengths = huffman.code_lengths(np.bincount(np.frombuffer(DATA[name], np.uint8), minlength=256)).astype(int)
    assert lengths.max() <= huffman.LONGEST
    assert sum(2 ** (huffman.LONGEST - n) for n in lengths if n) == 2**huffman.LONGEST


def test_no_shorter_code_where_twelve_bits_are_enough() -> None:
    """Huffman's own procedure gives the least total length; here none of its codes has more than 12 bits."""
    counts = np.bincount(np.frombuffer(DATA["weights"], np.uint8), minlength=256)
    heap = [int(count) for count in counts if count]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        total += merged
        heapq.heappush(heap, merged)
    assert int((huffman.code_lengths(counts) * counts).sum()) == total
