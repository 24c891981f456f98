"""The linear embedding loss of collaborative distillation. Formula: ``fastnst.reference.embedding``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastnst import dispatch, reference
from fastnst.ops.differentiable import differentiable
from fastnst.ops.documented import documented
from fastnst.ops.operators import define
from fastnst.reference.inputs import check, check_same, result_dtype


def _fake(student: Tensor, _teacher: Tensor, weight: Tensor, bias: Tensor, gradients: bool) -> tuple[Tensor, ...]:
    inputs = (student, weight, bias)
    return student.new_empty((), dtype=torch.float32), *(torch.empty_like(x) if gradients else x.new_empty(0) for x in inputs)


_linear_embedding = define(
    "embedding",
    "linear_embedding(Tensor student, Tensor teacher, Tensor weight, Tensor bias, bool gradients) "
    "-> (Tensor, Tensor, Tensor, Tensor)",
    _fake,
    by_image=False,
)
_linear_embedding_teacher = define(
    "embedding",
    "linear_embedding_teacher(Tensor grad, Tensor student, Tensor teacher, Tensor weight, Tensor bias) -> Tensor",
    lambda _grad, _student, teacher, *_: torch.empty_like(teacher),
    by_image=False,
)


def _gradients(
    backend: str,
    wanted: Sequence[bool],
    grads: Sequence[Tensor],
    kept: Sequence[Tensor],
    tensors: Sequence[Tensor],
    _early: bool,
) -> tuple[Tensor | None, ...]:
    """The loss is a scalar, so its gradients were computed with it, tile by tile, and only have to be scaled here."""
    (grad,), (of_student, of_weight, of_bias) = grads, kept
    if (wanted[0] or wanted[2] or wanted[3]) and of_student.numel() == 0:  # they were not computed then
        _, of_student, of_weight, of_bias = _linear_embedding(backend, *tensors, True)
    of_teacher = _linear_embedding_teacher(backend, grad, *tensors) if wanted[1] else None
    scaled = of_student * grad.to(of_student.dtype), of_teacher, *(x * grad.to(x.dtype) for x in (of_weight, of_bias))
    return tuple(x if each else None for x, each in zip(scaled, wanted, strict=True))


_linear_embedding_of = differentiable(
    "LinearEmbedding",
    _linear_embedding,
    _gradients,
    lambda student, teacher, weight, bias, _early: reference.linear_embedding_loss(student, teacher, weight, bias),
)


@documented(reference.linear_embedding_loss)
def linear_embedding_loss(student_feat: Tensor, teacher_feat: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    check("student_feat", student_feat, "NCHW")
    check("teacher_feat", teacher_feat, "NCHW")
    students, teachers = student_feat.shape[1], teacher_feat.shape[1]
    sizes = [(feat.shape[0], *feat.shape[2:]) for feat in (student_feat, teacher_feat)]
    check_same("batch, height and width of student and teacher", *sizes)
    if tuple(weight.shape) not in {(teachers, students), (teachers, students, 1, 1)}:
        raise ValueError(f"weight: expected [{teachers}, {students}] with or without [1, 1] behind, got {list(weight.shape)}")
    if bias is not None:
        check_same("shapes of bias and teacher's channels", tuple(bias.shape), (teachers,))
    offset = weight.new_zeros(teachers) if bias is None else bias
    dtype = result_dtype(student_feat, teacher_feat, weight, offset)
    # Maps may be bfloat16 with float32 weights, as under autocast. But not float16: the gradients of a mean over millions of
    # numbers underflow in it before a loss scale multiplies them.
    maps = result_dtype(student_feat, teacher_feat)
    if dtype == torch.float64 or (maps == torch.float16 and (maps != dtype or torch.is_grad_enabled())):
        maps = dtype = torch.promote_types(dtype, torch.float32)
    tensors = [x.to(maps) for x in (student_feat, teacher_feat)]
    tensors += [x.to(dtype) for x in (weight.reshape(teachers, students), offset)]
    backend = dispatch.choose("embedding", *tensors)
    if backend == "reference":
        return reference.linear_embedding_loss(*tensors)
    early = torch.is_grad_enabled() and any(tensors[i].requires_grad for i in (0, 2, 3))
    return _linear_embedding_of(backend, tensors, early)  # type: ignore[no-any-return]
