"""Statistics that follow the frames: what the average is, where it begins anew, and what the engine then computes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from clips import moving_square

from fastnst.engine import Engine, Look
from fastnst.video.stability import Average, change, follow, steady_look


def random_look(seed: int) -> Look:
    rng = np.random.default_rng(seed)
    return Look(rng.normal(size=24), rng.uniform(0.5, 2, 24))


def near(look: Look, by: float) -> Look:
    return Look(look.mean + by, look.std + by)


def test_the_average_is_exponential_and_begins_anew_at_a_cut() -> None:
    first = random_look(1)
    average = follow(None, first, 0.8)
    assert np.array_equal(average.mean, first.mean) and np.array_equal(average.std, first.std)
    second = near(first, 0.01)
    average = follow(average, second, 0.8)
    assert np.allclose(average.mean, first.mean + 0.002) and np.allclose(average.std, first.std + 0.002)
    assert average.last is second
    other = random_look(2)
    assert change(second, other) > 0.45 > change(first, second)
    assert np.array_equal(follow(average, other, 0.8).mean, other.mean)


def test_a_cut_is_seen_between_frames_and_not_from_the_average() -> None:
    look = random_look(1)
    average = follow(None, look, 1.0)
    for _ in range(100):  # far, in small steps
        look = near(look, 0.05)
        average = follow(average, look, 1.0)
    assert np.array_equal(average.mean, random_look(1).mean)


def test_extremes() -> None:
    first, second = random_look(1), near(random_look(1), 0.01)
    assert np.array_equal(follow(follow(None, first, 0.0), second, 0.0).std, second.std)
    assert np.array_equal(follow(follow(None, first, 1.0), second, 1.0).std, first.std)


def test_json_keeps_every_bit() -> None:
    average = follow(follow(None, random_look(3), 0.7), near(random_look(3), 0.001), 0.7)
    back = Average.from_json(json.loads(json.dumps(average.as_json())))
    for name in ("mean", "std"):
        assert np.array_equal(getattr(average, name), getattr(back, name))
        assert np.array_equal(getattr(average.last, name), getattr(back.last, name))


def test_the_look_makes_the_engine_normalise_by_the_average(model_path: Path) -> None:
    """By the engine's formula: its gain and offset, with the content's own statistics, become those of the average."""
    engine = Engine(model_path)
    content, style, average = random_look(4), random_look(5), Average(*vars(random_look(6)).values(), random_look(6))
    steady = steady_look(style, content, average)
    gain = steady.std / content.std
    assert np.allclose(gain, style.std / average.std)
    assert np.allclose(steady.mean - content.mean * gain, style.mean - average.mean * style.std / average.std)
    features = engine.encode(moving_square(1)[0], 1)
    own = Look(*features.statistics())
    look = engine.look(np.flip(moving_square(1)[0], 0).copy(), 1)
    assert isinstance(look, Look)
    plain = engine.decode(features, look, 1.0, 1)
    same = engine.decode(features, steady_look(look, own, follow(None, own, 0.5)), 1.0, 1)
    assert np.abs(plain.astype(int) - same).max() <= 1  # but for the order in which gains are rounded
    other = engine.decode(features, steady_look(look, own, follow(None, near(own, 0.1), 0.5)), 1.0, 1)
    assert np.abs(plain.astype(int) - other).max() > 3


def test_change_is_relative() -> None:
    look = random_look(7)
    other = near(look, 0.1)
    louder = change(Look(10 * look.mean, 10 * look.std), Look(10 * other.mean, 10 * other.std))
    assert louder == pytest.approx(change(look, other))
