"""What tests of kernels on feature maps share: maps in any layout, surroundings, numbers of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
DTYPES = [torch.float32, torch.bfloat16, torch.float16]

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


def random_map(
    *shape: int,
    dtype: torch.dtype = torch.float32,
    layout: str = "contiguous",
    mean: float = 0.5,
    std: float = 2.0,
    seed: int = 0,
) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * std + mean
    values = values.to(dtype)
    return values.contiguous(memory_format=LAYOUTS[layout]) if len(shape) == 4 else values


def wide(x: Tensor) -> Tensor:
    """For the reference: a leaf in float64."""
    return x.detach().cpu().double().requires_grad_()


def check_like(result: Tensor, x: Tensor) -> None:
    """Type, strides and device are those of the tensor that the result belongs to."""
    assert (result.dtype, result.stride(), result.device) == (x.dtype, x.stride(), x.device)


def between_nan(x: Tensor, offset: int) -> Tensor:
    """A copy that lies at an odd address inside larger memory, which is otherwise filled with NaN."""
    storage = torch.full((offset + x.numel() + 64,), torch.nan, dtype=x.dtype)
    return storage.as_strided(x.shape, x.stride(), offset).copy_(x)


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_any_number_of_threads(run: Callable[[], list[Tensor]]) -> None:
    """The same bytes whatever the number."""
    runs = []
    for count in (1, 2, 3, 7):
        with threads(count):
            runs.append(run())
    for other in runs[1:]:
        assert all(torch.equal(mine, first) for mine, first in zip(other, runs[0], strict=True))
