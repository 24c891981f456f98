"""Statistics that follow the frames: what the average is, where it begins anew, and what the engine then computes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from clips import moving_square

from fastnst.engine import Engine, Statistics
from fastnst.engine.adain import AdainLook, steady_look
from fastnst.video.stability import Average, change, follow


def random_statistics(seed: int) -> Statistics:
    rng = np.random.default_rng(seed)
    return Statistics(rng.normal(size=24), rng.uniform(0.5, 2, 24))


def near(look: Statistics, by: float) -> Statistics:
    return Statistics(look.mean + by, look.std + by)


def test_the_average_is_exponential_and_begins_anew_at_a_cut() -> None:
    first = random_statistics(1)
    average = follow(None, first, 0.8)
    assert np.array_equal(average.mean, first.mean) and np.array_equal(average.std, first.std)
    second = near(first, 0.01)
    average = follow(average, second, 0.8)
    assert np.allclose(average.mean, first.mean + 0.002) and np.allclose(average.std, first.std + 0.002)
    assert average.last is second
    other = random_statistics(2)
    assert change(second, other) > 0.45 > change(first, second)
    assert np.array_equal(follow(average, other, 0.8).mean, other.mean)


def test_a_cut_is_seen_between_frames_and_not_from_the_average() -> None:
    look = random_statistics(1)
    average = follow(None, look, 1.0)
    for _ in range(100):  # far, in small steps
        look = near(look, 0.05)
        average = follow(average, look, 1.0)
    assert np.array_equal(average.mean, random_statistics(1).mean)


def test_extremes() -> None:
    first, second = random_statistics(1), near(random_statistics(1), 0.01)
    assert np.array_equal(follow(follow(None, first, 0.0), second, 0.0).std, second.std)
    assert np.array_equal(follow(follow(None, first, 1.0), second, 1.0).std, first.std)


def test_json_keeps_every_bit() -> None:
    average = follow(follow(None, random_statistics(3), 0.7), near(random_statistics(3), 0.001), 0.7)
    back = Average.from_json(json.loads(json.dumps(average.as_json())))
    for name in ("mean", "std"):
        assert np.array_equal(getattr(average, name), getattr(back, name))
        assert np.array_equal(getattr(average.last, name), getattr(back.last, name))


def test_the_look_makes_the_engine_normalise_by_the_average(model_path: Path) -> None:
    """By the engine's formula: its gain and offset, with the content's own statistics, become those of the average."""
    engine = Engine(model_path)
    content, style, average = random_statistics(4), AdainLook(*random_statistics(5)), random_statistics(6)
    steady = steady_look(style, content, average)
    gain = steady.std / content.std
    assert np.allclose(gain, style.std / average.std)
    assert np.allclose(steady.mean - content.mean * gain, style.mean - average.mean * style.std / average.std)
    features = engine.encode(moving_square(1)[0], 1)
    own = Statistics(*features.statistics())
    look = engine.look(np.flip(moving_square(1)[0], 0).copy(), 1)
    plain = engine.decode(features, look, 1.0, 1)
    same = engine.decode(features, look, 1.0, 1, normalised_by=follow(None, own, 0.5).statistics)
    assert np.abs(plain.astype(int) - same).max() <= 1  # but for the order in which gains are rounded
    other = engine.decode(features, look, 1.0, 1, normalised_by=follow(None, near(own, 0.1), 0.5).statistics)
    assert np.abs(plain.astype(int) - other).max() > 3


def test_wct_normalises_by_its_own_statistics_alone(wct_path: Path) -> None:
    engine, picture = Engine(wct_path), moving_square(1)[0]
    assert not engine.smoothable
    with pytest.raises(ValueError, match="WCT"):
        engine.decode(engine.encode(picture), engine.look(picture), normalised_by=random_statistics(1))


def test_change_is_relative() -> None:
    look = random_statistics(7)
    other = near(look, 0.1)
    louder = change(Statistics(10 * look.mean, 10 * look.std), Statistics(10 * other.mean, 10 * other.std))
    assert louder == pytest.approx(change(look, other))
