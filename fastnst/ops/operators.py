"""The ``torch.library`` operators: schemas, shapes for compilers, batching for ``vmap``, and the call of a backend.

Forward and backward are separate operators without autograd, which :mod:`fastnst.ops.differentiable` adds around them at the
lowest cost. An operator that is itself asked for a derivative raises. Test these with ``opcheck`` and detached inputs, and
the public functions with ``gradcheck``.
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


def define(
    stem: str, schema: str, fake: Callable[..., Any], *, by_backend: bool = False, by_image: bool = True
) -> Callable[..., Any]:
    """Register the operator ``fastnst::<schema>``. It calls the function of the same name in the backend that its first
    argument names.

    Args:
        stem: the file that holds the function in every backend.
        schema: name, arguments and results. The argument for the backend is added in front.
        fake: returns empty results of the right shape, type and strides. Like every backend it gets dense tensors.
        by_backend: the shapes depend on the backend, whose name is then the first argument of ``fake``.
        by_image: the first axis of every tensor and result counts independent images, so that ``vmap`` can make one call for
            all examples. Otherwise it makes one call for each.

    Returns:
        The operator, for use below autograd.
    """
    name, _, rest = schema.partition("(")
    LIBRARY.define(f"{name}(str backend, {rest}")  # type: ignore[no-untyped-call]
    operator: Callable[..., Any] = getattr(torch.ops.fastnst, name).default

    def run(backend: str, *arguments: Any) -> Any:
        return getattr(dispatch.kernels(backend, stem), name)(*_packed(arguments))

    def run_fake(backend: str, *arguments: Any) -> Any:
        return fake(*([backend] if by_backend else []), *_packed(arguments))

    def refuse_derivatives(keys: Any, *arguments: Any) -> Any:
        """Without this the operator would silently count as a constant."""
        if torch.is_grad_enabled() and any(isinstance(x, Tensor) and x.requires_grad for x in arguments):
            raise RuntimeError(f"fastnst::{name} has no derivative: call the function of fastnst.ops, or detach its arguments")
        with torch._C._AutoDispatchBelowAutograd():
            return operator.redispatch(keys & torch._C._after_autograd_keyset, *arguments)  # type: ignore[attr-defined]

    def run_batched(info: Any, axes: tuple[int | None, ...], *arguments: Any) -> Any:
        return (_in_one_call if by_image else _one_by_one)(operator, info.batch_size, axes, arguments)

    def below_autograd(*arguments: Any) -> Any:
        if torch.compiler.is_compiling():
            return operator(*arguments)
        with torch._C._AutoDispatchBelowAutograd():  # cheaper than `refuse_derivatives`
            return operator(*arguments)

    for key in ("CPU", "CUDA"):
        LIBRARY.impl(name, run, key)  # type: ignore[no-untyped-call]
    LIBRARY.impl(name, refuse_derivatives, "Autograd", with_keyset=True)  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"fastnst::{name}", run_fake, lib=LIBRARY)
    torch.library.register_vmap(f"fastnst::{name}", run_batched, lib=LIBRARY)
    DEFINED.append(name)
    return below_autograd


def _packed(arguments: tuple[Any, ...]) -> list[Any]:
    return [dispatch.dense(each) if isinstance(each, Tensor) else each for each in arguments]


def _in_one_call(operator: Callable[..., Any], count: int, axes: tuple[int | None, ...], arguments: tuple[Any, ...]) -> Any:
    """The results for ``count`` examples as the images of one large batch."""

    def folded(x: Any, axis: int | None) -> Any:
        if not isinstance(x, Tensor):
            return x
        return (x.expand(count, *x.shape) if axis is None else x.movedim(axis, 0)).flatten(0, 1)

    results = operator(*(folded(x, axis) for x, axis in zip(arguments, axes, strict=True)))
    if isinstance(results, Tensor):
        return results.unflatten(0, (count, -1)), 0  # type: ignore[no-untyped-call]
    return tuple(each.unflatten(0, (count, -1)) for each in results), (0,) * len(results)


def _one_by_one(operator: Callable[..., Any], count: int, axes: tuple[int | None, ...], arguments: tuple[Any, ...]) -> Any:
    """The results for ``count`` examples, stacked."""
    pairs = list(zip(arguments, axes, strict=True))
    results = [operator(*(x if axis is None else x.select(axis, i) for x, axis in pairs)) for i in range(count)]
    if isinstance(results[0], Tensor):
        return torch.stack(results), 0
    return tuple(torch.stack(each) for each in zip(*results, strict=True)), (0,) * len(results[0])
