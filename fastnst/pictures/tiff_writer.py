"""Writes TIFF and BigTIFF in uncompressed strips, and what Pillow's lacks."""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np

from fastnst.pictures import tiff_tags as tiff
from fastnst.pictures.directories import ORIENTATION, UNDEFINED, Directory, read_directory, read_form, written
from fastnst.pictures.metadata import Metadata
from fastnst.pictures.profile import srgb_profile
from fastnst.pictures.rows import RawWriter
from fastnst.pictures.tiff_codecs import directory

_CLASSIC_LIMIT = 1 << 32
_STRIP_BYTES = 1 << 18


def _directory(kept: Metadata) -> Directory:
    """The tags that are not about where the pixels are, with the lowest byte first."""
    found = kept.tiff_tags()
    found.put_bytes(tiff.PROFILE, UNDEFINED, srgb_profile())
    return found


def complete(file: bytes, kept: Metadata) -> bytes:
    """A TIFF, with the lowest byte first, and :func:`_directory` added to its directory, which is written again at the end."""
    source = io.BytesIO(file)
    start = read_form(source)
    assert start is not None
    form, offset = start
    top, more = read_directory(source, form, offset, len(file)), _directory(kept)
    top.entries |= more.entries
    top.below |= more.below
    at = -(-len(file) // 8) * 8
    head = form.head(at)
    return head + file[len(head) :].ljust(at - len(head), b"\0") + written(top, form, at)


class TiffWriter(RawWriter):
    """Writes an uncompressed TIFF in strips; a BigTIFF where 4 GB are not enough."""

    def __init__(self, file: BinaryIO, size: tuple[int, int], alpha: bool, kept: Metadata, threads: int) -> None:
        super().__init__(file, size, alpha, kept, threads)
        height, width = size
        channels = 4 if alpha else 3
        row = width * channels
        rows = max(1, min(height, _STRIP_BYTES // row))
        strips = -(-height // rows)
        counts = np.full(strips, rows * row, np.uint64)
        counts[-1] = (height - (strips - 1) * rows) * row
        others = _directory(kept)
        others_bytes = sum(len(entry.data) + 32 for each in others.all() for entry in each.entries.values())
        big = height * row + 32 * strips + others_bytes + 4096 > _CLASSIC_LIMIT
        offsets = np.cumsum(counts) - counts
        tags = {
            tiff.WIDTH: [width],
            tiff.HEIGHT: [height],
            tiff.BITS: [8] * channels,
            tiff.COMPRESSION: [1],
            tiff.PHOTOMETRIC: [2],
            tiff.STRIP_OFFSETS: offsets,
            ORIENTATION: [1],
            tiff.SAMPLES: [channels],
            tiff.ROWS_PER_STRIP: [rows],
            tiff.STRIP_COUNTS: counts,
            tiff.PLANAR: [1],
        } | ({tiff.EXTRA: [tiff.UNASSOCIATED]} if alpha else {})
        head = len(directory(tags, big, others))
        file.write(directory(tags | {tiff.STRIP_OFFSETS: offsets + np.uint64(head)}, big, others))
