"""The linear embedding loss. Tiles of the error are computed, used for the loss and its gradients, and not stored."""

from __future__ import annotations

import torch
from torch import Tensor

from fastnst import _engine
from fastnst.kernels.cpu.arguments import left_factor, threads


def linear_embedding(
    student: Tensor, teacher: Tensor, weight: Tensor, bias: Tensor, gradients: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The loss and, with ``gradients``, its gradients with respect to student, weight and bias; otherwise empty tensors.

    Args:
        student: [N, Cs, H, W], dense.
        teacher: [N, Ct, H, W], dense, in either layout.
        weight: [Ct, Cs], of the maps' type or float32.
        bias: [Ct].
        gradients: whether to compute the gradients.

    Returns:
        The loss, float32, and gradients like their tensors.
    """
    factor, offset = left_factor(-weight, torch.float32), bias.float()
    wanted: tuple[Tensor, Tensor, Tensor] | None = None
    if gradients:
        of_weight, of_bias = (x.new_empty(x.shape, dtype=torch.float32) for x in (weight, bias))
        wanted = torch.empty_like(student), of_weight, of_bias
    loss = _engine.embedding_loss(student, teacher, factor, offset, wanted, threads())
    found = wanted or tuple(x.new_empty(0) for x in (student, weight, bias))
    return student.new_full((), loss, dtype=torch.float32), found[0], found[1].to(weight.dtype), found[2].to(bias.dtype)


def linear_embedding_teacher(grad: Tensor, student: Tensor, teacher: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The gradient with respect to the teacher's features, for the gradient ``grad`` of the loss."""
    factor, offset = left_factor(-weight, torch.float32), bias.float()
    gradient = torch.empty_like(teacher)
    _engine.embedding_teacher(student, teacher, factor, offset, 2 * grad.item() / teacher.numel(), gradient, threads())
    return gradient
