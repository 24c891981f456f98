"""PNG pictures of 8 bits a sample, in rows (ISO 15948): not interlaced, without palette."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from fastnst import _engine
from fastnst.images import ImageError
from fastnst.streams.base import CHUNK_BYTES, RowWriter, SampleRows, Samples

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by the colour type
_MAX_PROFILE = 1 << 22
_READ_BYTES = 1 << 16
# Text that Pillow looks into for an orientation.
_ORIENTED_TEXT = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")
_LEVEL = 1  # of deflate: higher ones take several times as long, for a few percent of such pictures
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class _Head:
    height: int
    width: int
    channels: int
    profile: bytes | None
    data: int  # offset of the first IDAT chunk


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


def _upright(kind: bytes, content: bytes) -> bool:
    tags = Image.Exif()
    if kind == b"eXIf":
        tags.load(content)
    return bool(tags.get(_ORIENTATION, 1) == 1)


def _profile(data: bytes) -> bytes | None:
    """The colour profile of an iCCP chunk: a name, the method 0, deflated bytes."""
    rest = data.partition(b"\0")[2]
    unpacked = zlib.decompressobj().decompress(rest[1:], _MAX_PROFILE)
    return unpacked or None


def _read_head(file: BinaryIO) -> _Head | None:
    """What the chunks beside the pixels say; ``None`` if these pixels are not plain rows of 8-bit samples."""
    size, profile, data = None, None, 0
    for kind, offset, length in _chunks(file):
        if kind == b"IDAT" and not data:
            data = offset - 8
        if kind in (b"IHDR", b"iCCP", b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tRNS", b"acTL"):
            file.seek(offset)
            content = file.read(min(length, _MAX_PROFILE))
            if kind == b"IHDR" and length == 13:
                size = struct.unpack(">IIBBBBB", content)
            elif kind == b"iCCP":
                profile = _profile(content)
            elif kind in (b"tRNS", b"acTL") or content.startswith(_ORIENTED_TEXT) or not _upright(kind, content):
                return None
    if not size or not data:
        return None
    width, height, depth, color, deflate, filters, interlaced = size
    if depth != 8 or color not in _CHANNELS or (deflate, filters, interlaced) != (0, 0, 0):
        return None
    return _Head(height, width, _CHANNELS[color], profile, data)


class PngRows(SampleRows):
    """A PNG file; it must be read in order, or from the first row again."""

    def __init__(self, path: Path, file: BinaryIO, head: _Head) -> None:
        super().__init__(path, head.height, head.width, head.channels, head.profile)
        self._file, self._first_data = file, head.data
        self._restart()

    def _restart(self) -> None:
        self._next = 0
        self._file.seek(self._first_data)
        self._left = 0  # bytes of the chunk that is being read
        self._crc: int | None = None
        self._inflate = zlib.decompressobj()
        self._previous = np.zeros(self.width * self.channels, np.uint8)

    def samples(self, first: int, count: int) -> Samples:
        if first < self._next:
            self._restart()
        bytes_per_row = self.width * self.channels + 1
        step = max(1, CHUNK_BYTES // bytes_per_row)
        while self._next < first:  # rows nobody asked for
            self._rows(min(step, first - self._next))
        rows = self._rows(count)
        return np.ascontiguousarray(rows[:, 1:]).reshape(count, self.width, self.channels)

    def _rows(self, count: int) -> Samples:
        rows = np.frombuffer(bytearray(self._inflated(count * (self._previous.size + 1))), np.uint8).reshape(count, -1)
        if not _engine.png_unfilter(rows, self.channels, self._previous):
            raise self._broken("an unknown filter")
        self._next += count
        return rows

    def _inflated(self, wanted: int) -> bytes:
        parts = []
        while wanted:
            try:
                part = self._inflate.decompress(self._inflate.unconsumed_tail or self._deflated(), wanted)
            except zlib.error as error:
                raise self._broken(str(error)) from None
            if not part and self._inflate.eof:
                raise self._broken("the file is cut short")
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)

    def _deflated(self) -> bytes:
        """The next bytes of the IDAT chunks, which follow one another."""
        while not self._left:
            if self._crc is not None and self._file.read(4) != struct.pack(">I", self._crc):
                raise self._broken("a checksum does not match")
            length, kind = struct.unpack(">I4s", self._file.read(8).ljust(8, b"\0"))
            if kind != b"IDAT":
                raise self._broken("the file is cut short")
            self._left, self._crc = length, zlib.crc32(kind)
        data = self._file.read(min(self._left, _READ_BYTES))
        if not data:
            raise self._broken("the file is cut short")
        self._left -= len(data)
        self._crc = zlib.crc32(data, self._crc or 0)
        return data

    def _broken(self, why: str) -> ImageError:
        return ImageError(f"{self.path}: broken picture: {why}")

    def close(self) -> None:
        self._file.close()


def open_png(path: Path, file: BinaryIO) -> PngRows | None:
    """The rows of a PNG of 8-bit samples; ``None`` if it is another file."""
    if file.read(len(SIGNATURE)) != SIGNATURE:
        return None
    try:
        head = _read_head(file)
    except (zlib.error, SyntaxError, ValueError, struct.error):
        return None
    return PngRows(path, file, head) if head else None


class PngWriter(RowWriter):
    """A PNG whose parts are deflated side by side, each without looking back into the one before it."""

    memory = 8 * CHUNK_BYTES

    def __init__(self, file: BinaryIO, height: int, width: int, alpha: bool, threads: int) -> None:
        super().__init__(alpha)
        self._file, self._channels = file, 4 if alpha else 3
        self._previous = np.zeros(width * self._channels, np.uint8)
        self._threads, self._sum = threads, 1
        file.write(SIGNATURE)
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6 if alpha else 2, 0, 0, 0))
        self._chunk(b"IDAT", b"\x78\x01")  # the header of a zlib stream (RFC 1950)

    def _chunk(self, kind: bytes, data: bytes) -> None:
        self._file.write(struct.pack(">I", len(data)) + kind)
        self._file.write(data)
        self._file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))

    def write(self, rows: Samples) -> None:
        flat = np.ascontiguousarray(rows).reshape(len(rows), -1)
        step = max(1, CHUNK_BYTES // flat.shape[1] // 2)
        starts = range(0, len(flat), step)

        def deflated(start: int) -> tuple[bytes, Samples]:
            before = flat[start - 1] if start else self._previous
            filtered = _engine.png_filter(flat[start : start + step], self._channels, before)
            deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
            return deflate.compress(filtered.data) + deflate.flush(zlib.Z_FULL_FLUSH), filtered

        with ThreadPoolExecutor(self._threads) as pool:
            for group in range(0, len(starts), self._threads):
                for data, filtered in pool.map(deflated, starts[group : group + self._threads]):
                    self._chunk(b"IDAT", data)
                    self._sum = zlib.adler32(filtered.data, self._sum)
        self._previous = flat[-1].copy()

    def finish(self) -> None:
        end = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15).flush()  # an empty last block
        self._chunk(b"IDAT", end + struct.pack(">I", self._sum))
        self._chunk(b"IEND", b"")
