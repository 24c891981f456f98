"""Uncompressed TIFF and BigTIFF pictures of 8 bits a sample, in strips or tiles (TIFF 6.0; BigTIFF as libtiff defines it)."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastnst.images import ImageError
from fastnst.streams.base import RowWriter, SampleRows, Samples

# Tags, by their names in the specification.
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIP_OFFSETS, _ORIENTATION, _SAMPLES, _ROWS_PER_STRIP, _STRIP_COUNTS, _PLANAR = 273, 274, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS, _EXTRA, _FORMAT = 322, 323, 324, 325, 338, 339
_XMP, _PROFILE = 700, 34675
_USED = frozenset((*range(256, 340), _XMP, _PROFILE))

_TYPES = {1: "u1", 3: "u2", 4: "u4", 7: "u1", 16: "u8"}  # byte, short, long, undefined, long8
_MAX_ENTRIES = 4096
_MAX_VALUES = 1 << 26  # bytes of one tag: offsets of a gigapixel in strips of one row are far less
_CLASSIC_LIMIT = 1 << 32
_STRIP_BYTES = 1 << 18
_UNASSOCIATED = 2  # kind of an extra sample: transparency, the colours not multiplied by it

_Tags = Mapping[int, NDArray[np.uint64]]


@dataclass(frozen=True)
class _Layout:
    """Where the samples are: blocks of ``height`` x ``width`` pixels, ``across`` side by side."""

    height: int
    width: int
    across: int
    offsets: NDArray[np.uint64]


def _read_tags(file: BinaryIO) -> _Tags | None:
    """The tags of the first picture that this module uses; ``None`` if the file is no TIFF or odd."""
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 16:
        return None
    version = struct.unpack(f"{order}H", head[2:4])[0]
    if version == 43 and struct.unpack(f"{order}HH", head[4:8]) == (8, 0):
        offset, counts, entry = struct.unpack(f"{order}Q", head[8:])[0], "Q", "HHQ8s"
    elif version == 42:
        offset, counts, entry = struct.unpack(f"{order}I", head[4:8])[0], "H", "HHI4s"
    else:
        return None
    file.seek(offset)
    count = struct.unpack(order + counts, file.read(struct.calcsize(order + counts)))[0]
    if count > _MAX_ENTRIES:
        return None
    size = struct.calcsize(order + entry)
    table = file.read(count * size)
    tags = {}
    for index in range(count):
        tag, kind, number, value = struct.unpack_from(order + entry, table, index * size)
        if tag not in _USED or kind not in _TYPES:
            continue
        length = number * int(_TYPES[kind][1])
        if length > _MAX_VALUES:
            return None
        if length > len(value):
            file.seek(struct.unpack(order + ("Q" if counts == "Q" else "I"), value)[0])
            value = file.read(length)
        tags[tag] = np.frombuffer(value[:length], order + _TYPES[kind]).astype(np.uint64)
    return tags


def _channels(tags: _Tags) -> int | None:
    """Samples of a pixel; ``None`` if they are not plain 8-bit grey or RGB with or without transparency, upright."""

    def values(tag: int, default: int) -> list[int]:
        return tags[tag].tolist() if tag in tags else [default]

    plain = (
        values(_COMPRESSION, 1) == values(_FILL_ORDER, 1) == values(_ORIENTATION, 1) == values(_PLANAR, 1) == [1]
        and set(values(_BITS, 1)) == {8}
        and set(values(_FORMAT, 1)) == {1}
        and b"Orientation" not in np.asarray(tags.get(_XMP, []), np.uint8).tobytes()
    )
    colors = {1: 1, 2: 3}.get(values(_PHOTOMETRIC, 0)[0])
    channels, extra = values(_SAMPLES, 1)[0], values(_EXTRA, 0)
    if not plain or colors is None:
        return None
    return channels if channels == colors or (channels == colors + 1 and extra == [_UNASSOCIATED]) else None


def _layout(tags: _Tags, height: int, width: int) -> _Layout | None:
    if _TILE_OFFSETS in tags and _TILE_WIDTH in tags and _TILE_HEIGHT in tags:
        h, w, offsets = int(tags[_TILE_HEIGHT][0]), int(tags[_TILE_WIDTH][0]), tags[_TILE_OFFSETS]
    elif _STRIP_OFFSETS in tags:
        h, w, offsets = min(int(tags.get(_ROWS_PER_STRIP, [height])[0]), height), width, tags[_STRIP_OFFSETS]
    else:
        return None
    if h < 1 or w < 1 or h * w > 4 * height * width + (1 << 20):
        return None
    across = -(-width // w)
    return _Layout(h, w, across, offsets) if len(offsets) >= across * -(-height // h) else None


class TiffRows(SampleRows):
    """An uncompressed TIFF file."""

    def __init__(self, path: Path, file: BinaryIO, size: tuple[int, int, int], layout: _Layout, profile: bytes | None) -> None:
        super().__init__(path, *size, profile)
        self._file, self._layout, self._size = file, layout, file.seek(0, os.SEEK_END)

    def samples(self, first: int, count: int) -> Samples:
        rows = np.empty((count, self.width, self.channels), np.uint8)
        block, pixel = self._layout, self.channels
        for across in range(block.across):
            left = across * block.width
            columns = min(block.width, self.width - left)
            top = first
            while top < first + count:
                down, inside = divmod(top, block.height)
                n = min(block.height - inside, first + count - top)
                offset = int(block.offsets[down * block.across + across]) + inside * block.width * pixel
                part = self._at(offset, n * block.width * pixel).reshape(n, block.width, pixel)
                rows[top - first : top - first + n, left : left + columns] = part[:, :columns]
                top += n
        return rows

    def _at(self, offset: int, length: int) -> Samples:
        data = b""
        if offset + length <= self._size:  # else it may be more than seek() takes
            self._file.seek(offset)
            data = self._file.read(length)
        if len(data) != length:
            raise ImageError(f"{self.path}: broken picture: the file is cut short")
        return np.frombuffer(data, np.uint8)

    def close(self) -> None:
        self._file.close()


def open_tiff(path: Path, file: BinaryIO) -> TiffRows | None:
    """The rows of an uncompressed TIFF of 8-bit samples; ``None`` if it is another file."""
    try:
        tags = _read_tags(file)
    except (struct.error, OverflowError, OSError, ValueError):
        return None
    if tags is None or _WIDTH not in tags or _HEIGHT not in tags or not all(map(len, tags.values())):
        return None
    height, width = int(tags[_HEIGHT][0]), int(tags[_WIDTH][0])
    channels, layout = _channels(tags), _layout(tags, height, width)
    if channels is None or layout is None:
        return None
    profile = tags[_PROFILE].astype(np.uint8).tobytes() if _PROFILE in tags else None
    return TiffRows(path, file, (height, width, channels), layout, profile)


class TiffWriter(RowWriter):
    """An uncompressed TIFF in strips; a BigTIFF where 4 GB are not enough."""

    def __init__(self, file: BinaryIO, height: int, width: int, alpha: bool) -> None:
        super().__init__(alpha)
        self._file = file
        channels = 4 if alpha else 3
        row = width * channels
        rows = max(1, min(height, _STRIP_BYTES // row))
        strips = -(-height // rows)
        counts = np.full(strips, rows * row, np.uint64)
        counts[-1] = (height - (strips - 1) * rows) * row
        big = height * row + 32 * strips + 4096 > _CLASSIC_LIMIT
        offsets = np.cumsum(counts) - counts
        tags = {
            _WIDTH: [width],
            _HEIGHT: [height],
            _BITS: [8] * channels,
            _COMPRESSION: [1],
            _PHOTOMETRIC: [2],
            _STRIP_OFFSETS: offsets,
            _ORIENTATION: [1],
            _SAMPLES: [channels],
            _ROWS_PER_STRIP: [rows],
            _STRIP_COUNTS: counts,
            _PLANAR: [1],
        } | ({_EXTRA: [_UNASSOCIATED]} if alpha else {})
        head = len(_header(tags, big))
        file.write(_header(tags | {_STRIP_OFFSETS: offsets + np.uint64(head)}, big))

    def write(self, rows: Samples) -> None:
        self._file.write(np.ascontiguousarray(rows).data)

    def finish(self) -> None:
        """The header, written first, says where everything is."""


def _header(tags: Mapping[int, object], big: bool) -> bytes:
    """Header, directory and the values that do not fit into it: of a length that does not depend on the offsets."""
    word, kind, cell = ("<Q", 16, 8) if big else ("<I", 4, 4)
    start = b"II" + (struct.pack("<HHHQ", 43, 8, 0, 16) if big else struct.pack("<HI", 42, 8))
    count = struct.pack("<Q" if big else "<H", len(tags))
    after = len(start) + len(count) + len(tags) * (20 if big else 12) + cell
    table, values = b"", b""
    for tag, numbers in sorted(tags.items()):
        array = np.asarray(numbers)
        short = tag in (_BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _PLANAR, _EXTRA)
        data = array.astype("<u2" if short else word[0] + ("u8" if big else "u4")).tobytes()
        if len(data) > cell:
            place = struct.pack(word, after + len(values))
            values += data + b"\0" * (-len(data) % 8)
        else:
            place = data.ljust(cell, b"\0")
        table += struct.pack("<HH", tag, 3 if short else kind) + struct.pack(word, array.size) + place
    return start + count + table + b"\0" * cell + values
