"""Reads TIFF and BigTIFF in rows, with every layout of strips, tiles and planes; see :mod:`fastnst.pictures.tiff_tags`.

Only the JPEG of TIFF 6.0 itself, compression 6, is left to Pillow.
"""

from __future__ import annotations

import os
import struct
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from fastnst.pictures import tiff_codecs as codecs
from fastnst.pictures import tiff_tags as tiff
from fastnst.pictures.directories import ORIENTATION, XMP
from fastnst.pictures.samples import Array, Bytes, Part, PictureFile, divided, eight_bit, lab_to_rgb, unpack_bits, ycbcr_to_rgb

_BITS_OF_BYTES = (8, 16, 32, 64)


class TiffFile(PictureFile):
    """The first picture of a TIFF. A row of strips or tiles is kept decompressed while its rows are read."""

    def __init__(self, file: BinaryIO, layout: tiff.Layout) -> None:
        codecs.check(layout)
        if layout.photometric == tiff.YCBCR and layout.subsampling != (1, 1) and not codecs.gives_samples(layout):
            _check_subsampled(layout)
        self._file, self._layout, self._size = file, layout, file.seek(0, os.SEEK_END)
        self._jpeg_rgb = layout.compression == codecs.JPEG and not layout.planar and layout.samples == 3
        width = layout.across * layout.block_width
        self._in_place = layout.compression == codecs.NONE and layout.predictor == 1 and not self._subsampled
        band = 0 if self._in_place else layout.block_height * width * self._dtype.itemsize * layout.samples
        super().__init__(layout.height, layout.width, layout.alpha is not None, 4 * band, _info(layout))
        self._band, self._blocks = -1, dict[tuple[int, int], Array]()  # the decompressed strips or tiles, by plane and column

    def rows(self, first: int, count: int) -> Part:
        return self._meaning(self._samples(first, count))

    def _samples(self, first: int, count: int) -> Array:
        """Rows [first, first + count) as they are stored, [count, W, samples]."""
        layout = self._layout
        rows = np.empty((count, self.width, layout.samples), self._dtype)
        top = first
        while top < first + count:
            down, inside = divmod(top, layout.block_height)
            n = min(layout.block_height - inside, first + count - top)
            for plane in range(layout.samples if layout.planar else 1):
                channels = slice(plane, plane + 1) if layout.planar else slice(None)
                for across in range(layout.across):
                    left = across * layout.block_width
                    columns = min(layout.block_width, self.width - left)
                    part = self._part(plane, down, across, inside, n)
                    rows[top - first : top - first + n, left : left + columns, channels] = part[:, :columns]
            top += n
        return rows

    @property
    def _dtype(self) -> np.dtype[Any]:
        bits, form = self._layout.bits, self._layout.format
        kind = {tiff.UNSIGNED: "u", tiff.SIGNED: "i", tiff.FLOAT: "f"}[form]
        return np.dtype(f"{kind}{1 if bits <= 8 else 2 if bits <= 16 else bits // 8}")

    def _part(self, plane: int, down: int, across: int, inside: int, count: int) -> Array:
        """``count`` rows of a strip or tile, [count, its width, its samples], from row ``inside`` of it on."""
        layout = self._layout
        index = (plane * layout.down + down) * layout.across + across
        offset = int(layout.offsets[index])
        if self._in_place:
            stride = self._row_bytes
            return self._numbers(self._at(offset + inside * stride, count * stride), count)
        if self._band != down:
            self._band, self._blocks = down, {}
        block = self._blocks.get((plane, across))
        if block is None:
            block = self._blocks[plane, across] = self._whole(offset, index, self._block_rows(down))
        return block[inside : inside + count]

    def _block_rows(self, down: int) -> int:
        """The number of rows of a strip, the last of which may be shorter, or of a tile."""
        layout = self._layout
        if layout.block_width == layout.width and tiff.TILE_OFFSETS not in layout.tags:
            return min(layout.block_height, layout.height - down * layout.block_height)
        return layout.block_height

    @property
    def _pixel(self) -> int:
        """Samples of a pixel within a strip or tile."""
        return 1 if self._layout.planar else self._layout.samples

    @property
    def _row_bytes(self) -> int:
        return -(-self._layout.block_width * self._pixel * self._layout.bits // 8)

    @property
    def _subsampled(self) -> bool:
        layout = self._layout
        return layout.photometric == tiff.YCBCR and layout.subsampling != (1, 1) and not codecs.gives_samples(layout)

    def _whole(self, offset: int, index: int, height: int) -> Array:
        """A strip or tile, [height, its width, its samples]."""
        layout = self._layout
        h, v = layout.subsampling
        row_bytes, lines = self._row_bytes, height
        if self._subsampled:  # a line is then one of units, of v rows
            row_bytes, lines = -(-layout.block_width // h) * (h * v + 2), -(-height // v)
        if layout.counts is None or index >= len(layout.counts) or layout.compression == codecs.NONE:
            length = lines * row_bytes if layout.compression == codecs.NONE else self._size - offset
        else:
            length = int(layout.counts[index])
        data = codecs.unpack(self._at(offset, length), layout, lines, row_bytes)
        if len(data) < lines * row_bytes:
            raise ValueError("the file is cut short")
        packed = np.frombuffer(data, np.uint8, lines * row_bytes).reshape(lines, row_bytes)
        if codecs.gives_samples(layout):
            return packed.reshape(height, layout.block_width, self._pixel)
        if self._subsampled:
            return _spread(packed, h, v)[:height, : layout.block_width]
        if layout.predictor == 3:
            return self._from_byte_differences(packed)
        numbers = self._numbers(packed.tobytes(), height)
        return np.cumsum(numbers, axis=1, dtype=numbers.dtype) if layout.predictor == 2 else numbers

    def _numbers(self, data: bytes, height: int) -> Array:
        """Rows of samples from bytes."""
        layout = self._layout
        shape = (height, layout.block_width, self._pixel)
        if layout.reversed_bits and layout.compression == codecs.NONE and len(data) == height * self._row_bytes:
            data = codecs.unpack(data, layout, height, self._row_bytes)
        if layout.bits in _BITS_OF_BYTES:
            stored = np.frombuffer(data, self._dtype.newbyteorder("<" if layout.order == "<" else ">"))
            return stored.astype(self._dtype, copy=False).reshape(shape)
        packed = np.frombuffer(data, np.uint8).reshape(height, self._row_bytes)
        return unpack_bits(packed, layout.bits, shape[1] * shape[2]).reshape(shape)

    def _from_byte_differences(self, packed: Bytes) -> Array:
        """Floats from predictor 3: a row has the differences of all highest bytes, then those of the next ones, and so on."""
        height, size = len(packed), self._layout.bits // 8
        summed = np.cumsum(packed.reshape(height, -1, self._pixel), axis=1, dtype=np.uint8)
        planes = summed.reshape(height, size, -1).transpose(0, 2, 1)
        numbers = np.ascontiguousarray(planes).view(self._dtype.newbyteorder(">"))
        return numbers.astype(self._dtype).reshape(height, self._layout.block_width, self._pixel)

    def _at(self, offset: int, length: int) -> bytes:
        data = b""
        if offset + length <= self._size:  # else it may exceed the range of seek()
            self._file.seek(offset)
            data = self._file.read(length)
        if len(data) != length:
            raise ValueError("the file is cut short")
        return data

    # ---- what the samples mean ----------------------------------------------------------------------------------------------

    def _meaning(self, samples: Array) -> Part:
        layout = self._layout
        color = samples[..., : layout.colors]
        alpha = None if layout.alpha is None else samples[..., layout.alpha]
        if alpha is not None and layout.associated:
            return Part(divided(color, alpha, layout.bits), eight_bit(alpha, layout.bits))
        return Part(self._color(color), None if alpha is None else eight_bit(alpha, layout.bits))

    def _color(self, color: Array) -> Bytes:
        layout = self._layout
        if layout.photometric == tiff.PALETTE:
            return self._named(color[..., 0])
        if layout.photometric in (tiff.LAB, tiff.ICC_LAB):
            return self._from_lab(color)
        found = eight_bit(color, layout.bits)
        if layout.photometric == tiff.GREY_INVERTED:
            return 255 - found
        if layout.photometric == tiff.YCBCR and not self._jpeg_rgb:
            return self._from_ycbcr(color if layout.bits == 8 else found)
        return found

    def _named(self, indices: Array) -> Bytes:
        """The colours of a palette."""
        bits, tags = self._layout.bits, self._layout.tags
        if bits > 16 or indices.dtype.kind != "u" or len(tags.get(tiff.COLOR_MAP, ())) < 3 << bits:
            raise ValueError("no colours for all indices")
        table = np.asarray(tags[tiff.COLOR_MAP], np.uint64)[: 3 << bits].reshape(3, -1).T
        # Old programs wrote 8-bit numbers here; libtiff detects them in the same way.
        eight = table if table.max() < 256 else (table * 255 + 32767) // 65535
        return np.asarray(eight.astype(np.uint8)[indices])

    def _from_lab(self, color: Array) -> Bytes:
        layout = self._layout
        if layout.format != tiff.UNSIGNED or layout.bits not in (8, 16):
            raise tiff.unread(f"L*a*b* colours of {layout.bits} bits")
        whole = 1 << (layout.bits - 8)  # of one step of a* and b*
        lab = color.astype(np.float64)
        if layout.photometric == tiff.LAB:
            lab[..., 0] *= 100 / ((1 << layout.bits) - 1)
            lab[..., 1:] = color[..., 1:].astype(f"i{layout.bits // 8}") / whole
        else:
            lab[..., 0] *= 100 / (255 * whole)
            lab[..., 1:] = lab[..., 1:] / whole - 128
        white = layout.tags.get(tiff.WHITE_POINT)
        return lab_to_rgb(lab, None if white is None or len(white) < 2 else (float(white[0]), float(white[1])))

    def _from_ycbcr(self, color: Bytes) -> Bytes:
        tags = self._layout.tags
        luma = np.asarray(tags.get(tiff.YCC_COEFFICIENTS, ()), np.float64)
        reference = np.asarray(tags.get(tiff.REFERENCE_BLACK_WHITE, ()), np.float64)
        if len(luma) != 3:
            luma = np.array([0.299, 0.587, 0.114])
        if len(reference) != 6:
            reference = np.array([0.0, 255, 128, 255, 128, 255])
        return ycbcr_to_rgb(color.astype(np.float64), luma, reference)


def _check_subsampled(layout: tiff.Layout) -> None:
    if layout.planar or layout.bits != 8 or layout.samples != 3 or layout.predictor != 1:
        raise tiff.unread("YCbCr with fewer colours than pixels, other than three samples of 8 bits side by side,")


def _spread(units: Bytes, h: int, v: int) -> Bytes:
    """YCbCr of every pixel, [rows, W, 3], from rows of units, each of h x v Y samples, then one Cb and one Cr."""
    count = units.shape[1] // (h * v + 2)
    unit = units.reshape(len(units), count, h * v + 2)
    found = np.empty((len(units), v, count, h, 3), np.uint8)
    found[..., 0] = unit[..., : h * v].reshape(len(units), count, v, h).transpose(0, 2, 1, 3)
    found[..., 1:] = unit[:, None, :, None, h * v :]
    return found.reshape(len(units) * v, count * h, 3)


def _info(layout: tiff.Layout) -> dict[str, Any]:
    info: dict[str, Any] = {}
    if tiff.PROFILE in layout.tags:
        info["icc_profile"] = layout.tags[tiff.PROFILE].astype(np.uint8).tobytes()
    if XMP in layout.tags:
        info["xmp"] = layout.tags[XMP].astype(np.uint8).tobytes()
    if ORIENTATION in layout.tags:
        exif = Image.Exif()
        exif[ORIENTATION] = layout.orientation
        info["exif"] = exif.tobytes()
    return info


def open_tiff(file: BinaryIO) -> TiffFile | None:
    """The picture of a TIFF; ``None`` if it is another file, or one that Pillow has to decode whole.

    Raises:
        KindError: a kind that is not read here.
        ValueError: a damaged file.
    """
    try:
        found = tiff.read_tags(file)
    except struct.error:
        raise ValueError("the file is cut short") from None
    if found is None:
        return None
    order, tags = found
    if int(tags.get(tiff.COMPRESSION, (1,))[0]) == codecs.OLD_JPEG:
        return None
    return TiffFile(file, tiff.layout(order, tags))
