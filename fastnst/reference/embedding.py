"""The linear embedding loss of collaborative distillation (Wang et al., CVPR 2020)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from fastnst.reference.inputs import check, check_same, full_precision, widen


def linear_embedding_loss(student_feat: Tensor, teacher_feat: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    r"""Mean squared error of the student's features, lifted to the teacher's channels by a 1x1 convolution.

    .. math:: \mathrm{mean}\,(Q F_S + b - F_T)^2

    Args:
        student_feat: [N, Cs, H, W].
        teacher_feat: [N, Ct, H, W]; gradients reach it as well: detach it where the teacher is fixed.
        weight: Q, [Ct, Cs] or [Ct, Cs, 1, 1].
        bias: b, [Ct], or none.

    Returns:
        A scalar, float32 at least; the mean over all elements of the teacher's features.

    No input is degenerate as long as it is not empty.

    Source: the paper's linear embedding loss; its norm is a mean in the authors' code, where Q has a bias and no
    activation follows it.
    """
    check_embedding(student_feat, teacher_feat, weight, bias)
    students, teachers = student_feat.shape[1], teacher_feat.shape[1]
    offset = weight.new_zeros(teachers) if bias is None else bias
    student, teacher, kernel, offset = widen(student_feat, teacher_feat, weight, offset)
    with full_precision(student):
        lifted = F.conv2d(student, kernel.reshape(teachers, students, 1, 1), offset)
    return F.mse_loss(lifted, teacher)


def check_embedding(student_feat: Tensor, teacher_feat: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Raise ``ValueError`` unless these are arguments of ``linear_embedding_loss``."""
    check("student_feat", student_feat, "NCHW")
    check("teacher_feat", teacher_feat, "NCHW")
    students, teachers = student_feat.shape[1], teacher_feat.shape[1]
    sizes = [(feat.shape[0], *feat.shape[2:]) for feat in (student_feat, teacher_feat)]
    check_same("batch, height and width of student and teacher", *sizes)
    if tuple(weight.shape) not in {(teachers, students), (teachers, students, 1, 1)}:
        raise ValueError(f"weight: expected [{teachers}, {students}] with or without [1, 1] behind, got {list(weight.shape)}")
    if bias is not None:
        check_same("shapes of bias and teacher's channels", tuple(bias.shape), (teachers,))
