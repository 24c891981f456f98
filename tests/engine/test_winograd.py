"""Layers in Winograd form: what the text says, in the engine on every path, in files, in conversion."""

from __future__ import annotations

import os
import struct
import sys
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy_engine as reference
import pytest
import torch
from numpy_engine import Lcg, Map, Shape, model_of, random_layer, random_model, random_picture, random_winograd_layer
from paths import RUNNABLE, answer, on_path
from refusals import refused
from test_modelfile import DIGEST, HEADER, put, resealed, sealed

from fastnst import _engine
from fastnst.convert.arithmetic import simulate_layer
from fastnst.engine import AdainLook, Engine, instruction_set
from fastnst.format.graphfile import GeneratorFile
from fastnst.format.modelfile import AdainFile, Layer, WctFile, to_bytes
from fastnst.format.winograd import positions_of

CASES = int(os.environ.get("FASTNST_CASES", "300")) // 15
SIDES = (1, 1, 2, 3, 5, 8, 9, 16, 17, 33, 50, 64)
LAYER_HEAD = 4 * 8


class Case(NamedTuple):
    """A model, a picture, and what the reference makes of them: features, the look of another picture, the decoded picture."""

    model: bytes
    content: Map
    threads: int
    features: Map
    look: AdainLook
    out: Map


def case_of(model: AdainFile, content: Map, style: Map, threads: int) -> Case:
    features, look = reference.encode(model, content), reference.statistics(model, reference.encode(model, style))
    out = reference.decode(model, features, *look, 0.75, content.shape[:2])
    return Case(to_bytes(model), content, threads, features, AdainLook(*look), out)


def check_case(case: Case) -> None:
    """The engine makes the same of them."""
    engine = Engine(case.model)
    features = engine.encode(case.content, case.threads)
    np.testing.assert_array_equal(features.array(), case.features)
    np.testing.assert_array_equal(engine.decode(features, case.look, 0.75, case.threads), case.out)


def check(model: AdainFile, content: Map, style: Map, threads: int) -> None:
    """Features and picture equal the reference."""
    check_case(case_of(model, content, style, threads))


def random_case(seed: int) -> Case:
    lcg = Lcg(seed)
    model = random_model(lcg, widest=200 if seed % 8 == 0 else 40, winograd=True)
    content, style = (random_picture(lcg, SIDES[lcg.below(len(SIDES))], SIDES[lcg.below(len(SIDES))]) for _ in range(2))
    return case_of(model, content, style, threads=1 + seed % 4)


@pytest.fixture(scope="module")
def small() -> AdainFile:
    """A direct layer, a pooled one of the form; a layer of the form with upsampling, a direct one."""
    shapes = [Shape(5), Shape(7, resizes=True, winograd=True)], [Shape(6, resizes=True, winograd=True), Shape(3)]
    return model_of(Lcg(5), *shapes)


def changed(model: AdainFile, encoder: bool, **changes: object) -> bytes:
    """The file of the small model with fields of its pooled or its upsampling layer replaced."""
    first, second = model.encoder if encoder else model.decoder
    layers = [first, replace(second, **changes)] if encoder else [replace(first, **changes), second]
    return to_bytes(replace(model, encoder=layers) if encoder else replace(model, decoder=layers))


# --- arithmetic -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", RUNNABLE)
def test_random_models_equal_the_reference(path: str) -> None:
    found = on_path(path, __file__, str(CASES))
    assert found["path"] == path
    assert found["calls"][path] > 0


@pytest.mark.parametrize("inputs", [1, 16, 17, 33, 64, 80, 130])
@pytest.mark.parametrize("outputs", [1, 17, 48, 65])
def test_every_remainder_of_the_channel_blocks(inputs: int, outputs: int) -> None:
    lcg = Lcg(inputs * 1000 + outputs)
    encoder = [Shape(inputs), Shape(outputs, winograd=True, resizes=True)]
    model = model_of(lcg, encoder, [Shape(inputs, winograd=True, resizes=True), Shape(3)])
    check(model, random_picture(lcg, 6, 21), random_picture(lcg, 8, 8), 1)


