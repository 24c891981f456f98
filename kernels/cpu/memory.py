"""Memory of results."""

from __future__ import annotations

import torch
from torch import Tensor

from fastnst import _engine

LARGE = 32 << 20
"""Bytes from which on every block is one that the allocator would ask the system for (glibc's largest threshold)."""


def empty_like(x: Tensor) -> Tensor:
    """``torch.empty_like(x)`` for an output that is written at once: in memory of an earlier one, or in large pages."""
    if x.nbytes >= LARGE:
        shape = torch.empty_like(x, device="meta")
        storage = torch.frombuffer(_engine.CachedBlock(x.nbytes), dtype=x.dtype).untyped_storage()
        return x.new_empty(0).set_(storage, 0, shape.shape, shape.stride())  # type: ignore[call-overload, no-any-return]
    out = torch.empty_like(x)
    _engine.prefer_large_pages(out)
    return out


def release() -> int:
    """Give cached blocks back to the system; the number of bytes."""
    return _engine.release_cache()
