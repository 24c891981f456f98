"""The linear embedding loss: tiles of the error are computed, used for the loss and its gradients, and forgotten."""

from __future__ import annotations

import torch
from torch import Tensor

from fastnst import _engine
from fastnst.kernels.cpu.arguments import feature_map, left_factor, threads


def linear_embedding(
    student: Tensor, teacher: Tensor, weight: Tensor, bias: Tensor, gradients: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The loss and, with ``gradients``, what its gradients are with respect to student, weight and bias; else empty tensors.

    Args:
        student: [N, Cs, H, W], dense.
        teacher: [N, Ct, H, W], dense, in either layout.
        weight: [Ct, Cs], of the maps' type or float32.
        bias: [Ct].
        gradients: whether they are wanted.

    Returns:
        The loss, float32, and gradients like their tensors.
    """
    (factor, pitch), offset = left_factor(-weight, torch.float32), bias.float()
    wanted = (
        (torch.empty_like(student), torch.empty(weight.shape), torch.empty(bias.shape))
        if gradients
        else tuple(x.new_empty(0) for x in (student, weight, bias))
    )
    loss = _engine.embedding_loss(
        feature_map(student),
        feature_map(teacher),
        factor.data_ptr(),
        pitch,
        offset.data_ptr(),
        *(x.data_ptr() for x in wanted),
        threads(),
    )
    return torch.tensor(loss, dtype=torch.float32), wanted[0], wanted[1].to(weight.dtype), wanted[2].to(bias.dtype)


def linear_embedding_teacher(grad: Tensor, student: Tensor, teacher: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The gradient with respect to the teacher's features, for the gradient ``grad`` of the loss."""
    (factor, pitch), offset = left_factor(-weight, torch.float32), bias.float()
    gradient = torch.empty_like(teacher)
    _engine.embedding_teacher(
        feature_map(student),
        feature_map(teacher),
        factor.data_ptr(),
        pitch,
        offset.data_ptr(),
        2 * grad.item() / teacher.numel(),
        gradient.data_ptr(),
        threads(),
    )
    return gradient
