"""The ``torch.library`` operators: schemas, what compilers need to know of their results, and the way to a backend.

Forward and backward are operators of their own and know nothing of autograd, which lies outside of them, in the other files
of this package: the cheapest boundary there is. ``opcheck`` is for these, with detached inputs; ``gradcheck`` for those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fastnst import dispatch

LIBRARY = torch.library.Library("fastnst", "DEF")  # type: ignore[no-untyped-call]

DEFINED: list[str] = []
"""Names of all operators."""


def define(stem: str, schema: str, fake: Callable[..., Any], *, by_backend: bool = False) -> Callable[..., Any]:
    """Register the operator ``fastnst::<schema>``: the function of the same name of the backend that its first argument names.

    Args:
        stem: the file that holds the function in every backend.
        schema: name, arguments and results; the backend is not among the arguments, it is added in front.
        fake: results of the right shape, type and strides. Like every backend it is given dense tensors.
        by_backend: the results depend on the backend, whose name ``fake`` is told first.
    """
    name, _, rest = schema.partition("(")
    LIBRARY.define(f"{name}(str backend, {rest}")  # type: ignore[no-untyped-call]

    def run(backend: str, *arguments: Any) -> Any:
        return getattr(dispatch.kernels(backend, stem), name)(*_packed(arguments))

    def run_fake(backend: str, *arguments: Any) -> Any:
        return fake(*([backend] if by_backend else []), *_packed(arguments))

    for key in ("CPU", "CUDA"):
        LIBRARY.impl(name, run, key)  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"fastnst::{name}", run_fake, lib=LIBRARY)
    DEFINED.append(name)
    operator: Callable[..., Any] = getattr(torch.ops.fastnst, name).default
    return operator


def _packed(arguments: tuple[Any, ...]) -> list[Any]:
    return [dispatch.dense(each) if isinstance(each, Tensor) else each for each in arguments]
