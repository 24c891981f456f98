"""Decompresses the strips and tiles of a TIFF.

Deflate and LZMA are decompressed by Python's own modules, WebP by Pillow, the others by the libtiff inside Pillow, which gets
one strip or tile at a time, as a small TIFF. It only decompresses: the meaning of samples is decided in one place, in
:mod:`fastnst.pictures.tiff_reader`.
"""

from __future__ import annotations

import io
import lzma
import warnings
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastnst.pictures import tiff_tags as tiff
from fastnst.pictures.directories import LONG, LONG8, ORIENTATION, SHORT, UNDEFINED, Directory, Form, written
from fastnst.pictures.samples import MODES

NONE, OLD_JPEG, JPEG, WEBP = 1, 6, 7, 50001
_DEFLATE, _LZMA = (8, 32946), 34925
_FAX = (2, 3, 4)  # one bit a pixel
_BYTES = {5: "LZW", 32773: "PackBits", 50000: "Zstandard"}  # by libtiff, as they are
_NAMES = {
    32766: "NeXT",
    32809: "ThunderScan",
    32909: "PixarLog",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "SGI Log",
    34677: "SGI Log",
    34712: "JPEG 2000",
    34887: "LERC",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_FILL_ORDER_OF_ITS_OWN = (*_FAX, JPEG, WEBP)  # their decoders reverse bits themselves, or it does not apply
_MOST_PIXELS = 150_000_000  # Pillow's own limit is a little above


def check(layout: tiff.Layout) -> None:
    """Raise KindError if this module cannot unpack ``layout``."""
    kind, pixel = layout.compression, 1 if layout.planar else layout.samples
    if kind not in (NONE, *_DEFLATE, _LZMA, *_FAX, *_BYTES, JPEG, WEBP):
        raise tiff.unread(f"{_NAMES.get(kind, f'an unknown ({kind})')} compression")
    if kind in (JPEG, WEBP) and (layout.bits != 8 or layout.format != tiff.UNSIGNED):
        raise tiff.unread(f"{layout.bits}-bit samples in {'JPEG' if kind == JPEG else 'WebP'} compression")
    if (kind == JPEG and pixel > 4) or (kind == WEBP and pixel not in (3, 4)):
        raise tiff.unread(f"{pixel} samples a pixel in {'JPEG' if kind == JPEG else 'WebP'} compression")
    if kind in _FAX and (layout.bits, pixel) != (1, 1):
        raise tiff.unread("fax compression of more than one bit a pixel")
    if layout.predictor not in (1, 2, 3):
        raise tiff.unread(f"an unknown ({layout.predictor}) predictor")
    if layout.predictor == 2 and layout.bits not in (8, 16, 32, 64):
        raise tiff.unread(f"a predictor of {layout.bits}-bit samples")
    if layout.predictor == 3 and layout.format != tiff.FLOAT:
        raise tiff.unread("a floating-point predictor of other samples")


def gives_samples(layout: tiff.Layout) -> bool:
    """Whether what is unpacked are 8-bit samples, YCbCr made RGB: neither packed bits nor a predictor are to be undone."""
    return layout.compression in (JPEG, WEBP)


def unpack(data: bytes, layout: tiff.Layout, height: int, row_bytes: int) -> bytes:
    """The bytes of a strip or tile of ``height`` rows; fewer if there are not as many.

    Raises:
        KindError: libtiff has been built without the codec.
        ValueError: damaged data.
    """
    kind = layout.compression
    if layout.reversed_bits and kind not in _FILL_ORDER_OF_ITS_OWN:
        data = data.translate(_REVERSED)
    wanted = height * row_bytes
    try:
        if kind == NONE:
            return data
        if kind in _DEFLATE:
            return zlib.decompressobj().decompress(data, wanted)
        if kind == _LZMA:
            return lzma.LZMADecompressor().decompress(data, wanted)
        if kind == WEBP:
            return _webp(data, layout, height)
        return _by_libtiff(data, layout, height, row_bytes)
    except (zlib.error, lzma.LZMAError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"a strip or tile cannot be unpacked: {error}") from None


def _webp(data: bytes, layout: tiff.Layout, height: int) -> bytes:
    with _opened(data, "WEBP") as image:
        if image.width != layout.block_width or image.height < height:
            raise ValueError("a strip or tile of another size")
        return image.convert(MODES[layout.samples]).tobytes()


def _by_libtiff(data: bytes, layout: tiff.Layout, height: int, row_bytes: int) -> bytes:
    kind, samples, bits, width = layout.compression, 1, 8, row_bytes
    own: dict[int, NDArray[np.uint64]] = {}
    if kind == JPEG:
        samples, width = 1 if layout.planar else layout.samples, layout.block_width
        color = tiff.YCBCR if layout.photometric == tiff.YCBCR and samples == 3 else (1, 1, 1, 2, 2)[samples]
        own[tiff.PHOTOMETRIC] = _value(color)
        if color == tiff.YCBCR:
            own[tiff.YCC_SUBSAMPLING] = np.array(layout.subsampling, np.uint64)
        own |= _copied(layout, tiff.JPEG_TABLES)
    elif kind in _FAX:
        bits, width = 1, layout.block_width
        own |= _copied(layout, tiff.T4_OPTIONS, tiff.T6_OPTIONS, tiff.FILL_ORDER)
    else:  # any bytes: taken as wider pixels, for Pillow has a limit on their number
        samples = next(each for each in (4, 3, 1) if row_bytes % each == 0)
        width = row_bytes // samples
    if height * width > _MOST_PIXELS:
        raise tiff.unread(f"strips or tiles of {height * row_bytes >> 20} MB")
    file = _small_tiff(data, kind, (height, width), samples, bits, own)
    with _opened(file, "TIFF") as image:
        try:
            return image.tobytes()
        except OSError:
            if kind == 50000 and not _has_zstandard():
                raise tiff.unread("Zstandard compression, which this Pillow lacks,") from None
            raise ValueError("a strip or tile cannot be unpacked") from None


def _opened(data: bytes, form: str) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes; there is a limit of our own
        return Image.open(io.BytesIO(data), formats=(form,))


def _value(number: int) -> NDArray[np.uint64]:
    return np.array([number], np.uint64)


def _copied(layout: tiff.Layout, *tags: int) -> dict[int, NDArray[np.uint64]]:
    return {tag: np.asarray(layout.tags[tag], np.uint64) for tag in tags if tag in layout.tags}


def _small_tiff(
    data: bytes, kind: int, size: tuple[int, int], samples: int, bits: int, own: Mapping[int, NDArray[np.uint64]]
) -> bytes:
    """A TIFF of one strip, grey or RGB with the last of an even number of samples as transparency."""
    tags: dict[int, NDArray[np.uint64]] = {
        tiff.HEIGHT: _value(size[0]),
        tiff.WIDTH: _value(size[1]),
        tiff.BITS: np.full(samples, bits, np.uint64),
        tiff.COMPRESSION: _value(kind),
        tiff.PHOTOMETRIC: _value(tiff.GREY if samples < 3 else tiff.RGB),
        tiff.SAMPLES: _value(samples),
        tiff.ROWS_PER_STRIP: _value(size[0]),
        tiff.STRIP_COUNTS: _value(len(data)),
        tiff.PLANAR: _value(1),
    } | dict(own)
    if samples in (2, 4):
        tags[tiff.EXTRA] = _value(tiff.UNASSOCIATED)
    tags[tiff.STRIP_OFFSETS] = _value(len(directory(tags | {tiff.STRIP_OFFSETS: _value(0)}, big=False)))
    return directory(tags, big=False) + data


_SHORT = frozenset(
    (tiff.BITS, tiff.COMPRESSION, tiff.PHOTOMETRIC, tiff.FILL_ORDER, ORIENTATION, tiff.SAMPLES, tiff.PLANAR, tiff.EXTRA,
     tiff.YCC_SUBSAMPLING)
)  # fmt: skip


def directory(tags: Mapping[int, object], big: bool, others: Directory | None = None) -> bytes:
    """A TIFF's header, its directory and the values that do not fit into it: of a length that does not depend on the values.

    Args:
        others: what the directory holds beside the numbers of ``tags``, the lowest byte first.
    """
    form, top = Form(big=big), others or Directory()
    found = Directory(entries=dict(top.entries), below=top.below)
    for tag, numbers in tags.items():
        kind = UNDEFINED if tag == tiff.JPEG_TABLES else SHORT if tag in _SHORT else LONG8 if big else LONG
        found.put(tag, kind, *np.asarray(numbers).tolist())
    head = form.head(0)
    return form.head(len(head)) + written(found, form, len(head))


def _has_zstandard() -> bool:
    """Whether Pillow's libtiff writes, and so reads, Zstandard."""
    try:
        Image.new("L", (1, 1)).save(io.BytesIO(), format="TIFF", compression="zstd")
    except OSError:
        return False
    return True
