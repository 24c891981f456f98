"""Generators trained in the engine's arithmetic: the network that is trained is the one that runs, and it gets better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign_networks import BATCH, ExamplesTransformer, Resnet, Unet
from torch import Tensor, nn

from fastnst.convert.generator import quantise_graph
from fastnst.convert.graph import FloatAffine, FloatConv, FloatNode
from fastnst.convert.recognition import recognise
from fastnst.engine import Engine
from fastnst.format.graphfile import GeneratorFile, Node
from fastnst.format.modelfile import to_bytes
from fastnst.train.fake_graph import FakeConvolution, FakeGraph
from fastnst.train.graph import GraphNetwork, generator_in

KINDS: dict[str, Callable[[], nn.Module]] = {
    "residual": lambda: Resnet(8, 2),
    "separable": lambda: Resnet(8, 2, mobile=True),
    "joined": lambda: Unet(6, 4, BATCH),
    "upsampled": lambda: ExamplesTransformer(8, 2),
}
STYLES = 3


def pictures(count: int, seed: int = 0) -> Tensor:
    """uint8 [N, 3, 32, 48], soft as photographs are."""
    small = torch.rand(count, 3, 5, 7, generator=torch.Generator().manual_seed(seed)) * 300 - 20
    return nn.functional.interpolate(small, (32, 48), mode="bicubic").clamp(0, 255).byte()


def float_nodes(kind: str, folder: Path, styled: bool) -> list[FloatNode]:
    torch.manual_seed(0)
    torch.save(KINDS[kind]().state_dict(), folder / "net_G.pth")
    nodes = generator_in(recognise([folder / "net_G.pth"])).nodes
    widths = {node.target: len(node.weight) for node in nodes if isinstance(node, FloatConv)}
    return [
        replace(
            node,
            gain=torch.rand(STYLES, widths[node.source]).double() + 0.5,
            shift=torch.randn(STYLES, widths[node.source]).double(),
        )
        if styled and isinstance(node, FloatAffine) and node.normalises
        else node
        for node in nodes
    ]


def by_engine(nodes: list[Node], each: Tensor, style: int) -> Tensor:
    engine = Engine(to_bytes(GeneratorFile({"kind": "generator"}, nodes)))
    parts = [float(i == style) for i in range(engine.styles)] or None
    made = engine.translate(each.permute(1, 2, 0).contiguous().numpy(), 1, styles=parts)
    return torch.from_numpy(made).permute(2, 0, 1)


def assert_same_as_the_engine(fake: FakeGraph, styles: int) -> None:
    """But for a byte in a thousand that is off by one, where a sum exceeds what 24 bits of mantissa hold."""
    seen = pictures(2, seed=1)
    nodes = fake.exported()
    for style in range(max(1, styles)):
        with torch.no_grad():
            made = (fake(seen.float() / 127.5 - 1, style) + 1) * 127.5
        for own, each in zip(made, seen, strict=True):
            apart = (own.round() - by_engine(nodes, each, style)).abs()
            assert apart.max() <= 1 and (apart > 0).float().mean() <= 1e-3


@pytest.mark.parametrize(("kind", "styled"), [*((kind, False) for kind in KINDS), ("residual", True)])
def test_what_is_trained_is_what_runs(kind: str, styled: bool, tmp_path: Path) -> None:
    """In every style, before training and after it; and all that can be trained is."""
    shapes = float_nodes(kind, tmp_path, styled)
    nodes, _, _ = quantise_graph(shapes, list(pictures(3)[:, None]))
    fake, styles = FakeGraph(nodes, shapes), STYLES if styled else 0
    assert to_bytes(GeneratorFile({}, fake.exported())) == to_bytes(GeneratorFile({}, nodes))
    assert_same_as_the_engine(fake, styles)
    optimiser = torch.optim.Adam(fake.parameters(), 0.3)
    for _ in range(2):
        optimiser.zero_grad()
        sum(fake(pictures(2).float() / 127.5 - 1, style).square().mean() for style in range(max(1, styles))).backward()
        assert all(each.grad is not None and each.grad.abs().max() > 0 for each in fake.parameters())
        optimiser.step()
    assert to_bytes(GeneratorFile({}, fake.exported())) != to_bytes(GeneratorFile({}, nodes))
    assert_same_as_the_engine(fake, styles)


def test_gradients_are_near_those_of_the_float_network(tmp_path: Path) -> None:
    """What rounding changes of the direction in which the first filters go is small."""
    shapes = float_nodes("residual", tmp_path, False)
    nodes, _, _ = quantise_graph(shapes, list(pictures(3)[:, None]))
    seen, wanted = pictures(2).float() / 127.5 - 1, torch.tanh(torch.randn(2, 3, 32, 48))
    found = []
    for network in (FakeGraph(nodes, shapes), GraphNetwork(shapes)):
        (network(seen) - wanted).square().mean().backward()
        found.append(network.layers[0].weight.grad.flatten())  # type: ignore[union-attr]
    fake, real = found
    scale = torch.from_numpy(np.abs(nodes[0].weights).max((1, 2, 3))).float()  # type: ignore[union-attr]
    real = (real.reshape(len(scale), -1) / scale[:, None]).flatten()  # a step of a filter is worth the less, the more it has
    assert nn.functional.cosine_similarity(fake, real, dim=0) > 0.9


def test_training_cannot_make_a_model_that_the_engine_refuses(tmp_path: Path) -> None:
    """However far multipliers and weights are driven, no sum can overflow."""
    shapes = float_nodes("residual", tmp_path, False)
    nodes, _, _ = quantise_graph(shapes, list(pictures(3)[:, None]))
    fake = FakeGraph(nodes, shapes)
    with torch.no_grad():
        for layer in fake.layers:
            if isinstance(layer, FakeConvolution):
                layer.stretch += 300
                layer.weight *= 50
    assert by_engine(fake.exported(), pictures(1)[0], 0).shape == (3, 32, 48)


def test_training_in_8_bits_makes_up_for_what_they_cost(tmp_path: Path) -> None:
    """Half a decibel at least, on pictures that it has not seen; measured 1.4."""
    shapes = float_nodes("separable", tmp_path, False)
    nodes, _, _ = quantise_graph(shapes, list(pictures(3)[:, None]))
    fake, network = FakeGraph(nodes, shapes), GraphNetwork(shapes).eval()
    optimiser = torch.optim.Adam(fake.parameters(), 0.03)

    def error(seed: int, count: int) -> Tensor:
        seen = pictures(count, seed).float() / 127.5 - 1
        with torch.no_grad():
            wanted = network(seen)
        squared: Tensor = (fake(seen) - wanted).square().mean()
        return squared

    with torch.no_grad():
        before = error(1000, 8)
    for step in range(60):
        optimiser.zero_grad()
        error(step, 2).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        assert error(1000, 8) < 10**-0.05 * before
