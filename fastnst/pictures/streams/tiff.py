"""Uncompressed TIFF and BigTIFF pictures of 8 bits a sample, written in rows of strips."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from fastnst.pictures import tiff_tags as tiff
from fastnst.pictures.embedding import tiff_directory
from fastnst.pictures.metadata import Metadata
from fastnst.pictures.streams.base import RowWriter, Samples
from fastnst.pictures.tiff_codecs import directory

_CLASSIC_LIMIT = 1 << 32
_STRIP_BYTES = 1 << 18


class TiffWriter(RowWriter):
    """An uncompressed TIFF in strips; a BigTIFF where 4 GB are not enough."""

    def __init__(self, file: BinaryIO, height: int, width: int, alpha: bool, kept: Metadata) -> None:
        super().__init__(alpha)
        self._file = file
        channels = 4 if alpha else 3
        row = width * channels
        rows = max(1, min(height, _STRIP_BYTES // row))
        strips = -(-height // rows)
        counts = np.full(strips, rows * row, np.uint64)
        counts[-1] = (height - (strips - 1) * rows) * row
        others = tiff_directory(kept)
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
            tiff.ORIENTATION: [1],
            tiff.SAMPLES: [channels],
            tiff.ROWS_PER_STRIP: [rows],
            tiff.STRIP_COUNTS: counts,
            tiff.PLANAR: [1],
        } | ({tiff.EXTRA: [tiff.UNASSOCIATED]} if alpha else {})
        head = len(directory(tags, big, others))
        file.write(directory(tags | {tiff.STRIP_OFFSETS: offsets + np.uint64(head)}, big, others))

    def write(self, rows: Samples) -> None:
        self._file.write(np.ascontiguousarray(rows).data)

    def finish(self) -> None:
        """The header, written first, says where everything is."""
