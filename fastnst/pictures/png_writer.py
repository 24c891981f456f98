"""Writes PNG in rows of 8 bits a sample (ISO 15948)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np

from fastnst import _engine
from fastnst.pictures.metadata import Metadata, photoshop_resources
from fastnst.pictures.png_reader import SIGNATURE
from fastnst.pictures.rows import CHUNK_BYTES, FileWriter, Samples

_METRES_PER_INCH = 0.0254


def _chunks(kept: Metadata) -> list[tuple[bytes, bytes]]:
    """Types and contents of the chunks that come before the pixels; IPTC as ImageMagick and ExifTool write it."""
    chunks = [(b"sRGB", b"\0")]
    if kept.dpi:
        across, down = (round(dots / _METRES_PER_INCH) for dots in kept.dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", across, down, 1)))
    if kept.xmp:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + kept.xmp))
    if kept.iptc:
        resources = photoshop_resources(kept.iptc)
        digits = resources.hex()
        lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
        text = f"\niptc\n{len(resources):8}\n{lines}\n".encode()
        chunks.append((b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text)))
    exif = kept.exif_bytes()
    return [*chunks, *([(b"eXIf", exif)] if exif else [])]


def _deflate() -> Any:
    """Huffman codes, and of repetitions only runs of one byte. To search for others takes many times as long, and makes
    filtered paintings and photographs no smaller."""
    return zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)


class PngWriter(FileWriter):
    """Writes a PNG in rows. Its parts are deflated in parallel, none with references into the part before it."""

    memory = 8 * CHUNK_BYTES

    def __init__(self, file: BinaryIO, size: tuple[int, int], alpha: bool, kept: Metadata, threads: int) -> None:
        super().__init__(file, size, alpha, kept, threads)
        height, width = size
        self._channels = 4 if alpha else 3
        self._previous = np.zeros(width * self._channels, np.uint8)
        self._threads, self._sum = threads, 1
        file.write(SIGNATURE)
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6 if alpha else 2, 0, 0, 0))
        for kind, data in _chunks(kept):
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
            deflate = _deflate()
            return deflate.compress(filtered.data) + deflate.flush(zlib.Z_FULL_FLUSH), filtered

        def put(parts: Iterable[tuple[bytes, Samples]]) -> None:
            for data, filtered in parts:
                self._chunk(b"IDAT", data)
                self._sum = zlib.adler32(filtered.data, self._sum)

        if self._threads == 1 or len(starts) == 1:
            put(map(deflated, starts))
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                for group in range(0, len(starts), self._threads):
                    put(pool.map(deflated, starts[group : group + self._threads]))
        self._previous = flat[-1].copy()

    def finish(self) -> None:
        end = _deflate().flush()  # an empty last block
        self._chunk(b"IDAT", end + struct.pack(">I", self._sum))
        self._chunk(b"IEND", b"")
