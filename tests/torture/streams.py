"""Files that are read in rows by readers of our own, damaged."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fastnst.images import ImageError, Saving
from fastnst.pictures.streams import open_rows, open_writer
from fastnst.verify import picture
from torture import corpora
from torture.forks import resident_memory
from torture.framework import Outcome, check
from torture.images import encoded, mutated, survey

HEIGHT, WIDTH = 15, 22
MOST_ROWS = 2000  # a header may promise more: those are read until the file ends


def sound() -> dict[str, bytes]:
    """A file of every kind that is read in rows."""
    found = {"PPM": encoded("PPM", "RGB")}
    found |= {f"PNG {mode}": encoded("PNG", mode) for mode in ("L", "LA", "RGB", "RGBA")}
    found |= {f"TIFF {mode}": encoded("TIFF", mode) for mode in ("L", "RGB", "RGBA")}
    found["TIFF tiles"], found["BigTIFF"] = _tiled_tiff(), _big_tiff()
    for suffix in (".pam", ".png", ".tif"):
        file = io.BytesIO()
        writer = open_writer(Saving.by(suffix), file, (HEIGHT, WIDTH), True, 2)
        pixels = np.dstack([picture(HEIGHT, WIDTH, 5), picture(HEIGHT, WIDTH, 6)[..., :1]])
        writer.write(pixels)
        writer.finish()
        found[f"our {suffix}"] = file.getvalue()
    return found


def _directory(big: bool, tags: list[tuple[int, int, int, int]]) -> bytes:
    if big:
        head = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, len(tags))
        return head + b"".join(struct.pack("<HHQQ", *tag) for tag in tags) + bytes(8)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)


def _plain_tiff(big: bool, layout: list[tuple[int, int, int, int]], size: int) -> bytes:
    tags = [(256, 3, 1, WIDTH), (257, 3, 1, HEIGHT), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1), *layout]
    return _directory(big, sorted(tags)) + bytes(i * 7 % 256 for i in range(size))


def _big_tiff() -> bytes:
    at = len(_directory(True, [(0, 0, 0, 0)] * 9))
    return _plain_tiff(True, [(273, 16, 1, at), (278, 3, 1, HEIGHT), (279, 16, 1, HEIGHT * WIDTH)], HEIGHT * WIDTH)


def _tiled_tiff() -> bytes:
    """Two tiles of 16 x 16 whose numbers lie behind them."""
    at = len(_directory(False, [(0, 0, 0, 0)] * 10))
    layout = [(322, 3, 1, 16), (323, 3, 1, 16), (324, 4, 2, at + 512), (325, 4, 2, at + 520)]
    return _plain_tiff(False, layout, 512) + struct.pack("<4I", at, at + 256, 256, 256)


def by_fields(data: bytes, count: int, chance: random.Random) -> Iterator[bytes]:
    """Numbers of the file set to extremes, in either order of bytes; the checksums of a PNG put right."""
    for _ in range(count):
        body = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 3))):
            size, at = chance.choice((1, 2, 4, 8)), chance.randrange(min(len(body), 400))
            value = chance.choice(corpora.EXTREMES) % 256**size
            body[at : at + size] = value.to_bytes(size, chance.choice(("little", "big")))
        yield _checked(bytes(body)) if data.startswith(b"\x89PNG") else bytes(body)


def _checked(png: bytes) -> bytes:
    """With the right checksum behind every chunk."""
    found, at = png[:8], 8
    while at + 12 <= len(png):
        size = min(int.from_bytes(png[at : at + 4], "big"), len(png) - at - 12)
        chunk = png[at + 4 : at + 8 + size]
        found += png[at : at + 4] + chunk + struct.pack(">I", zlib.crc32(chunk))
        at += 12 + size
    return found + png[at:]


def other_scanlines(count: int, chance: random.Random) -> Iterator[bytes]:
    """Sound PNG files but for what they compress: unknown filters, rows too few or too many, bytes that are no zlib."""
    whole = encoded("PNG", "RGB")
    head, tail = whole[: whole.index(b"IDAT") - 4], whole[whole.index(b"IEND") - 4 :]
    lines = bytes(HEIGHT * (1 + 3 * WIDTH))
    for number in range(count):
        body = bytearray(lines)
        for _ in range(9):
            body[chance.randrange(len(body))] = chance.randrange(256)
        body[chance.randrange(HEIGHT) * (1 + 3 * WIDTH)] = chance.randrange(7)
        packed = zlib.compress(bytes(body[: chance.randrange(len(body))] if number % 3 == 0 else body + body[: number % 400]))
        if number % 5 == 0:
            packed = packed[: chance.randrange(len(packed))]
        yield head + struct.pack(">I", len(packed)) + b"IDAT" + packed + struct.pack(">I", zlib.crc32(b"IDAT" + packed)) + tail


def read(path: Path, data: bytes) -> str | None:
    """All rows, in pieces of 4; the refusal in one line, None if there is none. What is left to Pillow is read."""
    path.write_bytes(data)
    try:
        rows = open_rows(path)
        if rows is None:
            return None
        with closing(rows):
            if rows.width > 1 << 16:
                return None  # rows of that width are read for as long as the file has bytes for them
            for first in range(0, min(rows.height, MOST_ROWS), 4):
                rows.read(first, np.empty((min(4, rows.height - first), rows.width, 3), np.uint8))
    except ImageError as error:
        return str(error)
    return None


@check("10,000 each of PPM, PAM, TIFF and PNG by our readers of rows", quick=1200, full=40_000)
def mutated_streams(count: int) -> Outcome:
    """A damaged file is read or refused in one line, by ImageError and nothing else, in little time and memory."""
    outcome, chance = Outcome(), random.Random(8)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "picture"
        kinds = sound()
        each = -(-count // (2 * len(kinds) + 1))
        files = [(f"{name}, bytes", one) for name, data in kinds.items() for one in mutated(data, each, chance)]
        files += [(f"{name}, fields", one) for name, data in kinds.items() for one in by_fields(data, each, chance)]
        files += [("PNG, rows", one) for one in other_scanlines(each, chance)]
        for name, data in kinds.items():
            outcome.expect(read(path, data) is None, f"a sound {name} is refused")
        before = resident_memory()
        slowest = survey(outcome, files, partial(read, path))
        grown = (resident_memory() - before) / 2**20
        outcome.expect(slowest < 2 and grown < 150, f"{slowest:.1f} s, {grown:.0f} MB")
    outcome.note += f", {grown:.0f} MB more memory"
    return outcome
