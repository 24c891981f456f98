"""Files made to hurt: small sound ones, mutations of them, and those that have broken others' readers before."""

from __future__ import annotations

import hashlib
import random
import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy_engine import Lcg, Shape, model_of, stage_of
from numpy_generator import Builder, skipped_lanes_cleared, with_styles

from fastnst.format.graphfile import Affine, Convolution, GeneratorFile, Paint
from fastnst.format.modelfile import AdainFile, Layer, WctFile, to_bytes

DIGEST, HEADER = 32, 48
EXTREMES = sorted(
    {0, 1, 2**32 - 1, 2**64 - 1} | {2**power + off for power in (31, 32, 63) for off in (-1, 0, 1)} | {2, 3, 255, 256, 65536}
)
"""Values that sizes are computed wrong from: 0, 1, -1, 2^31 +- 1, 2^32 +- 1, 2^63 +- 1, 2^64 - 1, and limits of the format."""


def sealed(body: bytes) -> bytes:
    """A file without its checksum, with the length and the checksum that make it believable."""
    body = body[:8] + struct.pack("<Q", len(body) + DIGEST) + body[16:]
    return body + hashlib.sha256(body).digest()


def resealed(data: bytes) -> bytes:
    """``data`` with the right checksum and whatever length it says."""
    return data[:-DIGEST] + hashlib.sha256(data[:-DIGEST]).digest()


def put(data: bytes, at: int, value: int, size: int = 4) -> bytes:
    """``data`` with a number of ``size`` bytes at ``at``, written modulo 2^(8 size)."""
    return data[:at] + (value % 2 ** (8 * size)).to_bytes(size, "little") + data[at + size :]


# ---- sound files ------------------------------------------------------------------------------------------------------------


@cache
def pair() -> AdainFile:
    return replace(model_of(Lcg(21), [Shape(3, kernel=1), Shape(5, resizes=True)], [Shape(2), Shape(3, resizes=True)]), card={})


@cache
def winograd_pair() -> AdainFile:
    """With layers in Winograd form, a pool and an upsampling in them."""
    encoder = [Shape(5), Shape(7, resizes=True, winograd=True), Shape(6, winograd=True)]
    return replace(model_of(Lcg(33), encoder, [Shape(6, resizes=True, winograd=True), Shape(3)]), card={})


@cache
def cascade() -> WctFile:
    return WctFile({}, {3: stage_of(Lcg(5), 4), 1: stage_of(Lcg(6), 3, 0)})


@cache
def generator() -> GeneratorFile:
    """Every type of node and every form, an addition, and a map of two writers."""
    graph = Builder(Lcg(4), side=16)
    stream = graph.affine(graph.convolution(0, 3, 3, stride=2), wide=True, normalises=True)
    raw = graph.convolution(graph.affine(stream, negative=0.0), 3, 3, form="depthwise")
    x = graph.affine(graph.affine(raw, wide=True, addend=stream))
    x = graph.affine(graph.convolution(x, 2, 4, stride=2, form="transposed"), negative=0.2)
    graph.affine(graph.convolution(0, 2, 1), target=x)
    return skipped_lanes_cleared(graph.paint(graph.convolution(x, 3, 3, border="reflected")))


def styled() -> GeneratorFile:
    """The same in three styles."""
    return with_styles(generator(), Lcg(6), 3, every=2)


def sound_models() -> dict[str, bytes]:
    """A small file of each kind of model."""
    return {
        "adain": to_bytes(pair()),
        "winograd": to_bytes(winograd_pair()),
        "wct": to_bytes(cascade()),
        "generator": to_bytes(generator()),
        "styles": to_bytes(styled()),
    }


# ---- mutations --------------------------------------------------------------------------------------------------------------


