"""The public operations at any size, for tests that run them on kernels for GPUs: small, captured, compiled, in streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from fastnst import ops

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class Operation(NamedTuple):
    """An operation of ``fastnst.ops`` and what it is given at a size.

    Attributes:
        function: of tensors alone.
        shapes: of its tensors at size n, 4 or more.
        trained: places of the tensors that have gradients.
        products: 16-bit numbers are multiplied as matrices, which the interpreter does wrongly in bfloat16.
        bound: relative error in float32.
    """

    function: Callable[..., Tensor | tuple[Tensor, ...]]
    shapes: Callable[[int], list[tuple[int, ...]]]
    trained: tuple[int, ...] = (0,)
    products: bool = False
    bound: float = 2e-5


def _content_relation(student: Tensor, teacher: Tensor) -> Tensor:
    return ops.content_relation_loss(student, teacher, patch_size=2)


def _perceptual(feat: Tensor, target: Tensor) -> Tensor:
    return ops.perceptual_loss([feat], [target], 1.0, 3.0)


def _wct(content: Tensor, style: Tensor) -> Tensor:
    return ops.wct(content, style, 0.8, "pytorchwct")


OPERATIONS = {
    "adain": Operation(ops.adaptive_instance_normalization, lambda n: [(2, 3, n, n + 1), (2, 3, n + 2, n)], (0, 1)),
    "statistics": Operation(ops.calc_mean_std, lambda n: [(2, 3, n, n)]),
    "renormalize": Operation(ops.renormalize, lambda n: [(2, 3, n, n), (2, 3, 1, 1), (2, 3, 1, 1)], (0, 1, 2)),
    "normalize": Operation(ops.mean_variance_norm, lambda n: [(1, 5, n, n)]),
    "color": Operation(ops.color_transfer, lambda n: [(2, 3, n, n + 1), (1, 3, n + 2, n)], (0, 1)),
    "gram": Operation(ops.gram_matrix, lambda n: [(2, 5, n, n)], products=True),
    "perceptual": Operation(_perceptual, lambda n: [(2, 5, n, n), (2, 5, n, n)], products=True),
    "embedding": Operation(
        ops.linear_embedding_loss, lambda n: [(2, 5, n, n), (2, 7, n, n), (7, 5), (7,)], (0, 1, 2, 3), products=True
    ),
    "distances": Operation(ops.pdist, lambda n: [(n, 6)]),
    "relation": Operation(ops.rkd_loss, lambda n: [(n, 6), (n, 5)]),
    "content relation": Operation(_content_relation, lambda n: [(2, 3, n, n + 2), (2, 3, n, n + 2)]),
    "wct": Operation(_wct, lambda n: [(2, 3, n, n), (2, 3, n, n + 1)], (0, 1), bound=1e-4),
    "whiten and color": Operation(ops.whiten_and_color, lambda n: [(4, n * n), (4, n * n + 3)], (0, 1), bound=1e-4),
}


def inputs(operation: Operation, size: int, dtype: torch.dtype, device: str, seed: int = 0) -> list[Tensor]:
    """Normal numbers with a mean of 0.5; the same ones at each call."""
    generator = torch.Generator().manual_seed(1000 * seed + size)
    return [(torch.randn(shape, generator=generator) + 0.5).to(device, dtype) for shape in operation.shapes(size)]


def results(operation: Operation, tensors: Sequence[Tensor]) -> list[Tensor]:
    """What the operation gives, and its gradients for numbers from above that every type holds exactly."""
    leaves = [tensor.detach().requires_grad_(place in operation.trained) for place, tensor in enumerate(tensors)]
    given = operation.function(*leaves)
    outputs = [given] if isinstance(given, Tensor) else list(given)
    above = [(torch.arange(each.numel(), device=each.device) % 7 / 4 - 0.5).view(each.shape).to(each.dtype) for each in outputs]
    gradients = torch.autograd.grad(outputs, [leaves[place] for place in operation.trained], above)
    return [*(output.detach() for output in outputs), *gradients]


def exact(operation: Operation, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The same by the reference in float64, on the same numbers."""
    with ops.backend("reference"):
        return results(operation, [tensor.double() for tensor in tensors])


def assert_right(operation: Operation, mine: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
    """Every result within the operation's bound, and within four steps of its own type, in the Frobenius norm."""
    assert len(mine) == len(wanted)
    for place, (each, right) in enumerate(zip(mine, wanted, strict=True)):
        assert each.shape == right.shape
        error = float((each.double() - right).norm() / right.norm())
        bound = max(operation.bound, 4 * torch.finfo(each.dtype).eps if each.dtype != torch.float32 else 0)
        assert error <= bound, f"result {place}: error {error:.3g}, allowed {bound:.3g}"
