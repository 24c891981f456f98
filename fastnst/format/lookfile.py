"""Files of looks: what a model keeps of a style, as numbers, for that model alone.

Bytes 0-7 are ``FNSTLOOK``, 8-11 the version, 12-15 the length of a header, 16-19 the CRC-32 (ISO 3309) of all that follows, in
unsigned integers of 32 bits. The header is a JSON object in UTF-8:

    {"kind": "adain", "model": SHA-256 of the model's file in hexadecimal, "model_name": its name,
     "arrays": [[name, [lengths], numbers, part], ...]}

and, of a painting that somebody is to be named for, ``"source": {"title", "artist", "year", "sha256" of its picture's file}``.
After it come the numbers of the arrays in this order, all with the lowest byte first. ``numbers`` is "f8" or "f4", IEEE 754 of
64 or 32 bits, or "b2", bfloat16, the upper half of 32 bits: the shortest that holds each number of the array exactly. ``part``
is "all", or "lower" of a symmetric matrix: its rows up to the diagonal. Version 1 had neither: all of each array, in 64 bits.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SUFFIX = ".look"
MAGIC = b"FNSTLOOK"
VERSION = 2
_FIRST_VERSION = 1
_HEAD = struct.Struct("<8sIII")
_MAX_HEADER = 1 << 16
_MAX_NUMBERS = 1 << 24
_BYTES = {"f8": 8, "f4": 4, "b2": 2}

Array = NDArray[np.float64]


class _Form(NamedTuple):
    """How an array is written."""

    lengths: tuple[int, ...]
    numbers: str
    part: str

    @property
    def amount(self) -> int:
        """How many numbers are written."""
        return self.lengths[0] * (self.lengths[0] + 1) // 2 if self.part == "lower" else math.prod(self.lengths)


class LookError(ValueError):
    """A file of a look that is damaged, of an unknown version, or none at all; or a look of another model."""


class Source(NamedTuple):
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


class StoredLook(NamedTuple):
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
    written = {name: _written(array) for name, array in look.arrays.items()}
    arrays = [[name, *form] for name, (form, _) in written.items()]
    header: dict[str, Any] = {"kind": look.kind, "model": look.model, "model_name": look.model_name, "arrays": arrays}
    if look.source is not None:
        header["source"] = look.source._asdict()
    text = json.dumps(header, separators=(",", ":")).encode()
    body = text + b"".join(data for _, data in written.values())
    return _HEAD.pack(MAGIC, VERSION, len(text), zlib.crc32(body)) + body


def _written(array: Array) -> tuple[_Form, bytes]:
    """How an array is written, and that."""
    part, values = "all", np.asarray(array, np.float64)
    if values.ndim == 2 and np.array_equal(values, values.T):
        part, values = "lower", values[np.tril_indices(len(values))]
    with np.errstate(over="ignore"):
        single = values.astype("<f4")
    if not np.array_equal(single, values):
        return _Form(array.shape, "f8", part), values.astype("<f8").tobytes()
    bits = single.view("<u4")
    if (bits & 0xFFFF).any():
        return _Form(array.shape, "f4", part), single.tobytes()
    return _Form(array.shape, "b2", part), (bits >> 16).astype("<u2").tobytes()


def _read(data: bytes, form: _Form) -> Array:
    if form.numbers == "b2":
        values = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").astype(np.float64)
    else:
        values = np.frombuffer(data, f"<{form.numbers}").astype(np.float64)
    if form.part == "all":
        return values.reshape(form.lengths)
    matrix = np.empty(form.lengths)
    rows, columns = np.tril_indices(len(matrix))
    matrix[rows, columns] = matrix[columns, rows] = values
    return matrix


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
    if not _FIRST_VERSION <= version <= VERSION:
        raise LookError(f"is a look of version {version}, and this fastnst reads versions {_FIRST_VERSION} to {VERSION}")
    body = data[_HEAD.size :]
    if length > min(len(body), _MAX_HEADER):
        raise LookError("the file is cut short")
    if zlib.crc32(body) != checksum:
        raise LookError("the file is damaged: its checksum is another")
    try:
        header = json.loads(body[:length])
        kind, model, name = (header[key] for key in ("kind", "model", "model_name"))
        forms = {str(each[0]): _form(*each[1:]) for each in header["arrays"]}
        source = Source(**header["source"]) if "source" in header else None
        if not all(isinstance(each, str) for each in (kind, model, name, *(source if source else ()))):
            raise TypeError
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        raise LookError("its header is damaged") from None
    return StoredLook(kind, model, name, _arrays(body[length:], forms), source)


def _form(lengths: Any, numbers: str = "f8", part: str = "all") -> _Form:
    """That of a header, as version 1 has it without the last two.

    Raises:
        ValueError: there is no such form.
    """
    form = _Form(tuple(map(int, lengths)), numbers, part)
    if numbers not in _BYTES or part not in ("all", "lower"):
        raise ValueError
    if part == "lower" and (len(form.lengths) != 2 or len(set(form.lengths)) != 1):
        raise ValueError
    return form


def _arrays(data: bytes, forms: Mapping[str, _Form]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    at = 0
    for name, form in forms.items():
        end = at + _BYTES[form.numbers] * form.amount
        if min(form.lengths, default=1) < 1 or math.prod(form.lengths) > _MAX_NUMBERS or end > len(data):
            raise LookError("its numbers are not as many as its header says")
        found[name] = _read(data[at:end], form)
        at = end
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
