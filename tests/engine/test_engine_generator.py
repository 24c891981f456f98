"""Generators in the engine against the NumPy reference, byte for byte, on every path that this machine can run.

``FASTNST_CASES=5000 pytest tests/engine/test_engine_generator.py`` runs the full number of random models.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy_generator as reference
import pytest
from numpy_engine import Lcg, Map, random_picture
from numpy_generator import Builder, resnet_like, transformer_like, unet_like
from paths import RUNNABLE, answer_cases, on_path

from fastnst.engine import Engine
from fastnst.format.graphfile import BORDERS, GeneratorFile
from fastnst.format.modelfile import to_bytes

CASES = int(os.environ.get("FASTNST_CASES", "300")) // 25
SIDES = (1, 2, 3, 5, 8, 9, 15, 17, 31, 40, 53)


def random_generator(lcg: Lcg, kind: int) -> GeneratorFile:
    if kind == 3:
        return transformer_like(lcg, 1 + lcg.below(12), blocks=1 + lcg.below(2))
    if kind == 0:
        return resnet_like(lcg, 1 + lcg.below(12), blocks=1 + lcg.below(2))
    if kind == 1:
        return resnet_like(lcg, 1 + lcg.below(6), blocks=1, separable=False)
    return unet_like(lcg, 1 + lcg.below(20), levels=2 + lcg.below(2))


class Case(NamedTuple):
    """A random generator, a picture, parts of its styles if it has any, and what the reference makes of them."""

    seed: int
    model: bytes
    picture: Map
    parts: list[float]
    out: Map


def random_case(seed: int) -> Case:
    lcg = Lcg(seed)
    model = random_generator(lcg, seed % 4)
    if seed % 5 == 0 and seed % 4 != 3:
        model = replace(model, version=2)
    picture = random_picture(lcg, SIDES[lcg.below(len(SIDES))], SIDES[lcg.below(len(SIDES))])
    parts: list[float] = []
    if seed % 3 == 0:
        model = reference.with_styles(model, lcg, 1 + lcg.below(5), every=1 + seed % 2)
        parts = [each / 100 for each in lcg.integers(0, 101, (model.styles,)).tolist()] if seed % 2 else []
    return Case(seed, to_bytes(model), picture, parts, reference.translate(model, picture, parts))


def check_case(case: Case) -> None:
    """The engine makes the same of them."""
    out = Engine(case.model).translate(case.picture, 1 + case.seed % 3, styles=case.parts or None)
    np.testing.assert_array_equal(out, case.out, f"seed {case.seed}, {case.picture.shape}")


@pytest.mark.parametrize("path", RUNNABLE)
def test_random_generators_equal_the_reference(path: str) -> None:
    assert on_path(path, __file__, str(CASES)) == path


def check_small(graph: Builder, sums: int, *, seed: int = 5) -> None:
    """A graph that ends with ``sums`` of some width, brought to three channels by a 1x1 convolution, equals the reference."""
    model = graph.paint(graph.convolution(graph.affine(sums), 3, 1))
    picture = random_picture(Lcg(seed), 37, 44)
    np.testing.assert_array_equal(Engine(to_bytes(model)).translate(picture, 2), reference.translate(model, picture))


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (7, 1), (9, 1), (3, 2), (4, 2)])
@pytest.mark.parametrize("channels", [3, 16, 33, 64])
def test_every_full_convolution(kernel: int, stride: int, channels: int, border: str) -> None:
    graph = Builder(Lcg(kernel + 10 * channels))
    x = graph.convolution(0, channels, kernel, stride=stride, border=border)
    if stride == 2:
        x = graph.convolution(graph.affine(x), 5, 4, stride=2, form="transposed")
    check_small(graph, x)


@pytest.mark.parametrize("channels", [1, 16, 20, 64, 100, 128])
def test_depthwise_convolutions_of_every_width(channels: int) -> None:
    graph = Builder(Lcg(channels))
    x = graph.affine(graph.convolution(0, channels, 1))
    check_small(graph, graph.convolution(x, channels, 3, form="depthwise", border=BORDERS[channels % 3]))


@pytest.mark.parametrize("kernel", [3, 4])
@pytest.mark.parametrize("channels", [3, 16, 40])
@pytest.mark.parametrize("border", ["constant", "repeated"])
def test_transposed_convolutions(kernel: int, channels: int, border: str) -> None:
    graph = Builder(Lcg(channels))
    x = graph.affine(graph.convolution(0, 20, 3, stride=2))
    check_small(graph, graph.convolution(x, channels, kernel, stride=2, form="transposed", border=border))


def test_normalisation_of_extreme_numbers_is_exact() -> None:
    """Sums of squares beyond 2^53: a hundred thousand numbers of 16 bits, all at the ends of their range."""
    graph = Builder(Lcg(7))
    raw = graph.convolution(0, 17, 1)
    node = graph.nodes[-1]
    node.multiplier[:] = 2.0**30 / (255 * 127 * 3 + 2**24)
    graph.maps[raw] = reference.run_convolution(graph.maps[0], node)
    model = graph.paint(graph.convolution(graph.affine(raw, normalises=True), 3, 1))
    picture = (random_picture(Lcg(3), 300, 340) > 127).astype(np.uint8) * 255
    np.testing.assert_array_equal(Engine(to_bytes(model)).translate(picture, 3), reference.translate(model, picture))


def test_any_number_of_threads_gives_the_same_bytes() -> None:
    lcg = Lcg(11)
    engine, picture = Engine(to_bytes(resnet_like(lcg, 5))), random_picture(lcg, 83, 131)
    assert len({engine.translate(picture, threads).tobytes() for threads in (1, 2, 3, 8, 64)}) == 1


def test_one_engine_serves_pictures_of_any_size_in_turn() -> None:
    """Memory is reused: nothing of a larger picture may shine through in a smaller one."""
    lcg = Lcg(12)
    model = unet_like(lcg, 7)
    engine = Engine(to_bytes(model))
    for side in (70, 9, 33, 64, 1):
        picture = random_picture(lcg, side, side + 3)
        np.testing.assert_array_equal(engine.translate(picture), reference.translate(model, picture))


@pytest.mark.parametrize("side", range(1, 20))
def test_pictures_keep_their_sides_where_halvings_can_round_up(side: int) -> None:
    """As trained networks run: neither is what lies beyond an odd edge made up, nor is what comes out smaller."""
    model = resnet_like(Lcg(3), 3, blocks=1)
    picture = random_picture(Lcg(side), side, 21)
    assert reference.extended(picture, model).shape[:2] == (max(side, 5), 21)
    np.testing.assert_array_equal(Engine(to_bytes(model)).translate(picture), reference.translate(model, picture))


def test_maps_that_would_not_meet_are_made_of_whole_sides() -> None:
    """Joined to one that went another way, or halved by a kernel of 4, which rounds down."""
    joined = Builder(Lcg(5))
    y = joined.affine(
        joined.convolution(joined.affine(joined.convolution(0, 4, 3, stride=2)), 4, 4, stride=2, form="transposed")
    )
    joined.affine(joined.convolution(0, 3, 3), target=y)
    added = Builder(Lcg(6))
    stream = added.affine(added.convolution(0, 4, 1), wide=True)
    raw = added.convolution(added.affine(added.convolution(0, 4, 3, stride=2)), 4, 3, stride=2, form="transposed")
    x = added.affine(added.affine(raw, wide=True, addend=stream))
    graphs = (joined.paint(joined.convolution(y, 3, 3)), added.paint(added.convolution(x, 3, 3)), unet_like(Lcg(2), 3))
    for model in map(reference.skipped_lanes_cleared, graphs):
        picture = random_picture(Lcg(3), 17, 22)
        assert reference.extended(picture, model).shape[0] % 2 == 0
        np.testing.assert_array_equal(Engine(to_bytes(model)).translate(picture), reference.translate(model, picture))


def test_files_of_version_2_extend_every_picture_as_they_always_did() -> None:
    old = replace(resnet_like(Lcg(3), 3, blocks=1), version=2)
    picture = random_picture(Lcg(1), 13, 18)
    assert reference.extended(picture, old).shape == (16, 20, 3)
    made = Engine(to_bytes(old)).translate(picture)
    np.testing.assert_array_equal(made, reference.translate(old, picture))
    assert not np.array_equal(made, Engine(to_bytes(replace(old, version=4))).translate(picture))


def test_a_style_alone_is_the_model_that_has_no_other() -> None:
    lcg = Lcg(21)
    model = reference.with_styles(resnet_like(lcg, 5, blocks=1), lcg, 4, every=2)
    engine, picture = Engine(to_bytes(model)), random_picture(lcg, 30, 41)
    assert engine.styles == 4
    made = []
    for style in range(4):
        parts = [float(style == each) for each in range(4)]
        alone = GeneratorFile({}, [reference.of_style(node, parts) for node in model.nodes])
        assert alone.written == 4
        made.append(engine.translate(picture, styles=parts))
        np.testing.assert_array_equal(made[-1], Engine(to_bytes(alone)).translate(picture))
    assert len({each.tobytes() for each in made}) == 4
    np.testing.assert_array_equal(engine.translate(picture), made[0])


@pytest.mark.parametrize(
    "parts", [[1.0], [0.5] * 5, [0.5, 0.5, 1.5, 0.0], [1.0, -0.5, 0.5, 0.0], [float("nan"), 1.0, 0.0, 0.0]]
)
def test_parts_that_are_not_those_of_the_styles(parts: list[float]) -> None:
    lcg = Lcg(21)
    engine = Engine(to_bytes(reference.with_styles(resnet_like(lcg, 2, blocks=1), lcg, 4)))
    with pytest.raises(ValueError, match=r"the part of a style must be|it has 4 styles"):
        engine.translate(np.zeros((8, 8, 3), np.uint8), styles=parts)


def test_a_generator_with_one_look_has_no_styles() -> None:
    engine = Engine(to_bytes(resnet_like(Lcg(2), 2, blocks=1)))
    assert engine.styles == 0
    with pytest.raises(ValueError, match="it has 0 styles"):
        engine.translate(np.zeros((8, 8, 3), np.uint8), styles=[1.0])


def test_memory_is_planned_and_grows_with_the_picture() -> None:
    engine = Engine(to_bytes(resnet_like(Lcg(2), 8, blocks=2)))
    small, large = engine.working_bytes(64, 64), engine.working_bytes(256, 256)
    # Far fewer maps at once than the graph has: the stem's alone are 256 x 256 x 16 x (1 + 2) bytes.
    assert 4 * small < large < 3 * 256 * 256 * 16 * 3


def test_sides_that_are_none() -> None:
    engine = Engine(to_bytes(resnet_like(Lcg(2), 1, blocks=1)))
    with pytest.raises(ValueError, match="sides must be"):
        engine.translate(np.zeros((0, 4, 3), np.uint8))


if __name__ == "__main__":
    answer_cases(random_case, check_case)
