"""The reader of ``fastnst/format/modelfile.py`` once more, field by field, with every refusal of the format's text."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnst.format.modelfile import POOLS, AdainFile, Layer, Stage, WctFile

_HEADER = struct.Struct("<4sIQIIIIffII")
_DIGEST = 32


class Cursor:
    """Takes fields off a file's content; raises ValueError beyond the end."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise ValueError("the file is cut short")
        self.at += size
        return self.data[self.at - size : self.at]

    def padded(self, size: int) -> bytes:
        """``size`` bytes and the zero bytes after them that fill up to a multiple of 4."""
        field = self.take(size)
        if any(self.take(-size % 4)):
            raise ValueError("padding that is not zero")
        return field

    def array(self, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        kind = np.dtype(dtype)
        return np.frombuffer(self.padded(int(np.prod(shape)) * kind.itemsize), kind).reshape(shape).copy()


def prefix_decoded(coded: bytes, count: int) -> bytes:
    """``count`` bytes from the code of :mod:`fastnst.format.huffman`, bit by bit; ValueError if it gives others."""
    lengths = [coded[symbol // 2] >> symbol % 2 * 4 & 15 for symbol in range(256)]
    names, code = {}, 0
    for length in range(1, 16):
        for symbol in range(256):
            if lengths[symbol] == length:
                names[format(code, f"0{length}b")] = symbol
                code += 1
        code <<= 1
    bits = "".join(format(byte, "08b") for byte in coded[128:])
    found, at = [], 0
    for _ in range(count):
        end = at + 1
        while bits[at:end] not in names:
            if end > min(len(bits), at + 15):
                raise ValueError("bits that are no code")
            end += 1
        found.append(names[bits[at:end]])
        at = end
    if len(bits) - at >= 8 or "1" in bits[at:]:
        raise ValueError("bits after the last code")
    return bytes(found)


def parse_weights(cursor: Cursor, shape: tuple[int, ...], coded: int) -> NDArray[np.int8]:
    """Weights of a shape, as they are or out of ``coded`` bytes."""
    if not coded:
        return cursor.array("<i1", shape)
    return np.frombuffer(prefix_decoded(cursor.padded(coded), int(np.prod(shape))), np.int8).reshape(shape).copy()


def _parse_layer(cursor: Cursor, version: int) -> Layer:
    inputs, outputs, kernel, upsample, pool, zero, coded = struct.unpack("<7I", cursor.take(28))
    (form,) = struct.unpack("<I", cursor.take(4)) if version == 3 else (0,)
    if form > 1 or (form and kernel != 3):
        raise ValueError("an unknown form of layer")
    if min(inputs, outputs) < 1 or kernel not in {1, 3} or upsample > 1 or pool > 2 or zero > 255:
        raise ValueError("a layer's head is out of range")
    if upsample and (kernel != 3 or pool):
        raise ValueError("an upsampling layer has kernel 3 and no pool")
    phases, taps = ((4,), 2) if upsample and not form else ((), kernel)
    side = 3 if upsample else 4
    return Layer(
        weights=parse_weights(cursor, (*phases, outputs, taps, taps, inputs), coded),
        bias=cursor.array("<i4", (*phases, outputs)),
        multiplier=cursor.array("<f4", (*phases, outputs)),
        zero=zero,
        upsample=bool(upsample),
        pool=POOLS[pool],
        scales=cursor.array("<i2", (side, side)) if form else None,
    )


def _parse_stage(cursor: Cursor, version: int) -> tuple[int, Stage]:
    number, encoders, decoders = struct.unpack("<3I", cursor.take(12))
    encoder = [_parse_layer(cursor, version) for _ in range(encoders)]
    channels = (encoder[-1].outputs,)
    feature_scale, decoder_scale, decoder_zero = (cursor.array("<f4", channels) for _ in range(3))
    decoder = [_parse_layer(cursor, version) for _ in range(decoders)]
    return number, Stage(encoder, decoder, feature_scale, decoder_scale, decoder_zero)


def parse(data: bytes) -> AdainFile | WctFile:
    """The model in ``data``; ValueError unless it is exactly as the format says (numeric safety is the engine's to prove)."""
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    if len(data) < _HEADER.size + _DIGEST or hashlib.sha256(body).digest() != digest:
        raise ValueError("cut short or damaged")
    cursor = Cursor(body)
    magic, version, length, kind, card, encoders, decoders, feature_scale, decoder_scale, zero, reserved = _HEADER.unpack(
        cursor.take(_HEADER.size)
    )
    if (magic, length, reserved) != (b"FNST", len(data), 0) or version not in {2, 3} or kind not in {1, 2} or zero > 255:
        raise ValueError("a header field is out of range")
    if kind == 2 and any((decoders, feature_scale, decoder_scale, zero)):
        raise ValueError("a header field that is not zero")
    text = json.loads(cursor.padded(card))
    model: AdainFile | WctFile
    if kind == 2:
        stages = [_parse_stage(cursor, version) for _ in range(encoders)]
        numbers = [number for number, _ in stages]
        if not numbers or numbers != sorted(set(numbers) & {1, 2, 3, 4, 5}, reverse=True):
            raise ValueError("stages out of order")
        model = WctFile(text, dict(stages))
    else:
        encoder = [_parse_layer(cursor, version) for _ in range(encoders)]
        decoder = [_parse_layer(cursor, version) for _ in range(decoders)]
        model = AdainFile(text, encoder, decoder, feature_scale, decoder_scale, zero)
    if cursor.at != len(body):
        raise ValueError("bytes after the last layer")
    return model
