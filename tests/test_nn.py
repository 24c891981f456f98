"""Every module is its operation, shows its settings, and can be compiled and copied."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from fastnst import nn, ops


def features(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


MAPS = features(2, 4, 5, 6), features(2, 4, 6, 7, seed=1)
ITEMS = features(7, 6), features(7, 4, seed=1)
IMAGES = features(2, 3, 16, 12), features(2, 3, 16, 12, seed=1)
LEVELS = [features(2, 4, 6, 6), features(2, 6, 3, 3)], [features(2, 4, 6, 6, seed=1), features(2, 6, 3, 3, seed=1)]
TARGET = features(2, 6, 5, 6)
EMBEDDING = nn.LinearEmbeddingLoss(4, 6)

TWINS: list[tuple[torch.nn.Module, tuple[Any, ...], Any, str]] = [
    (nn.AdaIN(), MAPS, ops.adaptive_instance_normalization(*MAPS), "alpha=1.0"),
    (nn.AdaIN(0.25), MAPS, MAPS[0] + 0.25 * (ops.adaptive_instance_normalization(*MAPS) - MAPS[0]), "alpha=0.25"),
    (nn.MeanVarianceNorm(), MAPS[:1], ops.mean_variance_norm(MAPS[0]), ""),
    (nn.WCT(0.5, "wct2"), MAPS, ops.wct(*MAPS, 0.5, "wct2"), "preset='wct2'"),
    (nn.WCT(cutoff=0.1), MAPS, ops.wct(*MAPS, cutoff=0.1), "cutoff=0.1"),
    (nn.ColorTransfer(0.5), IMAGES, ops.color_transfer(*IMAGES, 0.5), "strength=0.5, eps=1e-05"),
    (nn.GramMatrix(), MAPS[:1], ops.gram_matrix(MAPS[0]), ""),
    (nn.StyleStatisticsLoss(), MAPS, ops.style_statistics_loss(*MAPS), ""),
    (nn.RKDDistanceLoss(), ITEMS, ops.rkd_distance_loss(*ITEMS), ""),
    (nn.RKDAngleLoss(), ITEMS, ops.rkd_angle_loss(*ITEMS), ""),
    (nn.RKDLoss(1.0, 2.0), ITEMS, ops.rkd_loss(*ITEMS, 1.0, 2.0), "distance_weight=1.0, angle_weight=2.0"),
    (nn.ContentRelationLoss(4, granularities=["row", "patch"], reduction="sum"), IMAGES,
     ops.content_relation_loss(*IMAGES, 4, granularities=("row", "patch"), reduction="sum"), "granularities=('row', 'patch')"),
    (EMBEDDING, (MAPS[0], TARGET), ops.linear_embedding_loss(MAPS[0], TARGET, *EMBEDDING.embedding.parameters()), "Conv2d(4"),
    (nn.PerceptualLoss(style_weight=3.0), LEVELS, ops.perceptual_loss(*LEVELS, style_weight=3.0), "style_weight=3.0"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "inputs", "wanted", "shown"), TWINS, ids=lambda each: type(each).__name__)
def test_module_is_its_operation(module: torch.nn.Module, inputs: tuple[Any, ...], wanted: Tensor, shown: str) -> None:
    torch.testing.assert_close(module(*inputs), wanted)
    torch.testing.assert_close(copy.deepcopy(module)(*inputs), wanted)
    assert shown in repr(module)


def test_perceptual_loss_runs_its_network_on_images() -> None:
    class Levels(torch.nn.Module):
        def forward(self, image: Tensor) -> list[Tensor]:
            return [image, image[..., ::2]]

    loss = nn.PerceptualLoss(Levels(), feature_weight=(1.0, 2.0))
    wanted = ops.perceptual_loss(Levels()(IMAGES[0]), Levels()(IMAGES[1]), feature_weight=(1.0, 2.0))
    torch.testing.assert_close(loss(*IMAGES), wanted)
    with pytest.raises(TypeError, match="with a network it takes images"):
        nn.PerceptualLoss()(*IMAGES)


def test_linear_embedding_trains_its_weights() -> None:
    module = nn.LinearEmbeddingLoss(4, 6)
    module(MAPS[0], TARGET).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
