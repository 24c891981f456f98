"""A training step of content relationship distillation of an image-to-image network (after)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastnst.ops import content_relation_loss

Network = Callable[[Tensor], Tensor]


def training_step(student: Network, teacher: Network, discriminator: Network, images: Tensor) -> Tensor:
    """Both generators translate images [N, 3, H, W]; the student is trained against the teacher and its discriminator."""
    with torch.no_grad():
        wanted = teacher(images)
    translated = student(images)
    adversarial = (discriminator(translated) - 1).square().mean()
    return 25 * content_relation_loss(translated, wanted, patch_size=32) + adversarial
