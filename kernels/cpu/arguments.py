"""Arguments of the compiled library."""

from __future__ import annotations

import torch
from torch import Tensor

TYPES = (torch.float32, torch.bfloat16, torch.float16)


def check_type(x: Tensor) -> None:
    """Raise ``TypeError`` if the kernels have no such element type. The compiled library checks everything else itself."""
    if x.dtype not in TYPES:
        raise TypeError(f"the CPU kernels work in float32, bfloat16 and float16, not {x.dtype}")


def threads() -> int:
    """The number of threads that PyTorch's own operations use."""
    return torch.get_num_threads()


def left_factor(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """``matrix`` [..., m, k] in ``dtype``, in rows that are padded beyond k.

    Their length is no power of two, so that rows that are read together do not map to the same cache sets.
    """
    pitch = matrix.shape[-1] + 64 // dtype.itemsize
    rows = matrix.new_empty((*matrix.shape[:-1], pitch), dtype=dtype)
    rows[..., : matrix.shape[-1]] = matrix
    return rows
