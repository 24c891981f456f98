"""Files of looks: what a model keeps of a style, as numbers, for that model alone.

Bytes 0-7 are ``FNSTLOOK``, 8-11 the version, 12-15 the length of a header, 16-19 the CRC-32 (ISO 3309) of all that follows, in
unsigned integers of 32 bits. The header is a JSON object in UTF-8:

    {"kind": "adain", "model": SHA-256 of the model's file in hexadecimal, "model_name": its name,
     "arrays": [[name, [lengths]], ...]}

and, of a painting that somebody is to be named for, ``"source": {"title", "artist", "year", "sha256" of its picture's file}``.
After it come the numbers of the arrays in this order, as IEEE 754 of 64 bits. All is stored with the lowest byte first.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUFFIX = ".look"
MAGIC = b"FNSTLOOK"
VERSION = 1
_HEAD = struct.Struct("<8sIII")
_MAX_HEADER = 1 << 16
_MAX_NUMBERS = 1 << 24

Array = NDArray[np.float64]


class LookError(ValueError):
    """A file of a look that is damaged, of an unknown version, or none at all; or a look of another model."""


@dataclass(frozen=True)
class Source:
    """The painting that a look is of.

    Attributes:
        title: of the painting.
        artist: who painted it.
        year: when, such as ``1889`` or ``about 1599``.
        sha256: of the file of the picture that the look was made from, in hexadecimal.
    """

    title: str
    artist: str
    year: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.artist}, {self.title}, {self.year}"


@dataclass(frozen=True)
class StoredLook:
    """What a file of a look holds.

    Attributes:
        kind: of the model: ``adain`` or ``wct``.
        model: SHA-256 of the model's file.
        model_name: what it is called, for messages.
        arrays: by their names.
        source: the painting, where its maker is named.
    """

    kind: str
    model: str
    model_name: str
    arrays: Mapping[str, Array]
    source: Source | None = None


def to_bytes(look: StoredLook) -> bytes:
    """The file."""
    arrays = [[name, list(array.shape)] for name, array in look.arrays.items()]
    header: dict[str, Any] = {"kind": look.kind, "model": look.model, "model_name": look.model_name, "arrays": arrays}
    if look.source is not None:
        header["source"] = asdict(look.source)
    text = json.dumps(header, separators=(",", ":")).encode()
    body = text + b"".join(np.ascontiguousarray(array, "<f8").tobytes() for array in look.arrays.values())
    return _HEAD.pack(MAGIC, VERSION, len(text), zlib.crc32(body)) + body


def is_look(head: bytes) -> bool:
    """Whether a file that begins so is a look."""
    return head.startswith(MAGIC)


def from_bytes(data: bytes) -> StoredLook:
    """The inverse.

    Raises:
        LookError: it is not one, or is damaged; says what is wrong.
    """
    if not is_look(data):
        raise LookError("is not a look of fastnst")
    if len(data) < _HEAD.size:
        raise LookError("the file is cut short")
    _, version, length, checksum = _HEAD.unpack_from(data)
    if version != VERSION:
        raise LookError(f"is a look of version {version}, and this fastnst reads version {VERSION}")
    body = data[_HEAD.size :]
    if length > min(len(body), _MAX_HEADER):
        raise LookError("the file is cut short")
    if zlib.crc32(body) != checksum:
        raise LookError("the file is damaged: its checksum is another")
    try:
        header = json.loads(body[:length])
        kind, model, name = (header[key] for key in ("kind", "model", "model_name"))
        shapes = {str(array): tuple(map(int, shape)) for array, shape in header["arrays"]}
        source = Source(**header["source"]) if "source" in header else None
        if not all(isinstance(each, str) for each in (kind, model, name, *(asdict(source).values() if source else ()))):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise LookError("its header is damaged") from None
    return StoredLook(kind, model, name, _arrays(body[length:], shapes), source)


def _arrays(data: bytes, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    at = 0
    for name, shape in shapes.items():
        count = math.prod(shape)
        if min(shape, default=1) < 1 or count > _MAX_NUMBERS or at + 8 * count > len(data):
            raise LookError("its numbers are not as many as its header says")
        found[name] = np.frombuffer(data, "<f8", count, at).reshape(shape).astype(np.float64)
        at += 8 * count
        if not np.isfinite(found[name]).all():
            raise LookError("not all of its numbers are finite")
    if at != len(data):
        raise LookError("its numbers are not as many as its header says")
    return found


def required(stored: StoredLook, *names: str) -> list[Any]:
    """Arrays that a look of its kind has.

    Raises:
        LookError: one is missing.
    """
    missing = [name for name in names if name not in stored.arrays]
    if missing:
        raise LookError(f"it has no {missing[0]}")
    return [stored.arrays[name] for name in names]