@pytest.mark.parametrize("size", list(product([1, 2, 7, 8, 49], [1, 3, 17, 48, 50])), ids=str)
@pytest.mark.parametrize("ceil", [False, True])
def test_small_and_odd_pictures(size: tuple[int, int], ceil: bool) -> None:
    """Odd maps inside as well: the pooled layer's are not extended to whole tiles."""
    lcg = Lcg(77)
    encoder = [Shape(5, resizes=True), Shape(9, winograd=True), Shape(20, resizes=True, ceil=ceil, winograd=True)]
    decoder = [Shape(18, resizes=True, winograd=True), Shape(9, winograd=True), Shape(3, resizes=True)]
    check(model_of(lcg, encoder, decoder), random_picture(lcg, *size), random_picture(lcg, 8, 8), 2)


def test_any_number_of_threads_gives_the_same_bytes(small: AdainFile) -> None:
    engine, picture = Engine(to_bytes(small)), random_picture(Lcg(11), 183, 131)
    results = set()
    for threads in (1, 2, 3, 8, 64):
        features = engine.encode(picture, threads)
        picture_out = engine.decode(features, AdainLook(*features.statistics()), 1.0, threads)
        results.add((features.array().tobytes(), picture_out.tobytes()))
    assert len(results) == 1


def test_extreme_values(small: AdainFile) -> None:
    """Weights of -127 and 127 on pixels of 0 and 255, and scales at both ends of their range."""
    lcg = Lcg(5)
    for scale in (1, 8192, 32767):
        layers = []
        for layer in small.encoder:
            signs = (lcg.integers(0, 2, layer.weights.shape) * 254 - 127).astype(np.int8)
            scales = None if layer.scales is None else np.full_like(layer.scales, scale)
            layers.append(replace(layer, weights=signs, scales=scales))
        picture = (random_picture(lcg, 24, 40) > 127).astype(np.uint8) * 255
        check(replace(small, encoder=layers), picture, picture[::-1], 1)


@pytest.mark.parametrize("upsample", [False, True])
def test_positions_are_the_exact_ones_rounded(upsample: bool) -> None:
    """Against fractions, from the transform's matrices of Lavin and Gray, for one output of few inputs."""
    half = Fraction(1, 2)
    rows = (
        [[1, 0, 0], [half, half, half], [half, -half, half], [0, 0, 1]] if not upsample else [[1, 0, 0], [1, 1, 1], [0, 0, 1]]
    )
    probe = Lcg(3).integers(0, 40, (9, 9, 3)).astype(np.uint8)
    layer = random_winograd_layer(Lcg(9), probe, 1, upsample=upsample)
    assert layer.scales is not None
    numbers, taps = positions_of(layer), layer.weights[0].astype(int)
    for p, (y, x) in enumerate(product(rows, rows)):
        exact = [sum(a * b * int(taps[i, j, c]) for (i, a), (j, b) in product(enumerate(y), enumerate(x))) for c in range(3)]
        scale, multiplier = int(layer.scales.flat[p]), Fraction(float(layer.multiplier[0]))
        step = Fraction(float(numbers.multiplier[p, 0])) / multiplier * Fraction(scale, 32768)  # of the weights
        for c in range(3):
            assert abs(exact[c] - numbers.weights[p, 0, c] * step) <= step * Fraction(501, 1000)
        if (y, x) == (rows[1], rows[1]):
            unit = Fraction(float(numbers.multiplier[p, 0]))
            assert abs(int(numbers.start[p, 0]) * unit - int(layer.bias[0]) * multiplier) <= unit * Fraction(501, 1000)
        else:
            assert numbers.start[p, 0] == -128 * numbers.weights[p, 0].astype(int).sum()


