"""What a step of recipe ``adain`` computes, and what it leaves out because nothing depends on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from recipe_runs import write_data
from torch import Tensor

from fastnst import ops
from fastnst.networks.adain import WIDTHS
from fastnst.networks.vgg import Encoder
from fastnst.train.adain import AdainRecipe, AdainSettings
from fastnst.train.pool import Statistics
from fastnst.train.process_group import ProcessGroup
from fastnst.train.settings import RunOptions
from fastnst.train.stability import Motion, flicker, next_frame

WIDTHS_16X = (3, 3, 4, 4, 4, 4, 4, 4, 5)
Batch = tuple[Tensor, Tensor, Tensor, Statistics]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def make(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(WIDTHS, "16x", WIDTHS_16X)

    def recipe(**settings: Any) -> AdainRecipe:
        given = {"size": 32, "finish_size": 32, "precision": "float32"} | settings
        return AdainRecipe(AdainSettings(**given), RunOptions(data, tmp_path), ProcessGroup())

    return recipe


def batch(recipe: AdainRecipe) -> Batch:
    """Two photographs and two paintings with what the pool keeps of them."""
    generator = torch.Generator().manual_seed(3)
    content, style = (torch.rand(2, 3, 32, 32, generator=generator) for _ in range(2))
    with torch.no_grad():
        levels = [ops.calc_mean_std(level) for level in recipe.vgg.features(style)]
        return content, style, recipe.vgg(content), levels


def count(network: Encoder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows with every picture that the network is given."""
    seen: list[str] = []
    features = type(network).features

    def counted(self: Encoder, *arguments: Any) -> list[Tensor]:
        if self is network:
            seen.append("features")
        return features(self, *arguments)

    monkeypatch.setattr(type(network), "features", counted)
    return seen


def gradients(recipe: AdainRecipe, loss: Tensor) -> dict[str, Tensor]:
    named = [(n, p) for n, p in recipe.networks.named_parameters() if p.requires_grad and not n.startswith("embeddings.")]
    found = torch.autograd.grad(loss, [p for _, p in named])
    return {name: each for (name, _), each in zip(named, found, strict=True)}


def test_two_frames_in_one_style_encode_it_once(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make(content_weight=0.0, style_weight=0.0, range_weight=0.0, color_weight=0.0, stability_weight=1.0)
    content, style, features, statistics = batch(recipe)
    seen = count(recipe.pair.encoder, monkeypatch)
    terms = recipe.style_losses(content, style, features, statistics, torch.Generator().manual_seed(7))
    assert len(seen) == 3  # the photograph, its next frame, and the painting
    found = gradients(recipe, terms["loss"])
    generator = torch.Generator().manual_seed(7)
    motion = Motion(2, (32, 32), generator, torch.device("cpu"))
    frame = next_frame(content, motion, generator)
    wanted = flicker(recipe.stylized(content, style), recipe.stylized(frame, style), motion)
    torch.testing.assert_close(terms["flicker"], wanted)
    for name, gradient in gradients(recipe, wanted).items():
        torch.testing.assert_close(found[name], gradient, msg=name)


def test_the_original_takes_the_painting_from_the_pool(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make(widths="original", stability_weight=1.0)
    drawn = batch(recipe)
    seen = count(recipe.vgg, monkeypatch)
    terms = recipe.style_losses(*drawn, torch.Generator().manual_seed(7))
    assert len(seen) == 2  # the result, which is scored, and the next frame
    generator = torch.Generator().manual_seed(7)
    motion = Motion(2, (32, 32), generator, torch.device("cpu"))
    frame = next_frame(drawn[0], motion, generator)
    wanted = flicker(recipe.stylized(drawn[0], drawn[1]), recipe.stylized(frame, drawn[1]), motion)
    torch.testing.assert_close(terms["flicker"], wanted, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("weights", "asked"),
    [
        ({}, 2),
        ({"perceptual_weight": 0.0}, 1),
        ({"embedding_weight": 0.0}, 2),
        ({"perceptual_weight": 0.0, "embedding_weight": 0.0}, 0),
    ],
)
def test_vgg_is_asked_for_what_weighs_something(
    weights: dict[str, float], asked: int, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make(**weights)
    image = batch(recipe)[0]
    seen = count(recipe.vgg, monkeypatch)
    terms = recipe.distil_losses(image)
    assert len(seen) == asked
    assert terms.keys() == {"embedding", "perceptual", "pixel", "loss"}
    settings = recipe.settings
    wanted = (
        settings.embedding_weight * terms["embedding"]
        + settings.perceptual_weight * terms["perceptual"]
        + settings.pixel_weight * terms["pixel"]
    )
    torch.testing.assert_close(terms["loss"], wanted)
    for name in ("embedding", "perceptual"):
        assert (terms[name] > 0) == (getattr(settings, f"{name}_weight") > 0)
