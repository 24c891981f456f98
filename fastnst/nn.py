"""The operations of ``fastnst.ops`` as modules."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fastnst import ops
from fastnst.reference.color import COLOR_EPS


class _Configured(nn.Module):
    """A module whose settings are its attributes, and which shows them."""

    _settings: tuple[str, ...] = ()

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self._settings)


class AdaIN(_Configured):
    """``adaptive_instance_normalization``, blended with the content.

    Args:
        alpha: 0 is the content, 1 the full transform.
    """

    _settings = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, content_feat: Tensor, style_feat: Tensor) -> Tensor:
        """[N, C, H, W] and [N, C, h, w] to [N, C, H, W]."""
        result = ops.adaptive_instance_normalization(content_feat, style_feat)
        return result if self.alpha == 1 else torch.lerp(content_feat.to(result.dtype), result, self.alpha)


class MeanVarianceNorm(nn.Module):
    """``mean_variance_norm``."""

    def forward(self, feat: Tensor) -> Tensor:
        """[N, C, H, W] to the same."""
        return ops.mean_variance_norm(feat)


class WCT(_Configured):
    """``wct``; see there for the arguments."""

    _settings = ("alpha", "preset", "content_ridge", "style_ridge", "cutoff")

    def __init__(
        self,
        alpha: float = 1.0,
        preset: str = "paper",
        content_ridge: float | None = None,
        style_ridge: float | None = None,
        cutoff: float | None = None,
    ) -> None:
        super().__init__()
        self.alpha, self.preset = alpha, preset
        self.content_ridge, self.style_ridge, self.cutoff = content_ridge, style_ridge, cutoff

    def forward(self, content_feat: Tensor, style_feat: Tensor | ops.StyleRoot) -> Tensor:
        """[N, C, H, W] and [N, C, h, w], or what ``wct_style`` has made of that, to [N, C, H, W]."""
        return ops.wct(content_feat, style_feat, self.alpha, self.preset, self.content_ridge, self.style_ridge, self.cutoff)


class ColorTransfer(_Configured):
    """``color_transfer``; see there for the arguments."""

    _settings = ("strength", "eps")

    def __init__(self, strength: float = 1.0, eps: float = COLOR_EPS) -> None:
        super().__init__()
        self.strength, self.eps = strength, eps

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] and [N or 1, 3, h, w] to [N, 3, H, W]."""
        return ops.color_transfer(source, target, self.strength, self.eps)


class GramMatrix(nn.Module):
    """``gram_matrix``."""

    def forward(self, feat: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C, C]."""
        return ops.gram_matrix(feat)


class StyleStatisticsLoss(nn.Module):
    """``style_statistics_loss``."""

    def forward(self, feat: Tensor, target_feat: Tensor) -> Tensor:
        """[N, C, H, W] and [N, C, h, w] to a scalar."""
        return ops.style_statistics_loss(feat, target_feat)


class RKDDistanceLoss(nn.Module):
    """``rkd_distance_loss``."""

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Items [N, D] and [N, E] to a scalar; batches of sets [B, N, D] to [B]."""
        return ops.rkd_distance_loss(student, teacher)


class RKDAngleLoss(nn.Module):
    """``rkd_angle_loss``."""

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Items [N, D] and [N, E] to a scalar; batches of sets [B, N, D] to [B]."""
        return ops.rkd_angle_loss(student, teacher)


RkdDistance = RKDDistanceLoss
"""The name in the code of the RKD paper's authors."""

RKdAngle = RKDAngleLoss
"""The name in the code of the RKD paper's authors."""


