"""PNG pictures of 8 bits a sample, written in rows (ISO 15948)."""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import numpy as np

from fastnst import _engine
from fastnst.pictures.embedding import png_chunks
from fastnst.pictures.metadata import Metadata
from fastnst.pictures.png import SIGNATURE
from fastnst.pictures.streams.base import CHUNK_BYTES, RowWriter, Samples

_LEVEL = 1  # of deflate: higher ones take several times as long, for a few percent of such pictures


class PngWriter(RowWriter):
    """A PNG whose parts are deflated side by side, each without looking back into the one before it."""

    memory = 8 * CHUNK_BYTES

    def __init__(self, file: BinaryIO, height: int, width: int, alpha: bool, threads: int, kept: Metadata) -> None:
        super().__init__(alpha)
        self._file, self._channels = file, 4 if alpha else 3
        self._previous = np.zeros(width * self._channels, np.uint8)
        self._threads, self._sum = threads, 1
        file.write(SIGNATURE)
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6 if alpha else 2, 0, 0, 0))
        for kind, data in png_chunks(kept):
            self._chunk(kind, data)
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