@pytest.mark.parametrize("upsample", [False, True])
def test_it_is_nearly_the_direct_convolution(upsample: bool) -> None:
    """Of outputs all over 0..255 the mean error is below a step where inputs are small and scales therefore near 1."""
    lcg = Lcg(4)
    probe = lcg.integers(0, 60, (13, 10, 32)).astype(np.uint8)
    layer = random_winograd_layer(lcg, probe, 24, upsample=upsample)
    large = probe.repeat(2, 0).repeat(2, 1) if upsample else probe
    direct = reference.run_layer(large, replace(layer, upsample=False, scales=None)).astype(int)
    assert direct.std() > 40
    assert np.abs(reference.run_layer(probe, layer) - direct).mean() < 1


def test_a_part_that_begins_at_even_pixels_has_the_bytes_of_the_whole(small: AdainFile) -> None:
    """What tiles of pictures rely on; this encoder halves once, so even features are every fourth pixel."""
    engine, picture = Engine(to_bytes(small)), random_picture(Lcg(1), 64, 72)
    whole, part = (engine.encode(each, 1).array() for each in (picture, picture[12:, 20:]))
    np.testing.assert_array_equal(part[2:, 2:], whole[8:, 12:])


@pytest.mark.parametrize("upsample", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (13, 10), (4, 7)])
def test_the_simulation_is_the_reference(upsample: bool, size: tuple[int, int]) -> None:
    lcg = Lcg(4)
    probe = lcg.integers(0, 60, (*size, 32)).astype(np.uint8)
    layer = random_winograd_layer(lcg, probe, 24, upsample=upsample, pool="none" if upsample else "ceil", zero=9)
    simulated = simulate_layer(torch.from_numpy(probe).permute(2, 0, 1)[None], layer)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(simulated, reference.run_layer(probe, layer))


# --- files ------------------------------------------------------------------------------------------------------------------


def layer_offset(data: bytes, number: int) -> int:
    """Where a layer of a file of version 3 begins."""
    model = reference.parse(data)
    assert isinstance(model, AdainFile)
    card = struct.unpack_from("<I", data, 20)[0]
    at = HEADER + card + -card % 4
    for layer in [*model.encoder, *model.decoder][:number]:
        arrays = [layer.weights, layer.bias, layer.multiplier, *([] if layer.scales is None else [layer.scales])]
        at += LAYER_HEAD + sum(array.nbytes + -array.nbytes % 4 for array in arrays)
    return at


def test_only_files_with_the_form_are_of_version_3(small: AdainFile) -> None:
    data = to_bytes(small)
    assert struct.unpack_from("<I", data, 4) == (3,)
    assert to_bytes(reference.parse(data)) == data
    direct = replace(small, encoder=[small.encoder[0]], decoder=[random_layer(Lcg(1), np.zeros((4, 4, 5), np.uint8), 3)])
    assert struct.unpack_from("<I", to_bytes(direct), 4) == (2,)


def test_stages_of_wct_may_have_the_form() -> None:
    stage = reference.stage_of(Lcg(3), 20)
    probe = random_picture(Lcg(8), 9, 9).repeat(3, 2)[:, :, :7]
    layer = random_winograd_layer(Lcg(2), probe, 20, pool="floor")
    model = WctFile({}, {2: replace(stage, encoder=[stage.encoder[0], layer])})
    data = to_bytes(model)
    assert to_bytes(reference.parse(data)) == data
    picture = random_picture(Lcg(6), 20, 22)
    np.testing.assert_array_equal(Engine(data).encode(picture, 1).array(), reference.encode(model.stages[2], picture))


def test_damaged_files(small: AdainFile) -> None:
    data = to_bytes(small)
    for length in range(HEADER, len(data) - DIGEST, 3):
        refused(sealed(data[:length]))
    for at in range(0, len(data), 7):
        refused(put(data, at, 1, data[at] ^ 1 << at % 8))


