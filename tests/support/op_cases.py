"""Calls of every public operation that takes tensors alone, and how results are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor


def features(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64) * 1.5 + 0.5


@dataclass(frozen=True)
class Case:
    """One call of an operation: tensors first, then settings."""

    name: str
    tensors: tuple[Tensor, ...]
    settings: dict[str, Any]
    # Arguments that gradients reach.
    trained: tuple[int, ...] = (0, 1)

    def __call__(self, module: Any, tensors: Sequence[Tensor]) -> Tensor:
        """The result as one tensor."""
        result = getattr(module, self.name)(*tensors, **self.settings)
        return torch.cat([each.flatten() for each in result]) if isinstance(result, tuple) else result


def case(name: str, *tensors: Tensor, trained: tuple[int, ...] = (0, 1), **settings: Any) -> Any:
    detail = "-".join(str(value) for value in settings.values())
    return pytest.param(Case(name, tensors, settings, trained), id=f"{name}{'-' if detail else ''}{detail}")


STUDENT, TEACHER = features(2, 3, 24, 20, seed=1), features(2, 3, 24, 20, seed=2)
CASES = [
    case("calc_mean_std", features(2, 5, 7, 9), trained=(0,)),
    case("adaptive_instance_normalization", features(2, 5, 7, 9), features(2, 5, 6, 5, seed=1)),
    case("renormalize", features(2, 5, 7, 9), features(1, 5, 1, 1, seed=1), features(2, 5, 1, 1, seed=2), trained=(0, 1, 2)),
    case("mean_variance_norm", features(2, 5, 7, 9), trained=(0,)),
    case("style_statistics_loss", features(2, 5, 7, 9), features(2, 5, 6, 5, seed=1)),
    case("statistics_loss", features(2, 5, 7, 9), features(2, 5, 1, 1, seed=1), features(2, 5, 1, 1, seed=2),
         trained=(0, 1, 2)),
    case("coral", features(3, 7, 9), features(3, 6, 8, seed=1)),
    case("color_transfer", features(2, 3, 7, 9), features(2, 3, 6, 5, seed=1)),
    case("color_transfer", features(2, 3, 7, 9), features(1, 3, 6, 5, seed=1), strength=0.3, eps=0.1),
    case("gram_matrix", features(2, 5, 7, 9), trained=(0,)),
    case("linear_embedding_loss", features(2, 5, 7, 9), features(2, 11, 7, 9, seed=1), features(11, 5, seed=2),
         features(11, seed=3), trained=(0, 1, 2, 3)),
    case("pdist", features(2, 9, 6), trained=(0,)),
    case("pdist", features(9, 6), trained=(0,), squared=True),
    case("rkd_distance_loss", features(9, 6), features(9, 4, seed=1), trained=(0,)),
    case("rkd_angle_loss", features(9, 6), features(9, 4, seed=1), trained=(0,)),
    case("rkd_loss", features(3, 9, 6), features(3, 9, 4, seed=1), trained=(0,)),
    case("content_relation_loss", STUDENT, TEACHER, trained=(0,), patch_size=8),
    case("content_relation_loss", STUDENT, TEACHER, trained=(0,), patch_size=7, granularities=("patch", "row"),
         reduction="none"),
    case("wct_style", features(2, 6, 5, 7), trained=(0,)),
    case("whiten_and_color", features(6, 40), features(6, 33, seed=1)),
    case("wct", features(2, 6, 5, 7), features(2, 6, 6, 6, seed=1)),
    case("wct", features(2, 6, 5, 7), features(2, 6, 6, 6, seed=1), alpha=0.6, preset="wct2"),
    case("wct", features(2, 12, 2, 3), features(2, 12, 3, 3, seed=1), preset="pytorchwct"),  # fewer positions than channels
    case("wct", features(2, 12, 2, 3), features(2, 12, 3, 3, seed=1), preset="collab", alpha=0.5),
]  # fmt: skip


def evaluate(module: Any, each: Case, tensors: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The result and the gradients of a weighted sum of it."""
    leaves = [x.clone().requires_grad_(i in each.trained) for i, x in enumerate(tensors)]
    result = each(module, leaves)
    # The same numbers in every type: gradients of relations and of whitening are small differences of large terms.
    weights = torch.linspace(0.5, 1.5, result.numel()).bfloat16().to(result.dtype).view(result.shape)
    (result * weights).sum().backward()
    return result.detach(), [x.grad for i, x in enumerate(leaves) if i in each.trained]  # type: ignore[misc]


def assert_near(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    assert actual.shape == expected.shape
    scale = expected.abs().max().clamp(min=1e-6)
    assert ((actual.double() - expected).abs().max() / scale).item() <= tolerance
