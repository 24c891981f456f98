"""What the compiled library is told of a tensor."""

from __future__ import annotations

import torch
from torch import Tensor

TYPES = (torch.float32, torch.bfloat16, torch.float16)


def check_type(x: Tensor) -> None:
    """Raise ``TypeError`` if the kernels have no such element type. The compiled library checks what it is handed itself."""
    if x.dtype not in TYPES:
        raise TypeError(f"the CPU kernels work in float32, bfloat16 and float16, not {x.dtype}")


def threads() -> int:
    """As many threads as PyTorch's own operations use."""
    return torch.get_num_threads()


def left_factor(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """``matrix`` [..., m, k] in ``dtype``, in rows that are longer than k.

    Their length is no power of two, so that rows that are read together do not compete for the same places in the cache.
    """
    pitch = matrix.shape[-1] + 64 // dtype.itemsize
    rows = matrix.new_empty((*matrix.shape[:-1], pitch), dtype=dtype)
    rows[..., : matrix.shape[-1]] = matrix
    return rows
