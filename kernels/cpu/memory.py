"""Memory for results."""

from __future__ import annotations

import torch
from torch import Tensor

from fastnst import _engine

LARGE = 32 << 20
"""The size in bytes from which on the allocator gets every block from the system (glibc's largest threshold)."""


def empty_like(x: Tensor) -> Tensor:
    """``torch.empty_like(x)`` for an output that is written at once, in memory of a freed output or in large pages."""
    if x.nbytes >= LARGE:
        shape = torch.empty_like(x, device="meta")
        storage = torch.frombuffer(_engine.CachedBlock(x.nbytes), dtype=x.dtype).untyped_storage()
        return x.new_empty(0).set_(storage, 0, shape.shape, shape.stride())  # type: ignore[call-overload, no-any-return]
    out = torch.empty_like(x)
    _engine.prefer_large_pages(out)
    return out


def release() -> int:
    """Return cached blocks to the system; the result is their number of bytes."""
    return _engine.release_cache()
