"""The directory of a TIFF or BigTIFF: where its samples are, and what they mean.

TIFF 6.0, its technical notes 1 and 2, Adobe's notes on predictor 3 and on ZIP; BigTIFF as libtiff defines it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastnst.pictures.directories import ORIENTATION, RATIONAL, XMP, read_entries, read_form
from fastnst.pictures.picture import KindError

# Tags, by their names in the specification.
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR = 273, 277, 278, 279, 284
T4_OPTIONS, T6_OPTIONS, PREDICTOR, WHITE_POINT, COLOR_MAP = 292, 293, 317, 318, 320
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, INK_SET, EXTRA, FORMAT = 322, 323, 324, 325, 332, 338, 339
JPEG_TABLES, YCC_COEFFICIENTS, YCC_SUBSAMPLING, REFERENCE_BLACK_WHITE, PROFILE = 347, 529, 530, 532, 34675
_USED = frozenset((*range(256, 348), *range(529, 533), XMP, PROFILE))

Values = NDArray[np.uint64] | NDArray[np.float64]
Tags = Mapping[int, Values]

_TYPES = {1: "u1", 3: "u2", 4: "u4", 5: "u4", 7: "u1", 13: "u4", 16: "u8"}  # byte, short, long, rational, undefined, ifd, long8
_MAX_VALUES = 1 << 26  # bytes of one tag: offsets of a gigapixel in strips of one row are far less

GREY_INVERTED, GREY, RGB, PALETTE, SEPARATED, YCBCR, LAB, ICC_LAB = 0, 1, 2, 3, 5, 6, 8, 9
_COLORS = {GREY_INVERTED: 1, GREY: 1, RGB: 3, PALETTE: 1, SEPARATED: 4, YCBCR: 3, LAB: 3, ICC_LAB: 3}
_PHOTOMETRIC_NAMES = {
    4: "a transparency mask",
    10: "ITU L*a*b* colours",
    32803: "a colour filter array (a raw photograph)",
    32844: "LogL values",
    32845: "LogLuv colours",
    34892: "linear raw values",
}
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
ASSOCIATED, UNASSOCIATED = 1, 2  # kinds of an extra sample: colours multiplied by transparency, and not
_COREL_ALPHA = 999


@dataclass(frozen=True)
class Layout:
    """The layout of the samples, and their meaning."""

    order: str  # of bytes: "<" or ">"
    height: int
    width: int
    samples: int  # of a pixel
    bits: int  # of a sample
    format: int  # UNSIGNED, SIGNED or FLOAT
    planar: bool  # each sample of all pixels separately
    block_height: int  # of strips and tiles
    block_width: int
    offsets: Values
    counts: Values | None
    compression: int
    predictor: int
    reversed_bits: bool
    photometric: int
    alpha: int | None  # which sample is transparency
    associated: bool
    subsampling: tuple[int, int]  # of YCbCr: across, down
    orientation: int
    tags: Tags = field(repr=False)

    @property
    def colors(self) -> int:
        """Samples of a pixel that are colour; they come first."""
        return _COLORS[self.photometric]

    @property
    def across(self) -> int:
        """The number of blocks across."""
        return -(-self.width // self.block_width)

    @property
    def down(self) -> int:
        """The number of blocks down."""
        return -(-self.height // self.block_height)


def unread(what: str) -> KindError:
    """The error of a TIFF with ``what``."""
    return KindError(f"a TIFF with {what} is not read here")


def read_tags(file: BinaryIO) -> tuple[str, Tags] | None:
    """The byte order, and those tags of the first picture that are used here; ``None`` if the file is no TIFF.

    Raises:
        ValueError, struct.error: a damaged directory.
    """
    found = read_form(file)
    if found is None:
        return None
    form, offset = found
    tags: dict[int, Values] = {}
    for tag, entry in read_entries(file, form, offset, _MAX_VALUES, _USED):
        if entry.kind not in _TYPES:
            continue
        numbers = np.frombuffer(entry.data, form.order + _TYPES[entry.kind])
        if entry.kind == RATIONAL:
            tags[tag] = numbers[::2] / np.maximum(numbers[1::2].astype(np.float64), 1)
        else:
            tags[tag] = numbers.astype(np.uint64)
    return form.order, {tag: values for tag, values in tags.items() if len(values)}


def layout(order: str, tags: Tags) -> Layout:
    """The layout that the tags describe.

    Raises:
        KindError: it is of a kind that is not read here.
        ValueError: tags are missing, or contradict each other.
    """

    def number(tag: int, default: int) -> int:
        return int(tags[tag][0]) if tag in tags else default

    if WIDTH not in tags or HEIGHT not in tags:
        raise ValueError("no size")
    height, width, samples = number(HEIGHT, 0), number(WIDTH, 0), number(SAMPLES, 1)
    photometric = number(PHOTOMETRIC, GREY_INVERTED if samples < 3 else RGB)
    if photometric not in _COLORS:
        raise unread(_PHOTOMETRIC_NAMES.get(photometric, f"colours of kind {photometric}"))
    if samples < _COLORS[photometric]:
        raise ValueError(f"{samples} samples for a pixel of {_COLORS[photometric]} colours")
    if photometric == SEPARATED and number(INK_SET, 1) != 1:
        raise unread("inks other than CMYK")
    compression = number(COMPRESSION, 1)
    bits, form = _sample_kind(tags)
    alpha, associated = _transparency(tags, samples, photometric)
    tiled = TILE_OFFSETS in tags
    block_height = number(TILE_HEIGHT, 0) if tiled else min(number(ROWS_PER_STRIP, height), height)
    block_width = number(TILE_WIDTH, 0) if tiled else width
    subsampling = (1, 1)
    if photometric == YCBCR:
        given = tags.get(YCC_SUBSAMPLING, np.array([2, 2], np.uint64)).tolist()
        subsampling = (int(given[0]), int(given[-1]))
    found = Layout(
        order=order,
        height=height,
        width=width,
        samples=samples,
        bits=bits,
        format=form,
        planar=number(PLANAR, 1) == 2 and samples > 1,
        block_height=block_height,
        block_width=block_width,
        offsets=tags.get(TILE_OFFSETS if tiled else STRIP_OFFSETS, np.empty(0, np.uint64)),
        counts=tags.get(TILE_COUNTS if tiled else STRIP_COUNTS),
        compression=compression,
        predictor=number(PREDICTOR, 1),
        reversed_bits=number(FILL_ORDER, 1) == 2,
        photometric=photometric,
        alpha=alpha,
        associated=associated,
        subsampling=subsampling,
        orientation=number(ORIENTATION, 1),
        tags=tags,
    )
    _check_blocks(found)
    return found


def _sample_kind(tags: Tags) -> tuple[int, int]:
    """Bits of each sample and what they are: UNSIGNED, SIGNED or FLOAT."""
    bits = {int(each) for each in tags.get(BITS, np.ones(1, np.uint64))}
    forms = {int(each) for each in tags.get(FORMAT, np.ones(1, np.uint64))}
    if len(bits) != 1 or len(forms) != 1:
        raise unread("samples of different kinds")
    (size,), (form,) = bits, forms
    form = UNSIGNED if form == 4 else form  # "undefined", which most readers take as unsigned
    if form == FLOAT and size in (16, 32, 64):
        return size, form
    if (form == UNSIGNED and (1 <= size <= 16 or size == 32)) or (form == SIGNED and size == 32):
        return size, form
    names = {UNSIGNED: "", SIGNED: " signed", FLOAT: " floating-point"}
    raise unread(f"{size}-bit{names.get(form, ' complex')} samples")


def _transparency(tags: Tags, samples: int, photometric: int) -> tuple[int | None, bool]:
    """Which sample is transparency, and whether the colours are multiplied by it."""
    colors = _COLORS[photometric]
    kinds = [int(each) for each in tags.get(EXTRA, np.empty(0, np.uint64))][: samples - colors]
    if not kinds and photometric == RGB and samples == 4:
        return 3, False  # the meaning in files of programs that omit the tag
    for index, kind in enumerate(kinds):
        if kind in (ASSOCIATED, UNASSOCIATED, _COREL_ALPHA):
            if kind == ASSOCIATED and photometric not in (GREY, RGB):
                raise unread("colours multiplied by their transparency, other than grey and RGB")
            return colors + index, kind == ASSOCIATED
    return None, False


def _check_blocks(found: Layout) -> None:
    h, w = found.block_height, found.block_width
    if h < 1 or w < 1 or h * w > 4 * found.height * found.width + (1 << 20):
        raise ValueError(f"strips or tiles of {w} x {h}")
    planes = found.samples if found.planar else 1
    if planes * found.across * found.down > len(found.offsets):
        raise ValueError("fewer strips or tiles than its size needs")
    across, down = found.subsampling
    if found.photometric == YCBCR and not {across, down} <= {1, 2, 4}:
        raise ValueError(f"colours for each {across} x {down} pixels")
