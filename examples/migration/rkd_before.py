"""A training step of relational knowledge distillation on embeddings (before)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from published import rkd_loss
from torch import Tensor

Network = Callable[[Tensor], Tensor]


def training_step(student: Network, teacher: Network, images: Tensor) -> Tensor:
    """Both networks give one embedding per image, [N, D]; the student is trained."""
    with torch.no_grad():
        wanted = teacher(images)
    return rkd_loss(student(images), wanted, distance_weight=1.0, angle_weight=2.0)
