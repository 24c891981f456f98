"""What callers of the engine get wrong: arrays, looks and features that do not belong together are refused, never misread."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy_engine import Lcg, Shape, model_of, pair_like, random_picture

from fastnst.engine import AdainLook, Engine
from fastnst.format.modelfile import AdainFile, to_bytes


@pytest.fixture(scope="module")
def adain_like() -> AdainFile:
    return pair_like(1)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
    ],
    ids=lambda picture: "x".join(map(str, picture.shape)),
)
def test_arrays_that_are_no_pictures(adain_like: AdainFile, picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Engine(to_bytes(adain_like)).encode(picture, 1)


@pytest.mark.parametrize("dtype", ["float32", "int64", "int8", "uint16", "bool"])
def test_wrong_dtypes_are_not_converted_silently(adain_like: AdainFile, dtype: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        Engine(to_bytes(adain_like)).encode(np.zeros((4, 4, 3), dtype), 1)


def test_strided_pictures_are_read_right(adain_like: AdainFile) -> None:
    engine, picture = Engine(to_bytes(adain_like)), random_picture(Lcg(4), 20, 30)
    turned = picture[::-1, ::-2, ::-1]
    assert not turned.flags.c_contiguous
    np.testing.assert_array_equal(engine.encode(turned, 1).array(), engine.encode(turned.copy(), 1).array())


@pytest.mark.parametrize("bad", ["short", "nan", "infinite", "huge"])
def test_looks_that_cannot_be_used(adain_like: AdainFile, bad: str) -> None:
    engine = Engine(to_bytes(adain_like))
    features = engine.encode(random_picture(Lcg(4), 9, 9), 1)
    mean, std = (values.copy() for values in features.statistics())
    if bad == "short":
        mean, std = mean[1:], std[1:]
    else:
        std[-1] = {"nan": np.nan, "infinite": np.inf, "huge": 1e300}[bad]
    with pytest.raises(ValueError, match=r".+"):
        engine.decode(features, AdainLook(mean, std), 1.0, 1)


def test_features_of_another_model_are_refused(adain_like: AdainFile) -> None:
    lcg = Lcg(8)
    narrow = model_of(lcg, [Shape(4, resizes=True)], [Shape(3, resizes=True)])
    features = Engine(to_bytes(narrow)).encode(random_picture(lcg, 8, 8), 1)
    engine = Engine(to_bytes(adain_like))
    with pytest.raises(ValueError, match=r".+"):
        engine.decode(features, engine.look(random_picture(lcg, 8, 8)), 1.0, 1)


def test_features_of_a_model_with_another_stride_are_refused_or_safe() -> None:
    """Equal channels, unequal strides: the map is too small for the picture that the decoder should fill."""
    lcg = Lcg(8)
    same = model_of(lcg, [Shape(4)], [Shape(3)])
    halving = model_of(lcg, [Shape(4, resizes=True)], [Shape(3, resizes=True)])
    features = Engine(to_bytes(halving)).encode(random_picture(lcg, 64, 64), 1)
    with pytest.raises(ValueError, match=r".+"):
        Engine(to_bytes(same)).decode(features, AdainLook(*features.statistics()), 1.0, 1)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (33, 64)])
def test_decoders_that_pool_never_leave_a_picture_unfilled(size: tuple[int, int]) -> None:
    """A decoder that halves and doubles again makes odd sides smaller: refused somewhere, or right, but never out of bounds."""
    lcg = Lcg(9)
    model = model_of(lcg, [Shape(4)], [Shape(5), Shape(3, resizes=True)])
    model = replace(model, decoder=[replace(model.decoder[0], pool="floor"), model.decoder[1]])
    picture = random_picture(lcg, *size)

    def attempt() -> None:
        engine = Engine(to_bytes(model))
        engine.decode(engine.encode(picture, 1), engine.look(picture, 1), 1.0, 1)

    with pytest.raises(ValueError, match=r".+"):
        attempt()
