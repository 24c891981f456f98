"""Model files that are broken, hostile or odd: each is refused with one clear line, or it is a model and runs exactly."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import struct
import zipfile
from dataclasses import replace
from typing import Any

import numpy as np
import numpy_engine as reference
import pytest
from numpy_engine import Lcg, Shape, model_of, random_model
from refusals import refused

from fastnst.engine import Engine
from fastnst.format.modelfile import AdainFile, Layer, to_bytes

DIGEST = 32
HEADER = 48
FIELDS = {
    "magic": (0, 4),
    "version": (4, 4),
    "length": (8, 8),
    "kind": (16, 4),
    "card": (20, 4),
    "encoder layers": (24, 4),
    "decoder layers": (28, 4),
    "feature scale": (32, 4),
    "decoder scale": (36, 4),
    "decoder zero": (40, 4),
    "reserved": (44, 4),
}
"""Name -> (offset, bytes) in the header."""
LAYER_FIELDS = ("inputs", "outputs", "kernel", "upsample", "pool", "zero", "coded")
MAY_BE_ANYTHING = {"decoder zero": range(256), "zero": range(256)}
"""Fields that mean something at more than one value without the rest of the file changing."""
HOSTILE = sorted(
    {0, 1, 2, 3, 4, 255, 256, 65536, 65537, 2**24}
    | {2**power + off for power in (31, 32, 63) for off in (-1, 0, 1)}
    | {2**64 - 1, 2**32 - 256}
)


def small_model() -> AdainFile:
    return model_of(Lcg(21), [Shape(3, kernel=1), Shape(5, resizes=True)], [Shape(2), Shape(3, resizes=True)])


def sealed(body: bytes) -> bytes:
    """``body``, a file without its checksum, with the length and the checksum that make it believable."""
    body = body[:8] + struct.pack("<Q", len(body) + DIGEST) + body[16:]
    return body + hashlib.sha256(body).digest()


def resealed(data: bytes) -> bytes:
    """``data`` with its last 32 bytes replaced by the right checksum, everything else as it is."""
    return data[:-DIGEST] + hashlib.sha256(data[:-DIGEST]).digest()


def put(data: bytes, at: int, size: int, value: int) -> bytes:
    return data[:at] + (value % 2 ** (8 * size)).to_bytes(size, "little") + data[at + size :]


def layer_offsets(data: bytes) -> list[int]:
    """Where each layer of a sound file begins."""
    model = reference.parse(data)
    card = struct.unpack_from("<I", data, 20)[0]
    offsets, at = [], HEADER + card + -card % 4
    for layer in (*model.encoder, *model.decoder):
        offsets.append(at)
        for array in (layer.weights, layer.bias, layer.multiplier):
            at += array.nbytes + -array.nbytes % 4
        at += 4 * len(LAYER_FIELDS)
    return offsets


@pytest.fixture(scope="module")
def sound() -> bytes:
    return to_bytes(small_model())


def changed(layer: int, **changes: Any) -> bytes:
    """The small model's file with fields of one layer (encoder's first, then decoder's) replaced."""
    model = small_model()
    layers = [*model.encoder, *model.decoder]
    layers[layer] = replace(layers[layer], **changes)
    return to_bytes(replace(model, encoder=layers[:2], decoder=layers[2:]))


def test_writing_and_parsing_give_the_same_bytes() -> None:
    for seed in range(60):
        model = random_model(Lcg(seed), widest=12)
        data = to_bytes(model)
        parsed = reference.parse(data)
        assert to_bytes(parsed) == data
        assert parsed.card == model.card
        assert Engine(data).card == model.card


def test_card_may_hold_any_text() -> None:
    card = {"name": "Żółw — 亀 \U0001f422", "widths": [1, 2], "nested": {"a": None}}
    model = replace(small_model(), card=card)
    assert Engine(to_bytes(model)).card == card
    assert reference.parse(to_bytes(model)).card == card


@pytest.mark.parametrize("size", range(1, 5))
def test_padding_of_cards_of_every_length(size: int) -> None:
    assert Engine(to_bytes(replace(small_model(), card={"a": "x" * size}))).card == {"a": "x" * size}


# --- damage -----------------------------------------------------------------------------------------------------------------


def test_truncated_at_every_length(sound: bytes) -> None:
    for length in range(len(sound)):
        refused(sound[:length])


def test_truncated_with_a_right_checksum(sound: bytes) -> None:
    for length in range(HEADER, len(sound) - DIGEST):
        refused(sealed(sound[:length]))


def test_flipped_in_every_byte(sound: bytes) -> None:
    for at in range(len(sound)):
        refused(put(sound, at, 1, sound[at] ^ 1 << at % 8))


@pytest.mark.parametrize("extra", [b"\0", b"\0" * 4, b"x" * 100])
def test_bytes_after_the_end(sound: bytes, extra: bytes) -> None:
    refused(sound + extra)
    refused(sealed(sound[:-DIGEST] + extra))
    refused(resealed(sound[:-DIGEST] + extra + bytes(DIGEST)))


