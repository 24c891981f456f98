"""Reads and writes TIFF directories, of which EXIF consists too: tags with typed values, and subdirectories.

TIFF 6.0, section 2; BigTIFF as libtiff defines it; EXIF 2.32, section 4.6.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import BinaryIO

import numpy as np

EXIF, GPS, INTEROPERABILITY = 0x8769, 0x8825, 0xA005
MAKER_NOTE = 0x927C
ORIENTATION, XMP = 0x0112, 0x02BC
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 1, 2, 3, 4, 5, 7, 16

BELOW = (EXIF, GPS, INTEROPERABILITY)
"""Tags whose value is the offset of a subdirectory."""
_UNITS = {1: (1, 1), 2: (1, 1), 3: (2, 1), 4: (4, 1), 5: (4, 2), 6: (1, 1), 7: (1, 1), 8: (2, 1), 9: (4, 1), 10: (4, 2),
          11: (4, 1), 12: (8, 1), 13: (4, 1), 16: (8, 1), 17: (8, 1), 18: (8, 1)}  # fmt: skip
"""By type: the bytes of a number, and the numbers of a value."""
_MAX_ENTRIES = 4096
_ALIGNMENT = 8


@dataclass(frozen=True)
class Form:
    """The form of the directories of a file: the byte order, ``<`` or ``>``, and whether it is a BigTIFF."""

    order: str = "<"
    big: bool = False

    @property
    def word(self) -> str:
        """The format of offsets and counts, for ``struct``."""
        return f"{self.order}{'Q' if self.big else 'I'}"

    @property
    def count(self) -> str:
        """The format of the number of entries, for ``struct``."""
        return f"{self.order}{'Q' if self.big else 'H'}"

    @property
    def cell(self) -> int:
        """The bytes of an offset, and of a value that is stored in its place."""
        return 8 if self.big else 4

    def head(self, offset: int) -> bytes:
        """The beginning of a file whose first directory is at ``offset``."""
        mark = b"II" if self.order == "<" else b"MM"
        version = struct.pack(f"{self.order}HHH", 43, 8, 0) if self.big else struct.pack(f"{self.order}H", 42)
        return mark + version + struct.pack(self.word, offset)


@dataclass(frozen=True)
class Entry:
    """The value of a tag: its type, the number of elements, and their bytes; ``at`` was its offset in the file."""

    kind: int
    count: int
    data: bytes
    at: int = field(default=0, compare=False)

    def swapped(self) -> Entry:
        """The same in the other byte order."""
        return replace(self, data=np.frombuffer(self.data, f"<u{_UNITS[self.kind][0]}").byteswap().tobytes())


@dataclass
class Directory:
    """Entries by tag, and subdirectories by tag."""

    order: str = "<"
    entries: dict[int, Entry] = field(default_factory=dict)
    below: dict[int, Directory] = field(default_factory=dict)

    def all(self) -> list[Directory]:
        """This directory and all below it."""
        return [self, *(each for one in self.below.values() for each in one.all())]

    def put(self, tag: int, kind: int, *numbers: int) -> None:
        """Set a tag to whole numbers, or with the type RATIONAL to pairs of them."""
        size, each = _UNITS[kind]
        data = np.asarray(numbers, np.uint64).astype(f"{self.order}u{size}").tobytes()
        self.entries[tag] = Entry(kind, len(numbers) // each, data)

    def put_bytes(self, tag: int, kind: int, data: bytes) -> None:
        """Set a tag to bytes."""
        self.entries[tag] = Entry(kind, len(data), data)

    def numbers(self, tag: int) -> list[int]:
        """The numbers of a tag, read as unsigned; empty if it does not exist."""
        entry = self.entries.get(tag)
        return [] if entry is None else np.frombuffer(entry.data, f"{self.order}u{_UNITS[entry.kind][0]}").tolist()

    def little(self) -> Directory:
        """The same in little-endian order. Maker notes are left out, because their layout is not known."""
        entries = {
            tag: entry if self.order == "<" else entry.swapped() for tag, entry in self.entries.items() if tag != MAKER_NOTE
        }
        return Directory("<", entries, {tag: each.little() for tag, each in self.below.items()})


def read_form(file: BinaryIO) -> tuple[Form, int] | None:
    """The form of the TIFF at the beginning of ``file``, and the offset of its first directory; ``None`` if it is no TIFF."""
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        return None
    version = struct.unpack(f"{order}H", head[2:4])[0]
    if version == 43 and len(head) == 16 and struct.unpack(f"{order}HH", head[4:8]) == (8, 0):
        form = Form(order, big=True)
        return form, struct.unpack(form.word, head[8:])[0]
    if version == 42:
        form = Form(order)
        return form, struct.unpack(form.word, head[4:8])[0]
    return None


def read_entries(
    file: BinaryIO, form: Form, offset: int, most: int, wanted: Container[int] | None = None
) -> Iterator[tuple[int, Entry]]:
    """Tags and values of the directory at ``offset``.

    Args:
        most: the largest size of a value in bytes.
        wanted: the tags whose values are read; None = all.

    Raises:
        ValueError, struct.error: a damaged directory.
    """
    line = f"{form.order}HH{form.word[1]}{form.cell}s"
    size = struct.calcsize(line)
    seek(file, offset)
    count = struct.unpack(form.count, file.read(struct.calcsize(form.count)))[0]
    if count > _MAX_ENTRIES:
        raise ValueError(f"{count} tags")
    table = file.read(count * size)
    for index in range(count):
        tag, kind, number, value = struct.unpack_from(line, table, index * size)
        if kind not in _UNITS or not (wanted is None or tag in wanted):
            continue
        yield tag, _read_value(file, form, (tag, kind, number), value, most)


def _read_value(file: BinaryIO, form: Form, what: tuple[int, int, int], cell: bytes, most: int) -> Entry:
    tag, kind, number = what
    length, at = number * _UNITS[kind][0] * _UNITS[kind][1], 0
    if length > most:
        raise ValueError(f"tag {tag} of {length} bytes")
    if length > len(cell):
        at = struct.unpack(form.word, cell)[0]
        seek(file, at)
        cell = file.read(length)
        if len(cell) < length:
            raise ValueError(f"tag {tag} is cut short")
    return Entry(kind, number, cell[:length], at)


def seek(file: BinaryIO, offset: int) -> None:
    """Seek to ``offset``, which was read from a file.

    Raises:
        ValueError: no file can be so long.
    """
    try:
        file.seek(offset)
    except (OSError, OverflowError):
        raise ValueError("an offset beyond any file") from None


def read_directory(
    file: BinaryIO, form: Form, offset: int, most: int, wanted: Container[int] | None = None, depth: int = 0
) -> Directory:
    """The directory at ``offset`` and its subdirectories; damaged subdirectories are left out.

    Args:
        most: the largest total size of its values in bytes.
        wanted: the tags whose values are read; None = all. In subdirectories all are read.

    Raises:
        ValueError, struct.error: a damaged directory.
    """
    found, below, total = Directory(form.order), list[tuple[int, int]](), 0
    for tag, entry in read_entries(file, form, offset, most, wanted):
        total += len(entry.data)
        if total > most:
            raise ValueError(f"tags of more than {most} bytes")
        if tag not in BELOW:
            found.entries[tag] = entry
        elif depth < len(BELOW) and entry.count == 1 and entry.data:
            below.append((tag, int.from_bytes(entry.data, "little" if form.order == "<" else "big")))
    for tag, place in below:
        with suppress(ValueError, struct.error):
            found.below[tag] = read_directory(file, form, place, most, depth=depth + 1)
    return found


def written(top: Directory, form: Form, start: int, *, keep_places: bool = False) -> bytes:
    """The bytes of a directory, its subdirectories and values, for the offset ``start`` of a file.

    Their number does not depend on ``start``.

    Args:
        keep_places: keep maker notes at their old offset, because they contain offsets; if that is impossible, they are left
            out.
    """
    places, at = {}, start
    for each in top.all():
        places[id(each)] = at
        at += struct.calcsize(form.count) + (len(each.entries) + len(each.below)) * (4 + 2 * form.cell) + form.cell
    notes = [each for each in top.all() if MAKER_NOTE in each.entries] if keep_places else []
    hole = (0, 0)
    if notes:
        note = notes[0].entries[MAKER_NOTE]
        hole = (note.at, note.at + len(note.data))
        if note.at < at:
            del notes[0].entries[MAKER_NOTE]
            return written(top, form, start)
    data = bytearray(at - start)

    def put(place: int, content: bytes) -> None:
        data.extend(bytes(max(0, place + len(content) - start - len(data))))
        data[place - start : place - start + len(content)] = content

    def stored(tag: int, entry: Entry) -> bytes:
        nonlocal at
        if len(entry.data) <= form.cell:
            return entry.data.ljust(form.cell, b"\0")
        if tag == MAKER_NOTE and notes:
            place = entry.at
        else:
            length = -(-len(entry.data) // _ALIGNMENT) * _ALIGNMENT
            if at < hole[1] and at + length > hole[0]:
                at = -(-hole[1] // _ALIGNMENT) * _ALIGNMENT
            place = at
            at += length
            put(place, bytes(length))
        put(place, entry.data)
        return struct.pack(form.word, place)

    for each in top.all():
        lines = [(tag, entry.kind, entry.count, stored(tag, entry)) for tag, entry in each.entries.items()]
        pointer = LONG8 if form.big else LONG
        lines += [(tag, pointer, 1, struct.pack(form.word, places[id(one)])) for tag, one in each.below.items()]
        table = b"".join(
            struct.pack(f"{form.order}HH", tag, kind) + struct.pack(form.word, count) + value
            for tag, kind, count, value in sorted(lines)
        )
        put(places[id(each)], struct.pack(form.count, len(lines)) + table + bytes(form.cell))
    return bytes(data)
