"""Which backend computes what: one table, one choice, and the reasons for it.

Four backends: ``reference`` (plain PyTorch: any device, any type), ``cpu`` (the compiled library), ``triton`` and ``cuda``
(kernels for CUDA devices). For every stem the table lists what may compute it, best first: ``auto`` takes the first that
fits the tensors. A backend that is forced and does not fit raises, and says which would: nothing falls back in silence.

Everything that decides is a plain module attribute, so that ``torch.compile`` can trace a choice and watch it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from fastnst.kernels.layout import dense

__all__ = ["BACKENDS", "BackendError", "backend", "choose", "dense", "explain", "kernels"]

BACKENDS = ("auto", "reference", "cpu", "triton", "cuda")

KERNEL_TYPES = (torch.float32, torch.bfloat16, torch.float16)

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Triton kernels run on CPU tensors, in Triton's interpreter: for tests."""


class BackendError(RuntimeError):
    """The backend that was asked for cannot run this."""


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


HAS_LIBRARY = _installed("fastnst._engine")
HAS_TRITON = _installed("triton")

Options = dict[str, Any]
Unsupported = Callable[[tuple[Tensor, ...], Options], "str | None"]
"""The reason why a backend cannot compute an operation with these tensors and options; None where it can."""


def _tensors_unsupported(tensors: tuple[Tensor, ...], device: str) -> str | None:
    for tensor in tensors:
        if tensor.device.type != device:
            return f"it works on {device} tensors, not on {tensor.device.type}"
        if tensor.dtype not in KERNEL_TYPES:
            return f"it works in float32, bfloat16 and float16, not in {str(tensor.dtype).removeprefix('torch.')}"
        if tensor.numel() == 0:
            return "there is nothing to compute"
    return None


def _reference(_tensors: tuple[Tensor, ...], _options: Options) -> str | None:
    return None


def _cpu(tensors: tuple[Tensor, ...], _options: Options) -> str | None:
    return _tensors_unsupported(tensors, "cpu") if HAS_LIBRARY else "the compiled library is not installed"


def _triton(tensors: tuple[Tensor, ...], _options: Options) -> str | None:
    if not HAS_TRITON:
        return "triton is not installed"
    return _tensors_unsupported(tensors, "cpu" if INTERPRETED else "cuda")


def _triton_wct(tensors: tuple[Tensor, ...], options: Options) -> str | None:
    reason = _triton(tensors, options)
    if reason is None and "rules" in options:  # a question without a preset is about the tensors alone
        reason = kernels("triton", "wct").unsupported(options["rules"])
    return reason


def _cuda_wct(tensors: tuple[Tensor, ...], _options: Options) -> str | None:
    reason: str | None = _tensors_unsupported(tensors, "cuda") or kernels("cuda", "wct").missing()
    return reason


def _three_channels(unsupported: Unsupported) -> Unsupported:
    """``unsupported`` for kernels that take pictures of three channels alone."""

    def checked(tensors: tuple[Tensor, ...], options: Options) -> str | None:
        if any(x.dim() != 4 or x.shape[1] != 3 for x in tensors):
            return "it works on pictures of three channels alone, [N, 3, H, W]"
        return unsupported(tensors, options)

    return checked


TABLE: dict[str, tuple[tuple[str, Unsupported], ...]] = {
    "adain": (("cpu", _cpu), ("triton", _triton), ("reference", _reference)),
    "relation": (("cpu", _cpu), ("triton", _triton), ("reference", _reference)),
    "embedding": (("cpu", _cpu), ("triton", _triton), ("reference", _reference)),
    "perceptual": (("cpu", _cpu), ("triton", _triton), ("reference", _reference)),
    "wct": (("cpu", _cpu), ("triton", _triton_wct), ("cuda", _cuda_wct), ("reference", _reference)),
    "color": (("cpu", _three_channels(_cpu)), ("triton", _three_channels(_triton)), ("reference", _reference)),
    # Its matrices are 3 x 3: there is nothing to gain.
    "coral": (("reference", _reference),),
}
"""Per stem: backends, best first, each with the function that says why it cannot run."""


def _known(name: str) -> str:
    if name not in BACKENDS:
        raise ValueError(f"backend: expected one of {', '.join(BACKENDS)}, got {name!r}")
    return name


_forced = _known(os.environ.get("FASTNST_BACKEND") or "auto")


def kernels(name: str, stem: str) -> ModuleType:
    """The module of backend ``name`` with the functions of ``stem``."""
    return importlib.import_module(f"fastnst.kernels.{name}.{stem}")


def choose(stem: str, *tensors: Tensor, **options: Any) -> str:
    """The backend that computes ``stem`` for these tensors.

    Raises:
        BackendError: the one that is forced cannot.
    """
    for name, unsupported in TABLE[stem]:
        if _forced in {"auto", name} and unsupported(tensors, options) is None:
            return name
    raise BackendError(f"backend {_forced} cannot compute {stem} here: {explain(stem, *tensors, **options)}")


def explain(stem: str, *tensors: Tensor, **options: Any) -> str:
    """What each backend says to computing ``stem`` for these tensors, best first: for people.

    Raises:
        ValueError: no such stem.
    """
    if stem not in TABLE:
        raise ValueError(f"stem: expected one of {', '.join(TABLE)}, got {stem!r}")
    said = {name: unsupported(tensors, options) or "fits" for name, unsupported in TABLE[stem]}
    said |= {name: "it has no kernel for this" for name in BACKENDS[1:] if name not in said}
    return "; ".join(f"{name}: {reason}" for name, reason in said.items())


@contextmanager
def backend(name: str) -> Iterator[None]:
    """Force a backend, for the whole process, while the context lasts; ``auto`` picks the fastest that fits.

    The environment variable FASTNST_BACKEND forces one from the start.

    Raises:
        ValueError: no such backend.
    """
    global _forced  # noqa: PLW0603 - torch.compile watches module attributes, not context variables
    before, _forced = _forced, _known(name)
    try:
        yield
    finally:
        _forced = before