def test_two_files_in_one(sound: bytes) -> None:
    refused(sound + sound)


# --- fields -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", FIELDS)
def test_header_fields_of_hostile_value(sound: bytes, field: str) -> None:
    at, size = FIELDS[field]
    true = int.from_bytes(sound[at : at + size], "little")
    for value in HOSTILE:
        if value >= 2 ** (8 * size) or value == true or value in MAY_BE_ANYTHING.get(field, ()):
            continue
        refused(resealed(put(sound, at, size, value)))


@pytest.mark.parametrize("field", LAYER_FIELDS)
@pytest.mark.parametrize("layer", range(4))
def test_layer_fields_of_hostile_value(sound: bytes, layer: int, field: str) -> None:
    at = layer_offsets(sound)[layer] + 4 * LAYER_FIELDS.index(field)
    true = int.from_bytes(sound[at : at + 4], "little")
    for value in HOSTILE:
        if value >= 2**32 or value == true or value in MAY_BE_ANYTHING.get(field, ()):
            continue
        if field == "pool" and {true, value} == {1, 2}:
            continue  # floor and ceil are both good here
        refused(resealed(put(sound, at, 4, value)))


def test_counts_whose_product_wraps(sound: bytes) -> None:
    """Channel counts whose byte count is small modulo 2^32 or 2^64."""
    at = layer_offsets(sound)[0]
    for inputs, outputs in ((65536, 65536), (2**16, 2**16 + 1), (2**31, 2), (2**32 - 1, 2**32 - 1), (3, 2**30)):
        refused(resealed(put(put(sound, at, 4, inputs), at + 4, 4, outputs)))


@pytest.mark.parametrize(("version", "kind"), [(1, 1), (4, 1), (0, 1), (2, 4), (2, 0)])
def test_other_versions_and_kinds_are_named(sound: bytes, version: int, kind: int) -> None:
    message = refused(resealed(put(put(sound, 4, 4, version), 16, 4, kind)))
    assert ("version" if version != 2 else "kind") in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0, 1e-42, -1e-42, 3.4e38])
@pytest.mark.parametrize("at", [32, 36])
def test_scales_that_are_no_scales(sound: bytes, at: int, value: float) -> None:
    refused(resealed(sound[:at] + struct.pack("<f", value) + sound[at + 4 :]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0, 1e-42, 3.4e38, 1e30])
@pytest.mark.parametrize("layer", range(4))
def test_multipliers_that_are_no_multipliers(layer: int, value: float) -> None:
    model = small_model()
    multiplier = (*model.encoder, *model.decoder)[layer].multiplier.copy()
    multiplier.flat[-1] = value
    refused(changed(layer, multiplier=multiplier))


def test_padding_that_is_not_zero(sound: bytes) -> None:
    first = layer_offsets(sound)[0] + 28  # a 1x1 layer of 3 x 3 weights: nine bytes, three of padding
    for at in range(first + 9, first + 12):
        assert sound[at] == 0
        refused(resealed(put(sound, at, 1, 1)))


# --- coded weights ----------------------------------------------------------------------------------------------------------


CODED = 4 * len(LAYER_FIELDS)
"""Where the coded weights of a layer begin, behind its head."""


@pytest.fixture(scope="module")
def coded() -> tuple[bytes, int, int]:
    """A sound file whose first layer's weights are coded, where that layer begins, and how many bytes they take."""
    rng = np.random.default_rng(0)
    weights = np.clip(rng.laplace(0, 5, (64, 3, 3, 3)), -127, 127).astype(np.int8)
    first = Layer(weights, np.zeros(64, np.int32), np.full(64, 1e-2, np.float32))
    data = to_bytes(AdainFile({}, [first], [wide(3, 64)], 1.0, 1.0, 0))
    at = HEADER + 4
    return data, at, struct.unpack_from("<I", data, at + 24)[0]


def test_weights_are_coded_where_that_is_shorter(coded: tuple[bytes, int, int]) -> None:
    data, _, size = coded
    assert 0 < size < 64 * 27
    assert to_bytes(reference.parse(data)) == data
    Engine(data)


@pytest.mark.parametrize("off", [-128, -5, -1, 1, 4])
def test_coded_bytes_of_another_number(coded: tuple[bytes, int, int], off: int) -> None:
    data, at, size = coded
    refused(resealed(put(data, at + 24, 4, size + off)))


def test_code_lengths_that_make_no_code(coded: tuple[bytes, int, int]) -> None:
    """Too many codes, too few, none at all, or longer than any may be."""
    data, at, _ = coded
    used = next(i for i in range(128) if data[at + CODED + i])
    for place, value in [(used, 0), (used, 255), (used, data[at + CODED + used] - 1), (0, 0x1D), (0, 0xFF)]:
        assert "code" in refused(resealed(put(data, at + CODED + place, 1, value)))
    assert "code" in refused(resealed(data[: at + CODED] + bytes(128) + data[at + CODED + 128 :]))


