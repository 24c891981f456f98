"""Reads PNG in rows (ISO 15948): every colour type and depth, with transparency keys; of an animation the still picture."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from fastnst import _engine
from fastnst.pictures.picture import KindError
from fastnst.pictures.samples import Array, Bytes, Part, PictureFile, eight_bit, unpack_bits

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHUNK_BYTES = 1 << 20  # are decompressed at a time
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the colour type
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PALETTE = 3
_MAX_TEXT = 1 << 22  # bytes of a colour profile or metadata
_READ_BYTES = 1 << 16
# Text chunks in which editors store metadata, and the names that Pillow gives them in ``info``.
_METADATA = {
    name.encode(): name
    for name in ("XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type iptc", "Raw profile type xmp")
}
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row and column of each pass, and the steps to the next ones."""


@dataclass
class _Head:
    height: int
    width: int
    depth: int
    color: int
    interlaced: bool
    palette: Bytes | None = None
    key: bytes | None = None  # of the chunk tRNS
    info: dict[str, Any] = field(default_factory=dict)
    data: int = 0  # offset of the first IDAT chunk

    @property
    def channels(self) -> int:
        return _CHANNELS[self.color]


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Kind, offset and length of the data of each chunk."""
    offset = len(SIGNATURE)
    while True:
        file.seek(offset)
        head = file.read(8)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        yield kind, offset + 8, length
        if kind == b"IEND":
            return
        offset += 12 + length


def _inflated(data: bytes) -> bytes:
    """``data`` decompressed, up to the limit of metadata; empty if it is damaged."""
    try:
        return zlib.decompressobj().decompress(data, _MAX_TEXT)
    except zlib.error:
        return b""


def _metadata(kind: bytes, content: bytes) -> dict[str, Any]:
    """Colour profile, EXIF and XMP, as in ``PIL.Image.Image.info``, without damaged parts."""
    if kind == b"eXIf":
        return {"exif": b"Exif\0\0" + content}
    if kind == b"pHYs":
        across, down, unit = struct.unpack(">IIB", content) if len(content) == 9 else (0, 0, 0)
        return {"dpi": (across * 0.0254, down * 0.0254)} if unit == 1 else {}
    name, _, rest = content.partition(b"\0")
    if kind == b"iCCP":
        profile = _inflated(rest[1:])
        return {"icc_profile": profile} if profile else {}
    if name not in _METADATA:
        return {}
    if kind == b"zTXt":
        rest = _inflated(rest[1:])
    elif kind == b"iTXt":
        packed, rest = rest[:1] == b"\1", rest[2:].partition(b"\0")[2].partition(b"\0")[2]
        rest = _inflated(rest) if packed else rest
    return {_METADATA[name]: rest.decode("utf-8", "replace")}


def _read_head(file: BinaryIO) -> _Head:
    """Read all chunks except the pixels.

    Raises:
        KindError: the colour type or depth is not one of the format.
        ValueError: there is no header, or there are no pixels.
    """
    head: _Head | None = None
    data = 0
    for kind, offset, length in _chunks(file):
        if kind == b"IDAT":
            data = data or offset - 8
            continue
        if kind not in (b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"pHYs", b"tEXt", b"zTXt", b"iTXt"):
            continue
        file.seek(offset)
        content = file.read(min(length, _MAX_TEXT))
        if kind == b"IHDR" and length == len(content) == 13:
            head = _header(content)
        elif head and kind == b"PLTE" and length == len(content) and length % 3 == 0:
            head.palette = np.frombuffer(content, np.uint8).reshape(-1, 3)
        elif head and kind == b"tRNS":
            head.key = content
        elif head:
            head.info |= _metadata(kind, content)
    if head is None:
        raise ValueError("no header")
    if not data:
        raise ValueError("the file is cut short")
    if head.color == _PALETTE and head.palette is None:
        raise ValueError("no palette")
    head.data = data
    return head


def _header(content: bytes) -> _Head:
    width, height, depth, color, deflate, filters, interlace = struct.unpack(">IIBBBBB", content)
    if depth not in _DEPTHS.get(color, ()) or (deflate, filters) != (0, 0) or interlace > 1:
        raise KindError(f"a PNG of colour type {color} with {depth} bits is not read here")
    return _Head(height, width, depth, color, interlace == 1)


class _Scanlines:
    """The bytes of rows, one after the other; those of all passes of an interlaced picture likewise."""

    def __init__(self, file: BinaryIO, data: int) -> None:
        self._file = file
        file.seek(data)
        self._left = 0  # bytes of the chunk that is being read
        self._crc: int | None = None
        self._inflate = zlib.decompressobj()

    def rows(self, count: int, row_bytes: int, pixel: int, previous: Bytes) -> Bytes:
        """The next rows, [count, row_bytes], of pixels of ``pixel`` bytes; ``previous``, the row before them, is replaced."""
        rows = np.frombuffer(bytearray(self._inflated(count * (row_bytes + 1))), np.uint8).reshape(count, row_bytes + 1)
        if not _engine.png_unfilter(rows, pixel, previous):
            raise ValueError("an unknown filter")
        return np.ascontiguousarray(rows[:, 1:])

    def _inflated(self, wanted: int) -> bytes:
        parts = []
        while wanted:
            try:
                part = self._inflate.decompress(self._inflate.unconsumed_tail or self._deflated(), wanted)
            except zlib.error as error:
                raise ValueError(str(error)) from None
            if not part and self._inflate.eof:
                raise ValueError("the file is cut short")
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)

    def _deflated(self) -> bytes:
        """The next bytes of the IDAT chunks, which follow one another."""
        while not self._left:
            if self._crc is not None and self._file.read(4) != struct.pack(">I", self._crc):
                raise ValueError("a checksum does not match")
            length, kind = struct.unpack(">I4s", self._file.read(8).ljust(8, b"\0"))
            if kind != b"IDAT":
                raise ValueError("the file is cut short")
            self._left, self._crc = length, zlib.crc32(kind)
        data = self._file.read(min(self._left, _READ_BYTES))
        if not data:
            raise ValueError("the file is cut short")
        self._left -= len(data)
        self._crc = zlib.crc32(data, self._crc or 0)
        return data


class PngFile(PictureFile):
    """A PNG; one that is interlaced is unpacked whole at the first row."""

    def __init__(self, file: BinaryIO, head: _Head) -> None:
        has_alpha = head.color in (4, 6) or head.key is not None
        self._bits = head.depth * head.channels  # of a pixel
        memory = CHUNK_BYTES + (2 * head.height * self._row_bytes(head.width) if head.interlaced else 0)
        super().__init__(head.height, head.width, has_alpha, memory, head.info)
        self.interlaced = head.interlaced
        self._file, self._head = file, head
        self._whole: Array | None = None
        self._next = 0
        self._lines: _Scanlines | None = None

    def _row_bytes(self, width: int) -> int:
        return -(-width * self._bits // 8)

    def _restart(self) -> _Scanlines:
        self._next, self._lines = 0, _Scanlines(self._file, self._head.data)
        self._previous = np.zeros(self._row_bytes(self.width), np.uint8)
        return self._lines

    def rows(self, first: int, count: int) -> Part:
        if self.interlaced:
            if self._whole is None:
                self._whole = self._deinterlaced()
            return self._meaning(self._whole[first : first + count])
        lines = self._restart() if self._lines is None or first < self._next else self._lines
        step = max(1, CHUNK_BYTES // (self._previous.size + 1))
        while self._next < first:  # rows nobody asked for
            self._packed(lines, min(step, first - self._next))
        return self._meaning(self._numbers(self._packed(lines, count), self.width))

    def _packed(self, lines: _Scanlines, count: int) -> Bytes:
        self._next += count
        return lines.rows(count, self._previous.size, max(1, self._bits // 8), self._previous)

    def _deinterlaced(self) -> Array:
        kind = np.uint16 if self._head.depth == 16 else np.uint8
        found = np.empty((self.height, self.width, self._head.channels), kind)
        lines = self._restart()
        for top, left, down, across in _ADAM7:
            part = found[top::down, left::across]
            height, width = part.shape[:2]
            if height and width:
                size = self._row_bytes(width)
                rows = lines.rows(height, size, max(1, self._bits // 8), np.zeros(size, np.uint8))
                part[...] = self._numbers(rows, width)
        return found

    def _numbers(self, rows: Bytes, width: int) -> Array:
        """Samples as they are stored, [n, W, C]."""
        depth, shape = self._head.depth, (len(rows), width, self._head.channels)
        if depth == 8:
            return rows.reshape(shape)
        if depth == 16:
            return rows.view(">u2").astype(np.uint16).reshape(shape)
        return unpack_bits(rows, depth, width * self._head.channels).reshape(shape)

    def _meaning(self, samples: Array) -> Part:
        head = self._head
        if head.color == _PALETTE:
            return self._named(samples[..., 0])
        colors = head.channels - (head.color in (4, 6))
        color = eight_bit(samples[..., :colors], head.depth)
        if head.color in (4, 6):
            return Part(color, eight_bit(samples[..., colors], head.depth))
        if head.key is None:
            return Part(color)
        key = np.frombuffer(head.key[: 2 * colors].ljust(2 * colors, b"\0"), ">u2")
        hidden = (samples == (key & ((1 << head.depth) - 1))).all(axis=2)
        return Part(color, np.where(hidden, np.uint8(0), np.uint8(255)))

    def _named(self, indices: Bytes) -> Part:
        palette = self._head.palette
        assert palette is not None
        colors = np.zeros((256, 3), np.uint8)
        colors[: len(palette)] = palette[:256]
        if self._head.key is None:
            return Part(colors[indices])
        alpha = np.full(256, 255, np.uint8)
        given = np.frombuffer(self._head.key[:256], np.uint8)
        alpha[: len(given)] = given
        return Part(colors[indices], alpha[indices])


def open_png(file: BinaryIO) -> PngFile | None:
    """The picture of a PNG; ``None`` if it is another file.

    Raises:
        KindError: a kind that the format does not have.
        ValueError: a damaged file.
    """
    return PngFile(file, _read_head(file)) if file.read(len(SIGNATURE)) == SIGNATURE else None
