"""Model files changed at random, or random from the start: refused, or a model that runs exactly."""

from __future__ import annotations

import struct

import numpy as np
import numpy_engine as reference
import pytest
from numpy_engine import Lcg, random_picture
from refusals import refused
from test_modelfile import DIGEST, put, resealed, sealed, small_model

from fastnst.engine import AdainLook, Engine, ModelError
from fastnst.format.modelfile import to_bytes


@pytest.fixture(scope="module")
def sound() -> bytes:
    return to_bytes(small_model())


def test_random_damage_is_refused_or_computes_exactly(sound: bytes) -> None:
    """Bytes changed at random under a right checksum: what is still a model must run as the reference says."""
    lcg = Lcg(77)
    picture = random_picture(lcg, 5, 7)
    accepted = 0
    for _ in range(2000):
        data = sound
        for _ in range(1 + lcg.below(3)):
            data = put(data, lcg.below(len(sound) - DIGEST), 1, lcg.below(256))
        data = resealed(data)
        try:
            engine = Engine(data)
        except ModelError:
            continue
        accepted += 1
        model = reference.parse(data)
        features = engine.encode(picture, 1)
        wanted = reference.encode(model, picture)
        np.testing.assert_array_equal(features.array(), wanted)
        mean, std = features.statistics()
        try:
            out = engine.decode(features, AdainLook(mean + 0.5, std * 1.5), 0.9, 1)
        except ValueError:
            continue  # a scale so extreme that AdaIN leaves float32
        np.testing.assert_array_equal(out, reference.decode(model, wanted, mean + 0.5, std * 1.5, 0.9, picture.shape[:2]))
    assert accepted > 400


def test_random_files_with_a_right_frame_are_refused() -> None:
    lcg = Lcg(78)
    for _ in range(200):
        body = b"FNST" + struct.pack("<IQIIII", 1, 0, 1, lcg.below(40), 1 + lcg.below(4), 1 + lcg.below(4))
        body += bytes(lcg.below(256) for _ in range(lcg.below(400)))
        refused(sealed(body))
