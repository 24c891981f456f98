"""Whitening and colouring in the engine against the NumPy reference, byte for byte, on every path that this machine can run.

``FASTNST_CASES=5000 pytest tests/engine/test_engine_wct.py`` runs the full number of random models.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy_engine as reference
import pytest
from numpy.typing import NDArray
from numpy_engine import Lcg, Map, random_cascade, random_picture, stage_of, three_levels
from paths import RUNNABLE, answer_cases, on_path

from fastnst.engine import AdainLook, Engine
from fastnst.engine.wct import Coloring, WctLook
from fastnst.format.modelfile import WctFile, to_bytes

CASES = int(os.environ.get("FASTNST_CASES", "300")) // 15
SIDES = (1, 1, 2, 3, 5, 8, 9, 15, 17, 31, 40)


@pytest.fixture(scope="module")
def three() -> WctFile:
    return three_levels()


@pytest.fixture(scope="module")
def engine(three: WctFile) -> Engine:
    return Engine(to_bytes(three))


class Case(NamedTuple):
    """A random model, two pictures, and what the reference makes of them: features, moments, look, picture."""

    seed: int
    model: bytes
    content: Map
    style: Map
    features: Map
    moments: tuple[NDArray[np.float64], NDArray[np.float64]]
    look: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]
    alpha: float
    out: Map


def random_case(seed: int) -> Case:
    lcg = Lcg(seed)
    model = random_cascade(lcg, widest=150 if seed % 8 == 0 else 40)
    deepest = model.stages[max(model.stages)]
    content, style = (random_picture(lcg, SIDES[lcg.below(len(SIDES))], SIDES[lcg.below(len(SIDES))]) for _ in range(2))
    features, look = reference.encode(deepest, content), reference.wct_look(model, style, model.stages)
    alpha = (1.0, 0.0, 0.6, 0.25)[lcg.below(4)]
    out = reference.cascade(model, content, look, alpha)
    return Case(seed, to_bytes(model), content, style, features, reference.moments(deepest, features), look, alpha, out)


def check_case(case: Case) -> None:
    """The engine makes the same of them."""
    engine, seed = Engine(case.model), case.seed
    features = engine.encode(case.content, 1 + seed % 3)
    np.testing.assert_array_equal(features.array(), case.features, f"features, seed {seed}")
    for mine, exact in zip(features.statistics(), case.moments, strict=True):
        np.testing.assert_array_equal(mine, exact, f"moments, seed {seed}")
    look = engine.look(case.style, 1 + seed % 4)
    assert isinstance(look, WctLook)
    for level, (mean, root) in case.look.items():
        np.testing.assert_array_equal(look.levels[level].mean, mean, f"mean, seed {seed}")
        np.testing.assert_array_equal(look.levels[level].root, root, f"root, seed {seed}")
    out = engine.decode(features, look, case.alpha, 1 + seed % 3)
    np.testing.assert_array_equal(out, case.out, f"picture, seed {seed}")


@pytest.mark.parametrize("path", RUNNABLE)
def test_random_models_equal_the_reference(path: str) -> None:
    assert on_path(path, __file__, str(CASES)) == path


@pytest.mark.parametrize("channels", [1, 15, 16, 17, 33, 64, 65, 128])
def test_every_remainder_of_the_channel_blocks(channels: int) -> None:
    lcg = Lcg(channels)
    model = WctFile({}, {3: stage_of(lcg, channels)})
    engine, content, style = Engine(to_bytes(model)), random_picture(lcg, 18, 50), random_picture(lcg, 33, 24)
    look = reference.wct_look(model, style, [3])
    out = engine.decode(engine.encode(content), engine.look(style), 1.0)
    np.testing.assert_array_equal(out, reference.cascade(model, content, look, 1.0))


def test_moments_of_extreme_values_are_exact() -> None:
    """Thousands of pixels of 255 in every channel, where 32 bits would overflow: count * 255^2 > 2^32."""
    lcg = Lcg(1)
    stage = stage_of(lcg, 20, 0)
    bright = [replace(layer, bias=np.full_like(layer.bias, 2**28)) for layer in stage.encoder]
    stage = replace(stage, encoder=bright)
    features = Engine(to_bytes(WctFile({}, {1: stage}))).encode(random_picture(lcg, 300, 301), 2)
    assert (features.array() == 255).all()
    mean, covariance = features.statistics()
    np.testing.assert_array_equal(mean, reference.moments(stage, features.array())[0])
    assert not covariance.any()


def test_any_number_of_threads_gives_the_same_bytes(engine: Engine) -> None:
    lcg = Lcg(11)
    content, style = random_picture(lcg, 83, 131), random_picture(lcg, 61, 40)
    results = set()
    for threads in (1, 2, 3, 8, 64):
        look = engine.look(style, threads)
        assert isinstance(look, WctLook)
        out = engine.decode(engine.encode(content, threads), look, 1.0, threads)
        results.add((look.levels[4].root.tobytes(), out.tobytes()))
    assert len(results) == 1


# --- what whitening and colouring promise -----------------------------------------------------------------------------------


def test_the_transform_carries_the_styles_moments() -> None:
    """A stage whose decoder's input can be seen: mean and covariance there are the style's but for 8-bit rounding."""
    lcg = Lcg(8)
    stage = stage_of(lcg, 6, 0)
    content, style = random_picture(lcg, 60, 70), random_picture(lcg, 50, 50)
    model = WctFile({}, {1: stage})
    mean, root = reference.wct_look(model, style, [1])[1]
    size = np.sqrt(np.diag(root @ root))
    stage = replace(
        stage, decoder_scale=(size / 16).astype(np.float32), decoder_zero=(128 - 16 * mean / size).astype(np.float32)
    )
    q = reference.recolour(stage, reference.encode(stage, content), mean, root, 1.0)
    seen = replace(stage, feature_scale=stage.decoder_scale)
    _, covariance = reference.moments(seen, q)
    np.testing.assert_allclose(covariance, root @ root, rtol=0, atol=0.02 * (root @ root).max())


def test_alpha_zero_leaves_no_trace_of_the_style(engine: Engine) -> None:
    lcg = Lcg(9)
    features = engine.encode(random_picture(lcg, 30, 30))
    looks = [engine.look(random_picture(lcg, 20, 20) // divisor) for divisor in (1, 3)]
    plain = [engine.decode(features, look, 0.0) for look in looks]
    np.testing.assert_array_equal(*plain)
    styled = [engine.decode(features, look, 1.0) for look in looks]
    assert np.abs(styled[0].astype(int) - styled[1]).mean() > 1


def test_levels_are_run_from_the_deepest_whatever_their_order(three: WctFile, engine: Engine) -> None:
    lcg = Lcg(10)
    content, style = random_picture(lcg, 24, 36), random_picture(lcg, 24, 24)
    assert engine.levels == (4, 2, 1)
    full = engine.look(style)
    for levels in ([4], [1], [2, 4], [1, 4], [1, 2, 4]):
        want = reference.cascade(three, content, reference.wct_look(three, style, levels), 0.7)
        some = engine.with_levels(levels)
        assert some.levels == tuple(sorted(levels, reverse=True))
        for look in (some.look(style), full):
            np.testing.assert_array_equal(engine.decode(some.encode(content), look, 0.7), want)


def test_mixing_is_the_weighted_sum_of_means_and_roots(engine: Engine) -> None:
    lcg = Lcg(12)
    a, b = (engine.look(random_picture(lcg, 20, 20 + i)) for i in range(2))
    mixed = Engine.mix([a, b], [0.25, 0.75])
    assert isinstance(a, WctLook) and isinstance(b, WctLook) and isinstance(mixed, WctLook)
    for level in engine.levels:
        np.testing.assert_allclose(mixed.levels[level].root, 0.25 * a.levels[level].root + 0.75 * b.levels[level].root)
        np.testing.assert_allclose(mixed.levels[level].mean, 0.25 * a.levels[level].mean + 0.75 * b.levels[level].mean)


def test_a_constant_content_becomes_the_styles_mean() -> None:
    stage = stage_of(Lcg(2), 5, 0)
    mean, root = np.full(5, 0.25), np.eye(5)
    engine = Engine(to_bytes(WctFile({}, {1: stage})))
    features = engine.encode(np.full((1, 1, 3), 200, np.uint8))
    out = engine.decode(features, WctLook({1: Coloring(mean, root)}))
    q = np.rint(np.clip(mean / stage.decoder_scale + stage.decoder_zero, 0, 255)).astype(np.uint8).reshape(1, 1, 5)
    for layer in stage.decoder:
        q = reference.run_layer(q, layer)
    np.testing.assert_array_equal(out, q)


def test_working_memory_grows_with_the_picture_and_the_levels(engine: Engine) -> None:
    assert engine.working_bytes(256, 256) > engine.working_bytes(128, 128) > 0
    assert engine.working_bytes(256, 256) >= engine.with_levels([4]).working_bytes(256, 256)
    with pytest.raises(ValueError, match="no level 3"):
        engine.with_levels([3])


# --- what callers get wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "words"), [([], "at least one"), ([5], "no level 5"), ([4, 4], "twice"), ([0], "no level 0")]
)
def test_levels_that_cannot_be_run(engine: Engine, levels: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        engine.with_levels(levels)


def broken(how: str, coloring: Coloring) -> Coloring:
    mean, root = coloring.mean.copy(), coloring.root.copy()
    if how == "short":
        return Coloring(mean[1:], root)
    if how == "narrow":
        return Coloring(mean, root[1:])
    root[0, 0] = {"nan": np.nan, "infinite": np.inf, "huge": 1e300}[how]
    return Coloring(mean, root)


@pytest.mark.parametrize("how", ["short", "narrow", "nan", "infinite", "huge"])
def test_looks_that_cannot_be_used(engine: Engine, how: str) -> None:
    picture = random_picture(Lcg(4), 9, 9)
    look = engine.look(picture)
    assert isinstance(look, WctLook)
    bad = WctLook({**look.levels, 4: broken(how, look.levels[4])})
    with pytest.raises(ValueError, match=r".+"):
        engine.decode(engine.encode(picture), bad)


def test_a_look_without_the_level_is_refused(engine: Engine) -> None:
    picture = random_picture(Lcg(4), 9, 9)
    with pytest.raises(ValueError, match="without level 2"):
        engine.decode(engine.encode(picture), engine.with_levels([4, 1]).look(picture))
    with pytest.raises(ValueError, match="different levels"):
        Engine.mix([engine.look(picture), engine.with_levels([4]).look(picture)], [0.5, 0.5])


def test_the_two_kinds_of_model_do_not_mix(engine: Engine) -> None:
    picture = random_picture(Lcg(4), 9, 9)
    adain = Engine(to_bytes(reference.pair_like(1)))
    pairs: list[tuple[Engine, Any, Any]] = [
        (engine, engine.encode(picture), adain.look(picture)),
        (engine, adain.encode(picture), engine.look(picture)),
        (adain, adain.encode(picture), engine.look(picture)),
        (adain, engine.encode(picture), adain.look(picture)),
    ]
    for model, features, look in pairs:
        with pytest.raises(ValueError, match="model"):
            model.decode(features, look)
    with pytest.raises(ValueError, match="mixed"):
        Engine.mix([engine.look(picture), AdainLook(np.zeros(3), np.ones(3))], [0.5, 0.5])
    with pytest.raises(ValueError, match="AdaIN"):
        adain.with_levels([4])


def test_features_of_another_model_are_refused(engine: Engine) -> None:
    lcg = Lcg(4)
    picture = random_picture(lcg, 9, 9)
    other = Engine(to_bytes(WctFile({}, {4: stage_of(lcg, 12)})))
    with pytest.raises(ValueError, match=r".+"):
        engine.decode(other.encode(picture), engine.look(picture))


if __name__ == "__main__":
    answer_cases(random_case, check_case)
