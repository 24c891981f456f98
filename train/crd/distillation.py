"""Losses that compare a student generator with its teacher: content relations and perceptual terms (CRD), or SSIM, total
variation and channel means (OMGD, Ren et al., ICCV 2021). The absolute error of the teacher's pixels is our own addition. A
term of weight 0 is not computed.

Pictures are [N, 3, H, W], RGB -1..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst import ops
from fastnst.metrics.pictures import similarity
from fastnst.networks.perceptual import PerceptualNetwork

FEATURE_LEVEL = 1
"""relu2_2, the only level whose features are compared; Gram matrices are compared at all levels."""


@dataclass(frozen=True)
class StudentWeights:
    """The weights of the terms.

    Attributes:
        relation: relations within the ``content``, between ``instance``s of a batch, or ``none``.
        relation_weight: alpha of the paper.
        angle: beta of the paper, the weight of angles in the relation term; distances have weight 1.
        perceptual_weight: gamma of the paper, the weight of style and feature term together.
    """

    relation: str
    relation_weight: float
    granularities: tuple[str, ...]
    patch: int
    angle: float
    perceptual_weight: float
    feature_weight: float
    style_weight: float
    copy_weight: float
    ssim_weight: float
    variation_weight: float
    channel_weight: float = 0.0


def relation_loss(weights: StudentWeights, student: Tensor, teacher: Tensor) -> Tensor:
    """The loss of relations between parts of each picture, mean over pictures, or between the pictures of the batch (RKD)."""
    if weights.relation == "instance":
        return ops.rkd_loss(student.flatten(1), teacher.flatten(1), 1.0, weights.angle)
    return ops.content_relation_loss(student, teacher, weights.patch, 1.0, weights.angle, weights.granularities)


def published_pair_relation_loss(weights: StudentWeights, student: Tensor, teacher: Tensor) -> Tensor:
    """The relation loss of CRD's published code for pix2pix: summed over the batch, and with a mistake. Instead of the patches
    of every picture it compares the three colour planes of the first picture's first patches, as many as there are pictures."""
    parts = [each for each in weights.granularities if each != "patch"]
    terms = []
    if parts:
        terms.append(ops.content_relation_loss(student, teacher, weights.patch, 1.0, weights.angle, parts, reduction="sum"))
    if "patch" in weights.granularities:
        side = weights.patch
        mine, theirs = (
            F.unfold(x[:1].float(), side, stride=side)[0].T[: len(x)].reshape(-1, 3, side * side) for x in (student, teacher)
        )
        terms.append(ops.rkd_loss(mine, theirs, 1.0, weights.angle).sum())
    return torch.stack(terms).sum()


def variation(image: Tensor) -> Tensor:
    """Sum of the absolute differences of neighbouring pixels, mean over the pictures."""
    return ((image[..., 1:] - image[..., :-1]).abs().sum() + (image[..., 1:, :] - image[..., :-1, :]).abs().sum()) / len(image)


class Adaptors(nn.ModuleList):
    """Map the channels of a student's maps to those of its teacher's by 1x1 convolution, batch norm and ReLU."""

    def __init__(self, student: Sequence[int], teacher: Sequence[int]) -> None:
        pairs = zip(student, teacher, strict=True)
        super().__init__(nn.Sequential(nn.Conv2d(a, b, 1), nn.BatchNorm2d(b), nn.ReLU()) for a, b in pairs)

    def channel_loss(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Squared error of the channels' spatial means: mean over channels and pictures, sum over the maps."""
        maps = zip(self, student, teacher, strict=True)
        means = [(adapt(mine).float().mean((2, 3)), theirs.float().mean((2, 3))) for adapt, mine, theirs in maps]
        return torch.stack([F.mse_loss(a, b) for a, b in means]).sum()


class StudentLoss:
    """All terms that compare a student's picture with its teacher's.

    Args:
        weights: the weights of the terms.
        network: the network of the perceptual terms; may be None without these.
        adaptors: those of the channel term; may be None without it.
        as_published_pairs: use the relations and the doubled perceptual weight of CRD's published code for pix2pix.
    """

    def __init__(
        self, weights: StudentWeights, network: PerceptualNetwork | None, adaptors: Adaptors | None, as_published_pairs: bool
    ) -> None:
        self.weights, self.network, self.adaptors = weights, network, adaptors
        self.as_published_pairs = as_published_pairs

    def __call__(self, student: tuple[Tensor, Sequence[Tensor]], teacher: tuple[Tensor, Sequence[Tensor]]) -> dict[str, Tensor]:
        """The weighted terms of both generators' pictures and maps; the teacher gets no gradient."""
        weights, terms = self.weights, {}
        (mine, taps), (theirs, wanted_taps) = student, teacher
        mine, theirs = mine.float(), theirs.detach().float()
        if weights.relation != "none":
            relation = published_pair_relation_loss if self.as_published_pairs else relation_loss
            terms["relation"] = weights.relation_weight * relation(weights, mine, theirs)
        if self.network is not None:
            terms |= self._perceptual(self.network, mine, theirs)
        if weights.copy_weight:
            terms["copy"] = ops.perceptual_loss([mine], [theirs], weights.copy_weight, 0.0, "l1")
        if weights.ssim_weight:
            terms["ssim"] = weights.ssim_weight * (1 - similarity((mine + 1) / 2, (theirs + 1) / 2))
        if weights.variation_weight:
            terms["variation"] = weights.variation_weight * variation(mine)
        if self.adaptors is not None:
            terms["channel"] = weights.channel_weight * self.adaptors.channel_loss(taps, [x.detach() for x in wanted_taps])
        return terms

    def _perceptual(self, network: PerceptualNetwork, mine: Tensor, theirs: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            wanted = network(theirs)
        seen, weights = network(mine), self.weights
        scale = weights.perceptual_weight * (2 if self.as_published_pairs else 1)
        terms = {}
        if weights.style_weight:
            terms["style"] = ops.perceptual_loss(seen, wanted, 0.0, scale * weights.style_weight, "l1")
        if weights.feature_weight:
            level = [seen[FEATURE_LEVEL]], [wanted[FEATURE_LEVEL]]
            terms["feature"] = ops.perceptual_loss(*level, scale * weights.feature_weight, 0.0, "l1")
        return terms
