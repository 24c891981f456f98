"""Relation losses: pairwise distances, RKD and content relations. Formulas: ``fastnst.reference.relation``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastnst import dispatch, reference
from fastnst.ops.differentiable import differentiable
from fastnst.ops.documented import documented
from fastnst.ops.operators import define
from fastnst.reference.inputs import check, check_same, result_dtype
from fastnst.reference.relation import (
    GRANULARITIES,
    SMALLEST_SQUARE,
    check_choices,
    check_patch,
    check_weights,
    items_or_sets,
    weighed_relations,
)


def _items(height: int, width: int, patch_size: int, mask: int) -> list[int]:
    """The numbers of rows, columns and patches that are compared, without those that ``mask`` leaves out."""
    counts = (height, width, (height // patch_size) * (width // patch_size))
    return [count for bit, count in enumerate(counts) if mask >> bit & 1]


def _fake_relation(student: Tensor, _teacher: Tensor, _distance: float, _angle: float) -> tuple[Tensor, Tensor]:
    batch, count = student.shape[:2]
    return (student.new_empty(batch, dtype=torch.float32), student.new_empty((batch, count, count), dtype=torch.float32))


def _fake_content_relation(
    student: Tensor, _teacher: Tensor, patch_size: int, _distance: float, _angle: float, mask: int
) -> tuple[Tensor, Tensor]:
    batch, _, height, width = student.shape
    size = sum(count * count for count in _items(height, width, patch_size, mask))
    return (student.new_empty(batch, dtype=torch.float32), student.new_empty((batch, size), dtype=torch.float32))


_pairwise = define(
    "relation",
    "pairwise(Tensor items, bool squared, float eps) -> Tensor",
    lambda items, _squared, _eps: items.new_empty((*items.shape[:2], items.shape[1])),
)
_pairwise_backward = define(
    "relation",
    "pairwise_backward(Tensor grad, Tensor items, bool squared, float eps) -> Tensor",
    lambda _grad, items, _squared, _eps: torch.empty_like(items),
)
_relation = define(
    "relation",
    "relation(Tensor student, Tensor teacher, float distance_weight, float angle_weight) -> (Tensor, Tensor)",
    _fake_relation,
)
_relation_backward = define(
    "relation",
    "relation_backward(Tensor grad, Tensor weights, Tensor student) -> Tensor",
    lambda _grad, _weights, student: torch.empty_like(student),
)
_content_relation = define(
    "relation",
    "content_relation(Tensor student, Tensor teacher, int patch_size, float distance_weight, float angle_weight, "
    "int granularities) -> (Tensor, Tensor)",
    _fake_content_relation,
)
_content_relation_backward = define(
    "relation",
    "content_relation_backward(Tensor grad, Tensor weights, Tensor student, int patch_size, int granularities) -> Tensor",
    lambda _grad, _weights, student, _patch_size, _granularities: torch.empty_like(student),
)


_pairwise_of = differentiable(
    "Pairwise",
    _pairwise,
    lambda backend, _wanted, grads, _kept, tensors, squared, eps: (
        _pairwise_backward(backend, *grads, *tensors, squared, eps),
    ),
    reference.pdist,
)
_relation_of = differentiable(
    "Relation",
    _relation,
    lambda backend, _wanted, grads, kept, tensors, *_: (_relation_backward(backend, *grads, *kept, tensors[0]), None),
    weighed_relations,
)
_content_relation_of = differentiable(
    "ContentRelation",
    _content_relation,
    lambda backend, _wanted, grads, kept, tensors, patch_size, _distance, _angle, mask: (
        _content_relation_backward(backend, *grads, *kept, tensors[0], patch_size, mask),
        None,
    ),
    lambda student, teacher, patch_size, distance, angle, mask: reference.content_relation_loss(
        student, teacher, patch_size, distance, angle, [kind for i, kind in enumerate(GRANULARITIES) if mask >> i & 1], "none"
    ),
)


@documented(reference.pdist)
def pdist(e: Tensor, squared: bool = False, eps: float = SMALLEST_SQUARE) -> Tensor:
    check("e", e, "BND" if e.dim() == 3 else "ND", empty_batch=e.dim() == 3)
    if not eps > 0:
        raise ValueError(f"eps: expected above 0, got {eps}")
    backend = dispatch.choose("relation", e)
    if backend == "reference":
        return reference.pdist(e, squared, eps)
    distances: Tensor = _pairwise_of(backend, [e if e.dim() == 3 else e[None]], squared, eps)
    return distances if e.dim() == 3 else distances[0]


def _relation_loss(student: Tensor, teacher: Tensor, distance: float, angle: float) -> Tensor:
    """The weighted sum of both RKD losses, in one pass."""
    for name, items in (("student", student), ("teacher", teacher)):
        check(name, items, "BND" if items.dim() == 3 else "ND", empty_batch=items.dim() == 3)
    check_same("item counts of student and teacher", tuple(student.shape[:-1]), tuple(teacher.shape[:-1]))
    dtype = result_dtype(student, teacher)
    student, teacher = student.to(dtype), teacher.detach().to(dtype)
    backend = dispatch.choose("relation", student, teacher)
    if backend == "reference":
        return weighed_relations(student, teacher, distance, angle)
    if student.dim() == 3:
        return _relation_of(backend, [student, teacher], distance, angle)  # type: ignore[no-any-return]
    return _relation_of(backend, [student[None], teacher[None]], distance, angle)[0]  # type: ignore[no-any-return]


@documented(reference.rkd_distance_loss)
def rkd_distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    return _relation_loss(student, teacher, 1.0, 0.0)


@documented(reference.rkd_angle_loss)
def rkd_angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    return _relation_loss(student, teacher, 0.0, 1.0)


@documented(reference.rkd_loss)
def rkd_loss(student: Tensor, teacher: Tensor, distance_weight: float = 25.0, angle_weight: float = 50.0) -> Tensor:
    check_weights(distance_weight, angle_weight)
    return _relation_loss(items_or_sets(student), items_or_sets(teacher), distance_weight, angle_weight)


@documented(reference.content_relation_loss)
def content_relation_loss(
    student: Tensor,
    teacher: Tensor,
    patch_size: int = 32,
    distance_weight: float = 1.0,
    angle_weight: float = 2.0,
    granularities: Sequence[str] = GRANULARITIES,
    reduction: str = "mean",
) -> Tensor:
    check("student", student, "NCHW")
    check("teacher", teacher, "NCHW")
    sizes = (student.shape[0], *student.shape[2:]), (teacher.shape[0], *teacher.shape[2:])
    check_same("batch, height and width of student and teacher", *sizes)
    check_choices(granularities, reduction)
    if "patch" in granularities:
        check_patch(patch_size, *student.shape[2:])
    dtype = result_dtype(student, teacher)
    student, teacher = student.to(dtype), teacher.detach().to(dtype)
    backend = dispatch.choose("relation", student, teacher)
    weights = distance_weight, angle_weight
    if backend == "reference":
        return reference.content_relation_loss(student, teacher, patch_size, *weights, granularities, reduction)
    mask = sum(1 << GRANULARITIES.index(kind) for kind in granularities)
    losses: Tensor = _content_relation_of(backend, [student, teacher], patch_size, *weights, mask)
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()
