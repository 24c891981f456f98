"""The operations as published training code writes them, for comparison: same formulas, same steps, same arguments.

AdaIN after Huang and Belongie (2017) in its usual PyTorch form, RKD after Park et al. (2019), content relations after CRD with
the items of each image laid out as rows of a matrix.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def calc_mean_std(feat: Tensor, eps: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Channel statistics [N, C, 1, 1]."""
    batch, channels = feat.shape[:2]
    rows = feat.reshape(batch, channels, -1)
    std = (rows.var(dim=2) + eps).sqrt()
    return rows.mean(dim=2).reshape(batch, channels, 1, 1), std.reshape(batch, channels, 1, 1)


def adaptive_instance_normalization(content_feat: Tensor, style_feat: Tensor) -> Tensor:
    """AdaIN of [N, C, H, W]."""
    size = content_feat.shape
    style_mean, style_std = calc_mean_std(style_feat)
    mean, std = calc_mean_std(content_feat)
    normalized = (content_feat - mean.expand(size)) / std.expand(size)
    return normalized * style_std.expand(size) + style_mean.expand(size)


def pdist(e: Tensor, squared: bool = False, eps: float = 1e-12) -> Tensor:
    """Distances of items [N, D] by the expanded square."""
    squares = e.pow(2).sum(dim=1)
    distances = (squares[:, None] + squares[None, :] - 2 * (e @ e.t())).clamp(min=eps)
    if not squared:
        distances = distances.sqrt()
    distances = distances.clone()
    distances[range(len(e)), range(len(e))] = 0
    return distances


def rkd_distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """RKD-D of items [N, D]."""
    with torch.no_grad():
        wanted = pdist(teacher)
        wanted = wanted / wanted[wanted > 0].mean()
    distances = pdist(student)
    return F.smooth_l1_loss(distances / distances[distances > 0].mean(), wanted)


def rkd_angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """RKD-A of items [N, D]."""

    def cosines(items: Tensor) -> Tensor:
        units = F.normalize(items[None] - items[:, None], p=2, dim=2)
        return torch.bmm(units, units.transpose(1, 2)).reshape(-1)

    with torch.no_grad():
        wanted = cosines(teacher)
    return F.smooth_l1_loss(cosines(student), wanted)


def rkd_loss(student: Tensor, teacher: Tensor, distance_weight: float = 25.0, angle_weight: float = 50.0) -> Tensor:
    """Both, weighed."""
    student, teacher = student.reshape(len(student), -1), teacher.reshape(len(teacher), -1)
    return distance_weight * rkd_distance_loss(student, teacher) + angle_weight * rkd_angle_loss(student, teacher)


def content_relation_loss(
    student: Tensor, teacher: Tensor, patch_size: int = 32, distance_weight: float = 1.0, angle_weight: float = 2.0
) -> Tensor:
    """Rows, columns and patches of images [N, C, H, W], image by image; mean over the images."""

    def items(image: Tensor) -> list[Tensor]:
        rows = image.permute(1, 0, 2).reshape(image.shape[1], -1)
        columns = image.permute(2, 0, 1).reshape(image.shape[2], -1)
        patches = F.unfold(image[None], patch_size, stride=patch_size)[0].t()
        return [rows, columns, patches]

    losses = [
        rkd_loss(own, wanted, distance_weight, angle_weight)
        for mine, theirs in zip(student, teacher, strict=True)
        for own, wanted in zip(items(mine), items(theirs.detach()), strict=True)
    ]
    return torch.stack(losses).sum() / len(student)
