"""The linear embedding loss of collaborative distillation. Formula: ``fastnst.reference.embedding``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastnst import dispatch, reference
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
)
_linear_embedding_teacher = define(
    "embedding",
    "linear_embedding_teacher(Tensor grad, Tensor student, Tensor teacher, Tensor weight, Tensor bias) -> Tensor",
    lambda _grad, _student, teacher, *_: torch.empty_like(teacher),
)


class _LinearEmbedding(torch.autograd.Function):
    """The loss is a scalar: its gradients are computed with it, while the error of each tile is at hand, and scaled later."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, weight: Tensor, bias: Tensor, backend: str) -> Tensor:
        wanted, teacher_wanted, *rest = ctx.needs_input_grad[:4]
        loss, *gradients = _linear_embedding(backend, student, teacher, weight, bias, wanted or any(rest))
        ctx.save_for_backward(*gradients, *((student, teacher, weight, bias) if teacher_wanted else ()))
        ctx.backend = backend
        return loss  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        student, weight, bias, *inputs = ctx.saved_tensors
        teacher = _linear_embedding_teacher(ctx.backend, grad, *inputs) if ctx.needs_input_grad[1] else None
        gradients = student * grad.to(student.dtype), teacher, weight * grad.to(weight.dtype), bias * grad.to(bias.dtype), None
        return tuple(x if wanted else None for x, wanted in zip(gradients, ctx.needs_input_grad, strict=True))


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
    # Maps may be bfloat16 with float32 weights, as under autocast. Not float16: gradients of a mean over millions, before a
    # loss scale multiplies them, vanish in it.
    maps = result_dtype(student_feat, teacher_feat)
    if dtype == torch.float64 or (maps == torch.float16 and (maps != dtype or torch.is_grad_enabled())):
        maps = dtype = torch.promote_types(dtype, torch.float32)
    tensors = [x.to(maps) for x in (student_feat, teacher_feat)]
    tensors += [x.to(dtype) for x in (weight.reshape(teachers, students), offset)]
    backend = dispatch.choose("embedding", *tensors)
    if backend == "reference":
        return reference.linear_embedding_loss(*tensors)
    return _LinearEmbedding.apply(*tensors, backend)  # type: ignore[no-untyped-call, no-any-return]