class RKDLoss(_Configured):
    """``rkd_loss`` as the published classes of this name: whatever the rank, the first axis counts the items.

    Two publications have this class, with other defaults. Those here are RepDistiller's, 25 and 50. In CRD (content
    relationship distillation) they are 1 and 2: coming from there, write ``RKDLoss(w_d=1, w_a=2)``.

    Args:
        distance_weight: of the distances; ``w_d`` is its published name.
        angle_weight: of the angles; ``w_a`` is its published name.

    Raises:
        TypeError: one weight under both names.
    """

    _settings = ("distance_weight", "angle_weight")

    def __init__(
        self,
        distance_weight: float | None = None,
        angle_weight: float | None = None,
        *,
        w_d: float | None = None,
        w_a: float | None = None,
    ) -> None:
        super().__init__()
        self.distance_weight = _one_of("distance_weight", distance_weight, "w_d", w_d, 25.0)
        self.angle_weight = _one_of("angle_weight", angle_weight, "w_a", w_a, 50.0)

    @property
    def w_d(self) -> float:
        """``distance_weight``."""
        return self.distance_weight

    @property
    def w_a(self) -> float:
        """``angle_weight``."""
        return self.angle_weight

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Items [N, ...] and [N, ...] to a scalar. For sets [B, N, D], one loss each, see ``fastnst.ops.rkd_loss``."""
        items, wanted = (each.flatten(1) if each.dim() == 3 else each for each in (student, teacher))
        return ops.rkd_loss(items, wanted, self.distance_weight, self.angle_weight)


def _one_of(name: str, value: float | None, published: str, other: float | None, default: float) -> float:
    """What one of two names was given."""
    if value is not None and other is not None:
        raise TypeError(f"RKDLoss: {name} and {published} are the same weight, give one of them")
    given = other if value is None else value
    return default if given is None else given


class ContentRelationLoss(_Configured):
    """``content_relation_loss``; see there for the arguments."""

    _settings = ("patch_size", "distance_weight", "angle_weight", "granularities", "reduction")

    def __init__(
        self,
        patch_size: int = 32,
        distance_weight: float = 1.0,
        angle_weight: float = 2.0,
        granularities: Sequence[str] = ("row", "column", "patch"),
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.patch_size, self.distance_weight, self.angle_weight = patch_size, distance_weight, angle_weight
        self.granularities, self.reduction = tuple(granularities), reduction

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Images [N, C, H, W] and [N, C', H, W] to a scalar, or [N] with reduction ``none``."""
        return ops.content_relation_loss(
            student,
            teacher,
            self.patch_size,
            self.distance_weight,
            self.angle_weight,
            self.granularities,
            self.reduction,
        )


class LinearEmbeddingLoss(nn.Module):
    """``linear_embedding_loss`` with the embedding as its parameters.

    Args:
        student_channels, teacher_channels: of the two feature maps.
        bias: as in the authors' code.
    """

    def __init__(self, student_channels: int, teacher_channels: int, bias: bool = True) -> None:
        super().__init__()
        self.embedding = nn.Conv2d(student_channels, teacher_channels, 1, bias=bias)

    def forward(self, student_feat: Tensor, teacher_feat: Tensor) -> Tensor:
        """[N, Cs, H, W] and [N, Ct, H, W] to a scalar."""
        return ops.linear_embedding_loss(student_feat, teacher_feat, self.embedding.weight, self.embedding.bias)


class PerceptualLoss(_Configured):
    """``perceptual_loss`` between the levels of two images, or between two images through a network.

    Args:
        network: gives the levels of an image, [N, 3, H, W] to a sequence of maps; without it the levels are passed in.
        feature_weight, style_weight, error: see ``perceptual_loss``.
    """

    _settings = ("feature_weight", "style_weight", "error")

    def __init__(
        self,
        network: nn.Module | None = None,
        feature_weight: float | Sequence[float] = 1.0,
        style_weight: float | Sequence[float] = 0.0,
        error: str = "l2",
    ) -> None:
        super().__init__()
        self.network = network
        self.feature_weight, self.style_weight, self.error = feature_weight, style_weight, error

    def forward(self, output: Tensor | Sequence[Tensor], target: Tensor | Sequence[Tensor]) -> Tensor:
        """Two images, or the levels of two images, to a scalar."""
        if self.network is not None:
            output, target = self.network(output), self.network(target)
        if isinstance(output, Tensor) or isinstance(target, Tensor):
            raise TypeError("PerceptualLoss: expected the levels of two images, got a tensor; with a network it takes images")
        return ops.perceptual_loss(output, target, self.feature_weight, self.style_weight, self.error)
