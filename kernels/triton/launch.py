"""Starts kernels on the device of their tensors, without waiting for them."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Device(NamedTuple):
    """The properties of a device on which the choice of kernels and tiles depends."""

    capability: int
    """Compute capability times 10, as in sm_90; 0 for Triton's interpreter."""
    processors: int
    """Streaming multiprocessors."""


INTERPRETER = Device(capability=0, processors=4)


def device_of(x: Tensor) -> Device:
    """The device that ``x`` is on."""
    return _cuda(x.get_device()) if x.is_cuda else INTERPRETER


@functools.cache
def _cuda(index: int) -> Device:
    properties = torch.cuda.get_device_properties(index)
    return Device(properties.major * 10 + properties.minor, properties.multi_processor_count)


def start(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    """Start ``kernel`` on the device of its first argument, a tensor.

    Args:
        kernel: a ``triton.jit`` function.
        grid: numbers of programs, none of them 0; the second and third are at most 65,535, so large sizes come first.
        arguments: those of the kernel, in order: tensors, ints, floats.
        options: constants of the kernel by name, and ``num_warps`` and ``num_stages``.

    Fused multiply-adds are enabled explicitly, because Triton's default differs between releases.
    """
    with torch.cuda.device_of(arguments[0]):
        kernel[grid](*arguments, enable_fp_fusion=True, **options)
