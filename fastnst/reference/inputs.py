"""Checks of arguments, and the types to compute in, for all reference formulas."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def check(name: str, tensor: Tensor, layout: str, *, empty_batch: bool = False) -> None:
    """Raise ``ValueError`` unless ``tensor`` is floating-point, has one axis per letter of ``layout`` and is not empty.

    ``empty_batch`` allows the first axis alone to be empty: its result is then empty as well.
    """
    sizes = tensor.shape[1:] if empty_batch else tensor.shape
    if not tensor.is_floating_point() or tensor.dim() != len(layout) or 0 in sizes:
        got = f"{tensor.dtype} {list(tensor.shape)}"
        raise ValueError(f"{name}: expected floating-point values [{', '.join(layout)}], not empty, got {got}")


def check_same(what: str, first: object, second: object) -> None:
    """Raise ``ValueError`` unless two sizes that must be equal are."""
    if first != second:
        raise ValueError(f"{what} must be equal, got {first} and {second}")


def result_dtype(*tensors: Tensor) -> torch.dtype:
    """The type of a feature map that is returned: the one that PyTorch promotes the arguments to."""
    return functools.reduce(torch.promote_types, (tensor.dtype for tensor in tensors))


def widen(*tensors: Tensor) -> tuple[Tensor, ...]:
    """``tensors`` converted to one type to compute in: the widest of theirs, but at least float32."""
    dtype = torch.promote_types(result_dtype(*tensors), torch.float32)
    return tuple(tensor.to(dtype) for tensor in tensors)


def full_precision(tensor: Tensor) -> AbstractContextManager[object]:
    """A context for matrix products without autocast, which would round their arguments to bfloat16 or float16."""
    kind = tensor.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()
