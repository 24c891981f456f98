"""Training operations on what real data degenerates to: constants, copies, single pixels, and the ends of the types."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

from fastnst import ops, reference
from torture.framework import Outcome, check

KINDS = ("usual", "constant", "zero", "copies", "one rank", "one differs")
SCALES = {torch.float32: (1e-12, 1e-4, 1.0, 1e4, 1e12), torch.bfloat16: (1e-4, 1.0, 1e4), torch.float16: (1e-4, 1.0, 3e4)}
"""3e4 times a normal number leaves float16's range: such inputs are clamped to its ends, whose squares overflow it."""

Draw = Callable[[Any], Any]


def tensor(draw: Draw, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Finite features of a kind and a scale."""
    kind, scale = draw(st.sampled_from(KINDS)), draw(st.sampled_from(SCALES[dtype]))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 2**20))), dtype=torch.float64)
    if kind == "constant":
        x = torch.full(shape, 0.7, dtype=torch.float64)
    elif kind == "zero":
        x = torch.zeros(shape, dtype=torch.float64)
    elif kind == "copies":
        x = x.narrow(0, 0, 1).expand(shape).contiguous() if shape[0] > 1 else x.narrow(1, 0, 1).expand(shape).contiguous()
    elif kind == "one rank":
        x = x.flatten(0, -2).narrow(0, 0, 1) * torch.arange(1.0, x.flatten(0, -2).shape[0] + 1).double()[:, None]
        x = x.reshape(shape)
    elif kind == "one differs":
        x = torch.ones(shape, dtype=torch.float64)
        x.view(-1)[-1] = 3
    most = torch.finfo(dtype).max
    return (x * scale).clamp(-most, most).to(dtype)


def _maps(draw: Draw, dtype: torch.dtype, count: int = 2) -> list[Tensor]:
    images, channels = draw(st.integers(1, 3)), draw(st.integers(1, 9))
    side = st.sampled_from((1, 2, 3, 7))
    return [tensor(draw, (images, channels, draw(side), draw(side)), dtype) for _ in range(count)]


def _pictures(draw: Draw, dtype: torch.dtype) -> list[Tensor]:
    images, side = draw(st.integers(1, 3)), st.sampled_from((1, 2, 3, 7))
    return [tensor(draw, (count, 3, draw(side), draw(side)), dtype) for count in (images, draw(st.sampled_from((1, images))))]


def _same_maps(draw: Draw, dtype: torch.dtype) -> list[Tensor]:
    shape = (draw(st.integers(1, 3)), 3, draw(st.sampled_from((4, 8, 13))), draw(st.sampled_from((4, 5, 9))))
    return [tensor(draw, shape, dtype) for _ in range(2)]


def _embeddings(draw: Draw, dtype: torch.dtype) -> list[Tensor]:
    count = draw(st.sampled_from((1, 2, 3, 7)))
    return [tensor(draw, (count, draw(st.integers(1, 6))), dtype) for _ in range(2)]


def _projected(draw: Draw, dtype: torch.dtype) -> list[Tensor]:
    (student,) = _maps(draw, dtype, 1)
    channels = draw(st.integers(1, 7))
    teacher = tensor(draw, (student.shape[0], channels, *student.shape[2:]), dtype)
    return [student, teacher, tensor(draw, (channels, student.shape[1]), dtype), tensor(draw, (channels, 1), dtype)[:, 0]]


OPERATIONS: dict[str, tuple[Callable[..., list[Tensor]], dict[str, Any]]] = {
    "calc_mean_std": (lambda draw, dtype: _maps(draw, dtype, 1), {}),
    "adaptive_instance_normalization": (_maps, {}),
    "mean_variance_norm": (lambda draw, dtype: _maps(draw, dtype, 1), {}),
    "color_transfer": (_pictures, {}),
    "style_statistics_loss": (_maps, {}),
    "gram_matrix": (lambda draw, dtype: _maps(draw, dtype, 1), {}),
    "linear_embedding_loss": (_projected, {}),
    "pdist": (lambda draw, dtype: _embeddings(draw, dtype)[:1], {}),
    "rkd_distance_loss": (_embeddings, {}),
    "rkd_angle_loss": (_embeddings, {}),
    "rkd_loss": (_embeddings, {}),
    "content_relation_loss": (_same_maps, {"patch_size": 4}),
    "wct": (_maps, {}),
}
"""Name -> what makes its arguments, and settings."""


def evaluated(module: Any, name: str, tensors: list[Tensor]) -> list[Tensor]:
    """The result, then the gradients of its sum; teachers get none."""
    learns = len(tensors) if not name.startswith(("rkd", "content")) else 1
    leaves = [x.clone().requires_grad_(i < learns) for i, x in enumerate(tensors)]
    result = getattr(module, name)(*leaves, **OPERATIONS[name][1])
    result = torch.cat([each.flatten() for each in result]) if isinstance(result, tuple) else result
    result.float().sum().backward() if result.dtype != torch.float64 else result.sum().backward()
    return [result.detach(), *(leaf.grad for leaf in leaves[:learns] if leaf.grad is not None)]


def fault(name: str, tensors: list[Tensor]) -> str | None:
    """What is wrong with an operation's result or gradients: not finite where the formula in float64 fits the type."""
    found = evaluated(ops, name, tensors)
    wanted = evaluated(reference, name, [x.double() for x in tensors])
    shapes = f"{name} {tensors[0].dtype} {[list(x.shape) for x in tensors]} up to {[x.abs().max().item() for x in tensors]}"
    for what, ours, formula in zip(("result", *("gradient",) * len(tensors)), found, wanted, strict=False):
        if not bool(formula.isfinite().all()):
            return f"{shapes}: the formula's {what} is not finite in float64"
        fits = formula.abs() < torch.finfo(ours.dtype).max / 4
        if not bool(ours[fits].isfinite().all()):
            return f"{shapes}: {what} not finite"
    return None


def _examined(outcome: Outcome, name: str, make: Callable[..., list[Tensor]], count: int) -> None:
    """Put ``count`` cases of one operation to the test."""

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def one(data: st.DataObject) -> None:
        dtype = data.draw(st.sampled_from(list(SCALES)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = fault(name, make(data.draw, dtype))
        outcome.expect(found is None, found or "")

    one()


@check("2,000 hypothesis cases an operation: no NaN, gradients finite", quick=12 * 30, full=12 * 2000)
def degenerate_arguments(count: int) -> Outcome:
    """No operation, and no gradient, is NaN or infinite where the formula is neither."""
    outcome = Outcome()
    for name, (make, _) in OPERATIONS.items():
        _examined(outcome, name, make, count // len(OPERATIONS))
    return outcome
