"""What the compiled library is told of a tensor, and where it writes."""

from __future__ import annotations

import torch
from torch import Tensor

from fastnst import _engine

CODES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}
"""Element types by the numbers that ``csrc/ops/vector.h`` gives them."""


def code(x: Tensor) -> int:
    """The number of ``x``'s element type.

    Raises:
        TypeError: the kernels have no such type.
    """
    if x.dtype not in CODES:
        raise TypeError(f"the CPU kernels work in float32, bfloat16 and float16, not {x.dtype}")
    return CODES[x.dtype]


def threads() -> int:
    """As many threads as PyTorch's own operations use."""
    return torch.get_num_threads()


def empty_like(x: Tensor) -> Tensor:
    """``torch.empty_like(x)`` for an output that is written at once, in large pages where the system has them."""
    out = torch.empty_like(x)
    _engine.prefer_large_pages(out.data_ptr(), out.nbytes)
    return out
