"""How model files hold arrays: little-endian, padded, weights coded where that is shorter."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnst.format import huffman


def padded(data: bytes) -> bytes:
    """``data`` with zero bytes up to a multiple of 4."""
    return data + bytes(-len(data) % 4)


def array_field(values: NDArray[Any], kind: str) -> bytes:
    """An array as NumPy's type ``kind``."""
    return padded(np.ascontiguousarray(values, kind).tobytes())


def weights_field(weights: NDArray[np.int8]) -> tuple[int, bytes]:
    """The bytes of :mod:`fastnst.format.huffman`'s code, 0 if it is not used, and the field."""
    plain = np.ascontiguousarray(weights, "<i1").tobytes()
    coded = huffman.encode(plain)
    return (len(coded), padded(coded)) if len(coded) < len(plain) else (0, padded(plain))