def test_bits_after_the_last_code(coded: tuple[bytes, int, int]) -> None:
    """More of them, or a 1 among those that fill the last byte, in a file that has a place for it."""
    data, at, size = coded
    end = at + CODED + size
    longer = data[:end] + bytes(4) + data[end:-DIGEST]
    refused(sealed(put(longer, at + 24, 4, size + 4)))


def test_more_weights_than_bits(coded: tuple[bytes, int, int]) -> None:
    data, at, _ = coded
    for outputs in (65, 65536):
        refused(resealed(put(data, at + 4, 4, outputs)))


# --- structure --------------------------------------------------------------------------------------------------------------


def test_weights_that_could_overflow() -> None:
    """255 * sum |w| + |bias| reaches 2^31 in one channel, for the largest bias of either sign."""
    layer = small_model().encoder[0]
    for bias in (2**31 - 1, -(2**31), -(2**31) + 1):
        biases = layer.bias.copy()
        biases[-1] = bias
        assert "overflow" in refused(changed(0, bias=biases, multiplier=np.full(3, 1e-9, np.float32)))


def test_the_bound_on_the_sums_is_exact() -> None:
    weights = np.zeros((3, 1, 1, 3), np.int8)
    weights[:, 0, 0, :] = (-128, 127, 1)
    most = 2**31 - 1 - 255 * 256
    multiplier = np.full(3, 1e-8, np.float32)
    for bias, accepted in ((most, True), (most + 1, False), (-most, True), (-most - 1, False)):
        data = changed(0, weights=weights, bias=np.array([0, bias, 0], np.int32), multiplier=multiplier)
        if accepted:
            Engine(data)
        else:
            refused(data)


def test_an_output_that_could_overflow() -> None:
    """A sum in range whose product with the multiplier is not."""
    assert "overflow" in refused(changed(0, multiplier=np.full(3, 1e6, np.float32)))


def wide(outputs: int, inputs: int) -> Layer:
    return Layer(np.ones((outputs, 3, 3, inputs), np.int8), np.zeros(outputs, np.int32), np.full(outputs, 1e-2, np.float32))


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        ([wide(4, 3), wide(4, 5)], [wide(3, 4)]),
        ([wide(4, 4)], [wide(3, 4)]),
        ([wide(4, 1)], [wide(3, 4)]),
        ([wide(4, 3)], [wide(3, 5)]),
        ([wide(4, 3)], [wide(4, 4)]),
        ([wide(4, 3)], [wide(1, 4)]),
        ([wide(4, 3)], []),
        ([], [wide(3, 3)]),
        ([], []),
        ([replace(wide(4, 3), pool="floor")], [wide(3, 4)]),
        ([replace(wide(4, 3), pool="floor")] + [replace(wide(4, 4), pool="floor")] * 70, [wide(3, 4)]),
        ([wide(4, 3)] * 1 + [wide(4, 4)] * 600, [wide(3, 4)]),
    ],
    ids=[
        "gap inside the encoder",
        "four colours in",
        "one colour in",
        "gap between the chains",
        "four colours out",
        "one colour out",
        "no decoder",
        "no encoder",
        "no layers",
        "smaller picture out",
        "2^71 times smaller inside",
        "too many layers",
    ],
)
def test_layers_that_do_not_make_a_model(encoder: list[Layer], decoder: list[Layer]) -> None:
    refused(to_bytes(AdainFile({}, encoder, decoder, 1.0, 1.0, 0)))


# --- the card ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "card",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"{'name': 1}",
        b'{"a": 1} x',
        b"\xed\xa0\x80",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"3",
        b"[]",
        b"null",
    ],
    ids=["empty", "cut", "utf-16", "python", "two values", "surrogate", "deep list", "deep object", "number", "list", "null"],
)
def test_cards_that_are_no_json_objects(sound: bytes, card: bytes) -> None:
    refused(sealed(with_card(sound, card)))


def with_card(data: bytes, card: bytes) -> bytes:
    """The file ``data`` with another card, its checksum left out."""
    body = data[: layer_offsets(data)[0]][:HEADER] + card + bytes(-len(card) % 4) + data[layer_offsets(data)[0] : -DIGEST]
    return put(body, 20, 4, len(card))


# --- other things people give as a model ------------------------------------------------------------------------------------


def a_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", b"cos\nsystem\n(S'true'\ntR.")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"FNST",
        b"FNS",
        b"GIF89a",
        b"<!DOCTYPE html><html><body>404</body></html>" * 10,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 460000\n",
        a_zip(),
        pickle.dumps({"state_dict": [1, 2, 3]}),
        struct.pack("<Q", 64) + json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode() + b"\0" * 64,
        bytes(1000),
        b"FNST" + b"\xff" * 1000,
    ],
    ids=["nothing", "magic alone", "less", "gif", "html", "lfs pointer", "zip", "pickle", "safetensors", "zeros", "ones"],
)
def test_files_that_are_no_models(data: bytes) -> None:
    refused(data)
