"""Pixel shuffle in bands: networks as their ONNX files have them, at sides that are no multiples of what shuffling doubles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy_generator as reference
import pytest
import torch
from numpy_engine import Lcg, random_picture
from onnx_graphs import Graph
from test_bands import check_all_bands

from fastnst.convert.generator import quantise_graph
from fastnst.convert.graph import FloatConv
from fastnst.convert.recognition import recognise
from fastnst.engine import Engine
from fastnst.format.graphfile import GeneratorFile
from fastnst.format.modelfile import to_bytes

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install '.[onnx]'")

Case = Callable[[Graph], str]
"""From the picture to a map of 6 channels as large."""


def norm(g: Graph, x: str, channels: int) -> str:
    return g.add("Relu", [g.add("InstanceNormalization", [x, g.weights(channels, spread=1), g.weights(channels)])])


def shuffle(g: Graph, x: str, mode: str = "CRD") -> str:
    return g.add("DepthToSpace", [x], blocksize=2, mode=mode)


def low(g: Graph, channels: int) -> str:
    return norm(g, g.conv("x", 3, channels, strides=[2, 2]), channels)


def with_its_convolution(g: Graph) -> str:
    return norm(g, shuffle(g, g.conv(low(g, 6), 6, 24, 1)), 6)


def of_what_is_there(g: Graph) -> str:
    """A map that is normalised before it is shuffled, and so written before it is known."""
    return shuffle(g, norm(g, g.conv(low(g, 6), 6, 24), 24), "DCR")


def twice(g: Graph) -> str:
    quarter = norm(g, g.conv(low(g, 8), 8, 8, strides=[2, 2]), 8)
    return norm(g, shuffle(g, norm(g, shuffle(g, g.conv(quarter, 8, 32, 1)), 8)), 2)


def beside_what_was_halved(g: Graph) -> str:
    """A sum of two shuffled maps, joined with one that never was small."""
    half = low(g, 6)
    shuffled = g.add("Add", [shuffle(g, g.conv(half, 6, 24, 1)), shuffle(g, g.conv(half, 6, 24))])
    return g.add("Concat", [norm(g, g.conv("x", 3, 5, 7), 5), shuffled], axis=1)


WIDTHS: dict[Case, int] = {with_its_convolution: 6, of_what_is_there: 6, twice: 2, beside_what_was_halved: 11}
SHUFFLES: dict[Case, tuple[int, ...]] = {
    with_its_convolution: (4,),
    of_what_is_there: (3,),
    twice: (4, 3),
    beside_what_was_halved: (4, 3),
}
"""Kernels of the transposed convolutions: 4 with the convolution before it, 3 of its own where that has kernel 3, or
a norm is in between."""


def model_of(case: Case, folder: Path) -> GeneratorFile:
    g = Graph()
    y = g.add("Tanh", [g.conv(case(g), WIDTHS[case], 3)])
    onnx.save(g.model(y), folder / "network.onnx")
    trained = recognise([folder / "network.onnx"]).trained
    pictures = [torch.from_numpy(random_picture(Lcg(seed), 32, 32)).permute(2, 0, 1)[None] for seed in (1, 2)]
    turned = [node for node in trained.nodes if isinstance(node, FloatConv) and node.form == "transposed"]  # type: ignore[union-attr]
    assert sorted((node.weight.shape[-1] for node in turned), reverse=True) == list(SHUFFLES[case])
    nodes, _, _ = quantise_graph(trained.nodes, pictures)  # type: ignore[union-attr]
    return GeneratorFile({"name": "shuffled", "kind": "generator"}, nodes)


@pytest.mark.parametrize("case", WIDTHS, ids=lambda case: case.__name__)
def test_shuffled_pixels_in_bands_equal_the_whole(case: Case, tmp_path: Path) -> None:
    model = model_of(case, tmp_path)
    (tmp_path / "network.onnx").unlink()
    for height, width in ((1, 1), (7, 10), (33, 18)):
        picture = random_picture(Lcg(height), height, width)
        np.testing.assert_array_equal(Engine(to_bytes(model)).translate(picture), reference.translate(model, picture))
    for height, width in ((150, 33), (161, 23), (163, 18), (201, 40)):
        check_all_bands(model, height, width, tmp_path)