def mutated_models(data: bytes, count: int, seed: int = 1) -> Iterator[bytes]:
    """``count`` files out of a sound one: half by bytes, half by its fields, all of which lie at multiples of 4.

    By bytes: cut at every length in turn, bits flipped, pieces cut out, doubled and moved, with and without a right frame. By
    fields: one to three of them set to each of :data:`EXTREMES`.
    """
    chance = random.Random(seed)
    others = list(sound_models().values())
    for number in range(count):
        if number % 2:
            body = data
            for _ in range(chance.choice((1, 1, 1, 2, 3))):
                size = chance.choice((4, 4, 4, 8))
                body = put(body, 4 * chance.randrange((len(data) - DIGEST) // 4 - 1), chance.choice(EXTREMES), size)
            yield resealed(body)
        elif number % 4:
            body = data[: (number // 4) % len(data)]
            yield sealed(body.ljust(16, b"\0")) if chance.random() < 0.7 else body
        else:
            body = bytearray(data[:-DIGEST])
            _disturb(body, chance, chance.choice(others))
            yield sealed(bytes(body)) if chance.random() < 0.9 else bytes(body)


def _disturb(body: bytearray, chance: random.Random, other: bytes) -> None:
    """One to four of: bits flipped, a byte set, a piece doubled, moved, cut out, or put in from another file."""
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(16, len(body)), chance.choice((1, 2, 4, 8, 28, 44, 64))
        kind = chance.randrange(6)
        if kind == 0:
            body[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            body[at] = chance.choice((0, 1, 127, 128, 255))
        elif kind == 2:
            body[at:at] = body[at : at + length]
        elif kind == 3:
            to = chance.randrange(16, len(body))
            body[to : to + length] = body[at : at + length]
        elif kind == 4 and len(body) > 200:
            del body[at : at + length]
        else:
            start = chance.randrange(len(other))
            body[at : at + length] = other[start : start + length]


def mutated_pnm(count: int, seed: int = 2) -> Iterator[bytes]:
    """PPM, PGM and PAM pictures, cut, flipped, and with other numbers in their headers."""
    chance = random.Random(seed)
    pixels = bytes(range(240))
    sound = [
        b"P6\n8 10\n255\n" + pixels,
        b"P6 # a comment\n8 10 255\n" + pixels,
        b"P5\n24 10 255\n" + pixels,
        *(
            b"P7\nWIDTH %d\nHEIGHT 10\nDEPTH %d\nMAXVAL 255\nTUPLTYPE X\nENDHDR\n" % (width, depth) + pixels
            for width, depth in ((24, 1), (12, 2), (8, 3), (6, 4))
        ),
    ]
    words = [
        b"0",
        b"1",
        b"-1",
        b"65535",
        b"99999",
        b"100000000",
        b"999999999",
        b"4294967297",
        b"18446744073709551616",
        b"x",
        b"",
    ]
    for number in range(count):
        body = bytearray(sound[number // 3 % len(sound)])
        if number % 3 == 0:
            del body[chance.randrange(len(body)) :]
        elif number % 3 == 1:
            for _ in range(chance.randint(1, 6)):
                body[chance.randrange(min(len(body), 80))] = chance.randrange(256)
        else:
            parts = re.split(rb"(\s)", bytes(body[:-240]))  # words, and what is between them
            parts[2 * chance.randrange(1, len(parts) // 2)] = chance.choice(words)
            body[:-240] = b"".join(parts)
        yield bytes(body)


# ---- named seeds ------------------------------------------------------------------------------------------------------------


def seeds() -> dict[str, bytes]:
    """Model files modelled on public bugs of other readers, all of which must be refused.

    GGUF: CVE-2024-21802, CVE-2025-53630, CVE-2026-27940. safetensors' ports: mlx #3363, audio.cpp #138. ONNX: CVE-2022-25882.
    """
    return {**_frame_seeds(), **_layer_seeds(), **_other_kinds()}


def _frame_seeds() -> dict[str, bytes]:
    sound = to_bytes(pair())
    fields = {
        "version": 4,
        "kind": 16,
        "card": 20,
        "encoder layers": 24,
        "decoder layers": 28,
        "decoder zero": 40,
        "reserved": 44,
    }
    found = {f"{name} of 2^32 - 1": resealed(put(sound, at, -1)) for name, at in fields.items()}
    for name, value in {"0": 0, "1": 1, "2^63": 2**63, "2^64 - 1": 2**64 - 1, "one more": len(sound) + 1}.items():
        found[f"length of {name}"] = resealed(put(sound, 8, value, 8))
    for name, value in {"NaN": np.nan, "infinite": np.inf, "zero": 0.0, "denormal": 1e-42, "negative": -1.0}.items():
        found[f"{name} scale"] = resealed(sound[:32] + struct.pack("<f", value) + sound[36:])
    found["nothing"], found["magic alone"], found["two files in one"] = b"", b"FNST", sound + sound
    found["bytes after the last layer"] = sealed(sound[:-DIGEST] + bytes(4))
    found["a hole between layers"] = sealed(sound[: HEADER + 4] + bytes(4) + sound[HEADER + 4 : -DIGEST])
    found["half a checksum"] = sound[:-16]
    found["a bit that flipped"] = put(sound, 99, sound[99] ^ 4, 1)
    found["a card of more than a megabyte"] = to_bytes(replace(pair(), card={"x": "x" * (1 << 20)}))
    return found


def _with_layer(number: int, **changes: Any) -> bytes:
    layers = [*pair().encoder, *pair().decoder]
    layers[number] = replace(layers[number], **changes)
    return to_bytes(replace(pair(), encoder=layers[:2], decoder=layers[2:]))


def _layer_seeds() -> dict[str, bytes]:
    sound, head = to_bytes(pair()), HEADER + 4
    shapes = {"wraps 32 bits": (65536, 65536), "wraps to 4": (4194305, 4194305), "of 2^31 by 2": (2**31, 2),
              "of -1 by -1": (-1, -1), "of 0": (0, 3), "one more than is there": (3, 4)}  # fmt: skip
    found = {f"a shape {name}": resealed(put(put(sound, head, a), head + 4, b)) for name, (a, b) in shapes.items()}
    for index, name in enumerate(("kernel", "upsample", "pool", "zero point", "coded length")):
        found[f"{name} of 2^31"] = resealed(put(sound, head + 8 + 4 * index, 2**31))
    found["coded length beyond the end"] = resealed(put(sound, head + 24, len(sound)))
    ones = np.ones(3, np.float32)
    for name, value in {"NaN": np.nan, "infinite": np.inf, "zero": 0.0, "denormal": 1e-42, "huge": 1e19}.items():
        found[f"{name} multiplier"] = _with_layer(0, multiplier=ones * np.float32(value))
    found["a bias that overflows"] = _with_layer(0, bias=np.full(3, 2**31 - 1, np.int32), multiplier=ones * 1e-9)
    found["layers that do not chain"] = _with_layer(1, weights=np.ones((5, 3, 3, 4), np.int8))
    found["four colours out"] = _with_layer(3, weights=np.ones((4, 4, 2, 2, 2), np.int8), bias=np.zeros((4, 4), np.int32),
                                            multiplier=np.full((4, 4), 1e-3, np.float32))  # fmt: skip
    found["a picture of another size"] = _with_layer(1, pool="none")
    found["a bomb of coded weights"] = _coded_bomb()
    return found


def _coded_bomb() -> bytes:
    """Two codes of one bit, and 65536 x 65536 weights in them."""
    lengths = bytes([0x11]) + bytes(127)
    head = struct.pack("<7I", 65536, 65536, 1, 0, 0, 0, len(lengths) + 64)
    return sealed(to_bytes(pair())[: HEADER + 4] + head + lengths + bytes(64))


def weights_up_to_the_bound(more: int) -> bytes:
    """A model with a channel whose sum of |weight| is what 32 bits hold for bytes, 8,421,504, and ``more``."""
    inputs = 7311  # 9 * 7311 weights of the second layer, 65,793 of them -128
    weights = np.zeros((1, 3, 3, inputs), np.int8)
    weights.reshape(-1)[:65793] = -128
    weights.reshape(-1)[65793 : 65793 + more] = 1
    first = Layer(np.ones((inputs, 1, 1, 3), np.int8), np.zeros(inputs, np.int32), np.full(inputs, 0.3, np.float32))
    second = Layer(weights, np.zeros(1, np.int32), np.full(1, 1e-7, np.float32))
    last = Layer(np.ones((3, 1, 1, 1), np.int8), np.zeros(3, np.int32), np.ones(3, np.float32))
    return to_bytes(AdainFile({}, [first, second], [last], 1.0, 1.0, 0))


def _other_kinds() -> dict[str, bytes]:
    wct = to_bytes(cascade())
    found = {f"stage number {value}": resealed(put(wct, HEADER + 4, value)) for value in (0, 1, 6, 2**31)}
    found["no stages"], found["six stages"] = resealed(put(wct, 24, 0)), resealed(put(wct, 24, 6))

    def with_node(kind: type, **changes: Any) -> bytes:
        nodes = list(generator().nodes)
        place = next(i for i, node in enumerate(nodes) if isinstance(node, kind))
        nodes[place] = replace(nodes[place], **changes)
        return to_bytes(GeneratorFile({}, nodes))

    found |= {f"a node that reads map {n}": with_node(Convolution, source=n) for n in (1, 99, 2**31)}
    found |= {f"a node that writes map {n}": with_node(Convolution, target=n) for n in (0, 2, 2**31)}
    found["an addend that is the target"] = with_node(Affine, addend=2)
    found["thresholds in disorder"] = with_node(Paint, thresholds=np.arange(255, 0, -1).astype(np.int16))
    found["an epsilon of NaN"] = with_node(Affine, epsilon=np.full(3, np.nan, np.float32))
    found["no nodes"], found["1025 nodes"] = (resealed(put(to_bytes(generator()), 24, n)) for n in (0, 1025))
    found |= {f"{n} styles": resealed(put(to_bytes(styled()), 28, n)) for n in (0, 2, 4, 1025, 2**31)}
    found["styles in a file of version 4"] = resealed(put(to_bytes(styled()), 4, 4))
    found["no painter"] = to_bytes(GeneratorFile({}, generator().nodes[:-1]))
    found["a generator with forms"] = resealed(put(to_bytes(generator()), 4, 3))
    found["513 channels to whiten"] = to_bytes(WctFile({}, {1: stage_of(Lcg(7), 513, 0)}))
    return found | {name: to_bytes(model) for name, model in _graph_seeds()}


def _graph_seeds() -> Iterator[tuple[str, GeneratorFile]]:
    graph = Builder(Lcg(8), side=8)
    x = graph.affine(graph.convolution(0, 3, 1))
    graph.convolution(x, 3, 3)
    yield "a map with two kinds of border", graph.paint(graph.convolution(x, 3, 3, border="reflected"))
    graph = Builder(Lcg(8), side=8)
    x = graph.affine(graph.convolution(0, 3, 1), wide=True)
    x = graph.affine(graph.affine(x, wide=True, normalises=True))
    yield "a norm of what is no convolution's", graph.paint(graph.convolution(x, 3, 1))
    yield "a painted map of half the size", (graph := Builder(Lcg(8), side=8)).paint(graph.convolution(0, 3, 3, stride=2))
    graph = Builder(Lcg(8), side=8)
    graph.affine(x := graph.convolution(0, 3, 1))
    yield "a painted map that is read", graph.paint(x)
    graph = Builder(Lcg(8), side=8)
    x = graph.convolution(0, 3, 1)
    graph.convolution(0, 3, 1)
    yield "a painted map that is not the last", graph.paint(x)