@pytest.mark.parametrize("number", range(4))
def test_forms_of_hostile_value(small: AdainFile, number: int) -> None:
    data = to_bytes(small)
    at = layer_offset(data, number) + 28
    true = int.from_bytes(data[at : at + 4], "little")
    assert true == (number in {1, 2})
    for value in {0, 1, 2, 255, 2**31, 2**32 - 1} - {true}:
        refused(resealed(put(data, at, 4, value)))


@pytest.mark.parametrize("encoder", [False, True])
def test_scales_out_of_range(small: AdainFile, encoder: bool) -> None:
    layer = small.encoder[1] if encoder else small.decoder[0]
    assert layer.scales is not None
    for value in (0, -1, -32768):
        scales = layer.scales.copy()
        scales[1, 2] = value
        assert "scale" in refused(changed(small, encoder, scales=scales))


def test_layers_that_cannot_have_the_form(small: AdainFile) -> None:
    """A 1x1 layer, one that reads a picture, one that writes one."""
    scales = np.full((4, 4), 9000, np.int16)
    one = Layer(np.ones((7, 1, 1, 5), np.int8), np.zeros(7, np.int32), np.full(7, 0.1, np.float32), scales=scales, pool="floor")
    assert "form" in refused(to_bytes(replace(small, encoder=[small.encoder[0], one])))
    first, last = replace(small.encoder[0], scales=scales), replace(small.decoder[1], scales=scales)
    assert "picture" in refused(to_bytes(replace(small, encoder=[first, small.encoder[1]])))
    assert "picture" in refused(to_bytes(replace(small, decoder=[small.decoder[0], last])))


def test_generators_have_no_forms() -> None:
    data = to_bytes(GeneratorFile({}, []))
    assert "generator" in refused(resealed(put(data, 4, 4, 3)))


def test_numbers_that_could_overflow(small: AdainFile) -> None:
    """A bias that leaves 32 bits only as the centre counts it; outputs beyond the whole numbers that are rounded."""
    layer = small.encoder[1]
    assert layer.scales is not None
    scales = np.full((4, 4), 32767, np.int16)
    for bias in (2**30, -(2**30)):
        assert "overflow" in refused(changed(small, True, bias=np.full_like(layer.bias, bias), scales=scales))
    multiplier = np.full_like(layer.multiplier, 1e5)
    assert "overflow" in refused(changed(small, True, multiplier=multiplier))


def test_the_bound_on_outputs_counts_all_positions() -> None:
    """Sixteen products of which each is in range, and their sum is not."""
    weights = np.full((7, 3, 3, 5), 127, np.int8)
    scales = np.full((4, 4), 16384, np.int16)
    layer = Layer(weights, np.zeros(7, np.int32), np.ones(7, np.float32), scales=scales)
    small_layer, largest = replace(layer, multiplier=np.full(7, 1.0, np.float32)), 0.0
    numbers = positions_of(small_layer)
    bounds = (255.0 * np.abs(numbers.weights.astype(np.int64)).sum(2) + np.abs(numbers.start)) * numbers.multiplier
    largest = bounds[:, 0].max()
    factor = 2**30 / bounds[:, 0].sum()
    assert largest * factor * 1.01 < 2**30
    first = random_layer(Lcg(1), random_picture(Lcg(1), 8, 8), 5)
    last = random_layer(Lcg(1), np.zeros((4, 4, 7), np.uint8), 3)
    for share, accepted in ((0.99, True), (1.01, False)):
        grown = replace(layer, multiplier=np.full(7, factor * share, np.float32))
        data = to_bytes(AdainFile({}, [first, grown], [last], 1.0, 1.0, 0))
        if accepted:
            Engine(data)
        else:
            assert "overflow" in refused(data)


if __name__ == "__main__":
    cases = [random_case(seed) for seed in range(int(sys.argv[1]))]

    def compared() -> object:
        for case in cases:
            check_case(case)
        return {"path": instruction_set(), "calls": _engine.kernel_calls()}

    answer(compared)
