"""Sums of products in 16 bits, where a bound allows them: exact at the bound, above it, in every lane, on every path."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import bound_cases
import numpy as np
import numpy_engine as reference
import pytest
from numpy_engine import Lcg, Map, Shape, model_of, random_picture
from paths import RUNNABLE, answer, on_path

from fastnst.engine import Engine, instruction_set
from fastnst.format.modelfile import AdainFile, to_bytes

CASES = int(os.environ.get("FASTNST_CASES", "300")) // 3
EXTREMES = np.array([-128, -127, -65, -64, -63, -1, 0, 1, 2, 63, 64, 65, 126, 127], np.int8)


@pytest.mark.parametrize("path", RUNNABLE)
def test_sums_at_and_beyond_the_bound_of_16_bits_are_exact(path: str) -> None:
    assert on_path(path, __file__, "bounds", str(CASES)) == [[]] * CASES


def extreme(lcg: Lcg, model: AdainFile) -> AdainFile:
    """The same layers with weights around the bounds, most of them 0 or small in some."""
    layers = []
    for layer in model.encoder:
        picks = lcg.integers(0, len(EXTREMES), layer.weights.shape)
        rare = lcg.integers(0, 1 + lcg.below(12), layer.weights.shape) == 0
        layers.append(replace(layer, weights=np.where(rare, EXTREMES[picks], EXTREMES[6 + picks % 3]).astype(np.int8)))
    return replace(model, encoder=layers)


def half_dark(lcg: Lcg, height: int, width: int) -> Map:
    """Noise up to 127, in some columns up to 255: tiles of both kinds, and of neither."""
    picture = random_picture(lcg, height, width) // 2
    picture[:, lcg.below(width) :: 9] |= 128
    return picture


def extremes(seed: int) -> tuple[bytes, list[tuple[Map, Map]]]:
    """A model; pictures, and the features that the reference finds in them."""
    lcg = Lcg(seed)
    shapes = [Shape(3 + lcg.below(50)), Shape(1 + lcg.below(70), winograd=seed % 3 == 1), Shape(1 + lcg.below(40))]
    shapes[1] = replace(shapes[1], resizes=seed % 4 == 0)
    model = extreme(lcg, model_of(lcg, shapes, [Shape(5, resizes=seed % 4 == 0), Shape(3)]))
    pictures = half_dark(lcg, 9, 31), np.where(random_picture(lcg, 8, 23) > 127, np.uint8(255), np.uint8(0))
    return to_bytes(model), [(picture, reference.encode(model, picture)) for picture in pictures]


@pytest.mark.parametrize("path", RUNNABLE)
def test_extreme_weights_equal_the_reference(path: str) -> None:
    assert on_path(path, __file__, "extremes", str(max(CASES // 5, 1))) == path


def main(job: str, count: int) -> None:
    if job == "bounds":
        layers = [list(bound_cases.cases(seed)) for seed in range(count)]
        answer(lambda: [list(bound_cases.wrong(each)) for each in layers])
        return
    cases = [extremes(seed) for seed in range(count)]

    def compared() -> str:
        for seed, (model, pictures) in enumerate(cases):
            for picture, wanted in pictures:
                np.testing.assert_array_equal(Engine(model).encode(picture, 1).array(), wanted, f"seed {seed}")
        return instruction_set()

    answer(compared)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
