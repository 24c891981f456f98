"""What the compiled library is told of a tensor."""

from __future__ import annotations

import torch
from torch import Tensor

from fastnst import _engine
from fastnst.kernels.layout import channels_last

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


def feature_map(x: Tensor) -> _engine.FeatureMap:
    """A dense [N, C, H, W] or a contiguous [N, C, n]."""
    return _engine.FeatureMap(x.data_ptr(), code(x), channels_last(x), x.shape[0], x.shape[1], x[0, 0].numel())


def left_factor(matrix: Tensor, dtype: torch.dtype) -> tuple[Tensor, int]:
    """``matrix`` [..., m, k] in ``dtype``, and the elements from one row to the next.

    They are no power of two, so that rows that are read together do not compete for the same places in the cache.
    """
    pitch = matrix.shape[-1] + 64 // dtype.itemsize
    rows = torch.empty(*matrix.shape[:-1], pitch, dtype=dtype)
    rows[..., : matrix.shape[-1]] = matrix
    return rows, pitch
