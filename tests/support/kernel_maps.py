"""What tests of kernels on feature maps share: maps in any layout, surroundings, other instruction sets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from fastnst import _engine

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
VARIANTS = {"scalar": "baseline", "avx2": "avx2", "avx512": "avx512"}
"""Values of FASTNST_ISA and the variants that they choose; what is chosen without one, the tests have run already."""
RUNNABLE = [isa for isa, runs in _engine.instruction_sets() if runs and isa in VARIANTS]

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


def check_variant(isa: str, file: str) -> None:
    """The tests of ``file`` once more, in a process of its own: the variant is chosen once per process."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-k", "not every_variant", file],
        env=os.environ | {"FASTNST_ISA": isa, "TRITON_INTERPRET": "0", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout


def check_chosen_variant() -> None:
    isa = os.environ.get("FASTNST_ISA")
    assert _engine.operations_variant() in ([VARIANTS[isa]] if isa in VARIANTS else ["baseline", "avx2", "avx512"])
