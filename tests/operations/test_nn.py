"""Every module is its operation, shows its settings, and can be compiled and copied."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from fastnst import nn, ops, reference


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


CRD_WEIGHTS = {"w_d": 1.0, "w_a": 2.0}


def test_published_spellings_of_rkd_are_taken() -> None:
    wanted = ops.rkd_loss(*ITEMS, 1.0, 2.0)
    for loss in (nn.RKDLoss(**CRD_WEIGHTS), nn.RKDLoss(1.0, 2.0), nn.RKDLoss(1.0, w_a=2.0)):
        assert torch.equal(loss(*ITEMS), wanted)
        assert (loss.w_d, loss.w_a) == (1.0, 2.0)
    assert (nn.RKDLoss().w_d, nn.RKDLoss().w_a) == (25.0, 50.0)  # RepDistiller's
    assert torch.equal(nn.RkdDistance()(*ITEMS), ops.rkd_distance_loss(*ITEMS))
    assert torch.equal(nn.RKdAngle()(*ITEMS), ops.rkd_angle_loss(*ITEMS))
    with pytest.raises(TypeError, match="distance_weight and w_d are the same weight"):
        nn.RKDLoss(1.0, w_d=1.0)


@pytest.mark.parametrize("shape", [(7,), (7, 6), (7, 2, 3), (7, 2, 3, 1), (7, 1, 2, 1, 3)])
def test_the_published_class_flattens_every_rank(shape: tuple[int, ...]) -> None:
    student, teacher = features(*shape), features(7, 4, 2, seed=1)
    loss = nn.RKDLoss(**CRD_WEIGHTS)(student, teacher)
    assert loss.shape == ()
    torch.testing.assert_close(loss, ops.rkd_loss(student.view(7, -1), teacher.view(7, -1), 1.0, 2.0))


def test_three_axes_are_sets_for_the_function() -> None:
    student, teacher = features(3, 7, 6), features(3, 7, 4, seed=1)
    losses = ops.rkd_loss(student, teacher)
    assert losses.shape == (3,)
    torch.testing.assert_close(losses[1], ops.rkd_loss(student[1], teacher[1]))


@pytest.mark.parametrize("module", [ops, reference])
def test_the_positional_order_of_mdistiller_is_refused(module: Any) -> None:
    with pytest.raises(TypeError, match="expected two weights after student and teacher, got a bool"):
        module.rkd_loss(*ITEMS, False, 1e-12)


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
