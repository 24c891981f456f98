"""Makes operators differentiable: gradients by kernels, higher derivatives by a formula, in every transform of ``torch.func``.

An operation provides three functions: the results by kernels, their gradients by kernels, and the same results by a formula in
plain PyTorch. Derivatives of gradients, and forward mode, are derived from the formula.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

Tensors = Sequence[Tensor]


def differentiable(
    name: str,
    forward: Callable[..., Any],
    backward: Callable[..., Sequence[Tensor | None]],
    formula: Callable[..., Any],
    *,
    results: int = 1,
    kept: int | None = None,
) -> Callable[..., Any]:
    """An operation as a function of a backend, tensors and settings: ``operation(backend, tensors, *settings)``.

    Args:
        name: shown in graphs.
        forward: ``forward(backend, *tensors, *settings)`` computes by kernels the results, then tensors that ``backward``
            needs.
        backward: ``backward(backend, wanted, grads, kept, tensors, *settings)`` computes by kernels one gradient for each
            tensor, or None where its bool in ``wanted`` is False. ``grads`` has one gradient for each result.
        formula: ``formula(*tensors, *settings)`` computes the results in plain PyTorch, of the same types.
        results: how many of the tensors that ``forward`` returns are results.
        kept: the first of these tensors that is handed to ``backward``; by default the first one that is no result.

    Every operation can then be differentiated as often as its formula can, in reverse and forward mode, under ``vmap`` and in
    compiled functions. In a compiled function the formula replaces the kernels under ``torch.func`` transforms.
    """
    first_kept = results if kept is None else kept

    def plain(settings: tuple[Any, ...]) -> Callable[..., tuple[Tensor, ...]]:
        return lambda *tensors: _as_tuple(formula(*tensors, *settings))

    class Operation(Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(backend: str, settings: tuple[Any, ...], *tensors: Tensor) -> tuple[Tensor, ...]:
            return _as_tuple(forward(backend, *tensors, *settings))

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
            ctx.backend, ctx.settings = inputs[:2]
            ctx.mark_non_differentiable(*output[results:])
            ctx.save_for_backward(*output[first_kept:], *inputs[2:])
            ctx.first = len(output) - first_kept
            if not torch.compiler.is_compiling():
                ctx.save_for_forward(*output[first_kept:], *inputs[2:])
                ctx.set_materialize_grads(False)  # zeros for tensors that are no results may be as large as a map
                ctx.results = [(each.shape, each.dtype) for each in output[:results]]

        @staticmethod
        def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
            saved, wanted = ctx.saved_tensors, ctx.needs_input_grad[2:]
            held, tensors = saved[: ctx.first], saved[ctx.first :]
            if torch.compiler.is_compiling():
                return None, None, *backward(ctx.backend, wanted, grads[:results], held, tensors, *ctx.settings)
            full = [
                tensors[0].new_zeros(shape, dtype=dtype) if grad is None else grad
                for grad, (shape, dtype) in zip(grads, ctx.results, strict=False)
            ]
            if not torch.is_grad_enabled():
                return None, None, *backward(ctx.backend, wanted, full, held, tensors, *ctx.settings)
            found = iter(Gradient.apply(ctx.backend, ctx.settings, wanted, *full, *held, *tensors))  # type: ignore[no-untyped-call]
            return None, None, *(next(found) if each else None for each in wanted)

        @staticmethod
        def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
            found = _forward_mode(plain(ctx.settings), ctx.saved_tensors[ctx.first :], tangents[2:])
            return *found, *[None] * (first_kept + ctx.first - results)

    class Gradient(Function):
        """The gradients that are wanted as an operation of its own: of one gradient per result, what was kept, and tensors."""

        generate_vmap_rule = True

        @staticmethod
        def forward(backend: str, settings: tuple[Any, ...], wanted: tuple[bool, ...], *given: Tensor) -> tuple[Tensor, ...]:
            grads, held, tensors = given[:results], given[results : -len(wanted)], given[-len(wanted) :]
            gradients = backward(backend, wanted, grads, held, tensors, *settings)
            return tuple(x for x, each in zip(gradients, wanted, strict=True) if each and x is not None)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:  # noqa: ARG004
            _, ctx.settings, ctx.wanted, *given = inputs
            tensors = given[-len(ctx.wanted) :]
            ctx.held = len(given) - results - len(tensors)
            ctx.save_for_backward(*given[:results], *tensors)
            ctx.save_for_forward(*given[:results], *tensors)

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
            _, pull, *_ = torch.func.vjp(gradients_of(ctx), *ctx.saved_tensors)
            found = pull(grads)
            return None, None, None, *found[:results], *[None] * ctx.held, *found[results:]

        @staticmethod
        def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, ...]:
            given = tangents[3:]
            return _forward_mode(gradients_of(ctx), ctx.saved_tensors, (*given[:results], *given[results + ctx.held :]))

    def gradients_of(ctx: Any) -> Callable[..., tuple[Tensor, ...]]:
        """The formula's wanted gradients, as a function of the tensors that ``Gradient`` saves."""

        def gradients(*given: Tensor) -> tuple[Tensor, ...]:
            _, pull, *_ = torch.func.vjp(plain(ctx.settings), *given[results:])
            return tuple(x for x, each in zip(pull(given[:results]), ctx.wanted, strict=True) if each)

        return gradients

    # Dynamo cannot trace a function that defines its own forward mode.
    traced: Any = type(name, (Operation,), {"jvp": Function.jvp})
    eager: Any = type(name, (Operation,), {})
    Gradient.__name__ = f"{name}Gradient"

    def operation(backend: str, tensors: Tensors, *settings: Any) -> Any:
        if not torch.compiler.is_compiling():
            found = eager.apply(backend, settings, *tensors)
        elif torch._C._are_functorch_transforms_active():  # Dynamo would drop the derivative and keep the operator
            return formula(*tensors, *settings)
        elif torch.is_grad_enabled() and any(each.requires_grad for each in tensors):
            found = traced.apply(backend, settings, *tensors)
        else:  # Dynamo would mistake the first of any number of tensors for a context
            found = _as_tuple(forward(backend, *tensors, *settings))
        return found[0] if results == 1 else found[:results]

    return operation


def _as_tuple(result: Any) -> tuple[Tensor, ...]:
    return (result,) if isinstance(result, Tensor) else tuple(result)


def _forward_mode(
    function: Callable[..., tuple[Tensor, ...]], primals: Tensors, tangents: Sequence[Tensor | None]
) -> tuple[Tensor, ...]:
    """The derivative along ``tangents``, by reverse mode twice, because forward mode cannot be nested."""
    directions = tuple(torch.zeros_like(x) if t is None else t for x, t in zip(primals, tangents, strict=True))
    outputs, pull, *_ = torch.func.vjp(function, *primals)
    _, push, *_ = torch.func.vjp(lambda *grads: pull(grads), *(torch.zeros_like(each) for each in outputs))
    pushed: tuple[Tensor, ...] = push(directions)
    return pushed
