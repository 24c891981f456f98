"""Files of WCT stages that are broken, hostile or odd: refused with one clear line, or models that run exactly."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy_engine as reference
import pytest
from numpy_engine import Lcg, Shape, model_of, random_cascade, random_picture
from refusals import refused

from fastnst.engine import Engine, ModelError
from fastnst.format.modelfile import AdainFile, Stage, WctFile, to_bytes

DIGEST = 32
HOSTILE = sorted({0, 1, 2, 3, 6, 255, 256, 257, 65537, 2**24} | {2**31 + off for off in (-1, 0, 1)} | {2**32 - 1, 2**32 - 256})


def small_stage(seed: int) -> Stage:
    model = model_of(Lcg(seed), [Shape(3, kernel=1), Shape(5, resizes=True)], [Shape(2), Shape(3, resizes=True)])
    scale = np.linspace(0.01, 0.05, 5, dtype=np.float32)
    return Stage(model.encoder, model.decoder, scale, scale / 2, np.full(5, 63.5, np.float32))


def small_model() -> WctFile:
    return WctFile({"name": "small"}, {4: small_stage(1), 2: small_stage(2)})


@pytest.fixture(scope="module")
def sound() -> bytes:
    return to_bytes(small_model())


def resealed(data: bytes) -> bytes:
    """``data`` with its last 32 bytes replaced by the right checksum."""
    return data[:-DIGEST] + hashlib.sha256(data[:-DIGEST]).digest()


def put(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


def first_stage(data: bytes) -> int:
    """Where the first stage begins."""
    card = int(struct.unpack_from("<I", data, 20)[0])
    return 48 + card + -card % 4


def test_writing_and_parsing_give_the_same_bytes() -> None:
    for seed in range(40):
        model = random_cascade(Lcg(seed), widest=12)
        data = to_bytes(model)
        assert to_bytes(reference.parse(data)) == data
        engine = Engine(data)
        assert engine.card == model.card
        assert engine.levels == tuple(sorted(model.stages, reverse=True))


def test_truncated_and_flipped_files(sound: bytes) -> None:
    for length in range(len(sound)):
        refused(sound[:length])
    for at in range(len(sound)):
        refused(sound[:at] + bytes([sound[at] ^ 1 << at % 8]) + sound[at + 1 :])


def test_truncated_with_a_right_checksum(sound: bytes) -> None:
    for length in range(48, len(sound) - DIGEST):
        body = sound[:8] + struct.pack("<Q", length + DIGEST) + sound[16:length]
        refused(body + hashlib.sha256(body).digest())


@pytest.mark.parametrize("at", [24, 28, 32, 36, 40, 44], ids=["stages", *("reserved",) * 5])
def test_header_fields_of_hostile_value(sound: bytes, at: int) -> None:
    true = struct.unpack_from("<I", sound, at)[0]
    for value in HOSTILE:
        if value != true:
            refused(resealed(put(sound, at, value)))


@pytest.mark.parametrize("field", [0, 1, 2], ids=["number", "encoder layers", "decoder layers"])
def test_stage_fields_of_hostile_value(sound: bytes, field: int) -> None:
    at = first_stage(sound) + 4 * field
    true = struct.unpack_from("<I", sound, at)[0]
    for value in HOSTILE:
        if value != true and (field != 0 or value != 3):  # stage 3 before stage 2 is as good as stage 4
            refused(resealed(put(sound, at, value)))


def test_stages_are_numbered_downwards(sound: bytes) -> None:
    for number in (1, 2, 6, 0):
        assert "numbered" in refused(resealed(put(sound, first_stage(sound), number)))


@pytest.mark.parametrize("name", ["feature_scale", "decoder_scale", "decoder_zero"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-42, 3.4e38, 1e7])
def test_scales_and_zeros_that_are_none(name: str, value: float) -> None:
    stage = small_stage(1)
    array = getattr(stage, name).copy()
    array[-1] = value
    data = to_bytes(WctFile({}, {4: replace(stage, **{name: array})}))
    zero = name == "decoder_zero"
    if (zero and abs(value) < 1e6) or (not zero and value == 1e7):
        Engine(data)
    else:
        refused(data)


def test_more_channels_than_can_be_whitened() -> None:
    for channels, accepted in ((512, True), (513, False)):
        model = model_of(Lcg(1), [Shape(channels, kernel=1)], [Shape(3, kernel=1)])
        ones = np.ones(channels, np.float32)
        data = to_bytes(WctFile({}, {1: Stage(model.encoder, model.decoder, ones, ones, ones)}))
        if accepted:
            Engine(data)
        else:
            assert "512" in refused(data)


CHANGES: dict[str, Callable[[Stage], Stage]] = {
    "no encoder": lambda stage: replace(stage, encoder=[], feature_scale=np.ones(0, np.float32)),
    "no decoder": lambda stage: replace(stage, decoder=[]),
    "gap": lambda stage: replace(stage, decoder=stage.decoder[1:]),
    "smaller picture": lambda stage: replace(stage, encoder=[stage.encoder[0], replace(stage.encoder[1], pool="none")]),
    "overflow": lambda stage: replace(
        stage, encoder=[replace(stage.encoder[0], bias=np.full(3, 2**31 - 1, np.int32)), stage.encoder[1]]
    ),
}


@pytest.mark.parametrize("how", CHANGES)
def test_layers_that_do_not_make_a_stage(how: str) -> None:
    stages = small_model().stages
    refused(to_bytes(WctFile({}, {4: stages[4], 2: CHANGES[how](stages[2])})))


def test_no_stages_and_the_other_kind(sound: bytes) -> None:
    refused(to_bytes(WctFile({}, {})))
    refused(resealed(put(sound, 16, 1)))
    stage = small_stage(1)
    refused(resealed(put(to_bytes(AdainFile({}, stage.encoder, stage.decoder, 1.0, 1.0, 0)), 16, 2)))


def test_random_damage_is_refused_or_computes_exactly(sound: bytes) -> None:
    """Bytes changed at random under a right checksum: what is still a model must run as the reference says."""
    lcg = Lcg(77)
    picture, accepted = random_picture(lcg, 5, 7), 0
    for _ in range(400):
        data = sound
        for _ in range(1 + lcg.below(3)):
            at = lcg.below(len(sound) - DIGEST)
            data = data[:at] + bytes([lcg.below(256)]) + data[at + 1 :]
        data = resealed(data)
        try:
            engine = Engine(data)
        except ModelError:
            continue
        accepted += 1
        model = reference.parse(data)
        assert isinstance(model, WctFile)
        try:
            out = engine.decode(engine.encode(picture, 1), engine.look(picture, 1), 0.9, 1)
        except ValueError:
            continue  # scales so extreme that the transform leaves float32
        look = reference.wct_look(model, picture, model.stages)
        np.testing.assert_array_equal(out, reference.cascade(model, picture, look, 0.9))
    assert accepted > 100
