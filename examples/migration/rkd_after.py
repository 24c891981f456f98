"""A training step of relational knowledge distillation on embeddings (after).

The weights are written out, because the defaults of publications differ: RepDistiller has 25 and 50, and so has fastnst; CRD,
whose class has the same name, has 1 and 2. CRD's ``RKDLoss()`` becomes ``fastnst.nn.RKDLoss(w_d=1, w_a=2)``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastnst.ops import rkd_loss

Network = Callable[[Tensor], Tensor]


def training_step(student: Network, teacher: Network, images: Tensor) -> Tensor:
    """Both networks give one embedding per image, [N, D]; the student is trained."""
    with torch.no_grad():
        wanted = teacher(images)
    return rkd_loss(student(images), wanted, distance_weight=1.0, angle_weight=2.0)
