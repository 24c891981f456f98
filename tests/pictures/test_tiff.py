"""TIFFs of every layout come in with the colours that a viewer shows, or are refused in one line that names the kind."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from tiff_matrix import HEIGHT, WIDTH, Kind, other_kinds, plain_kinds, smooth, stored, write

from fastnst.images import ImageError, open_picture
from fastnst.pictures.streams import open_rows
from fastnst.pictures.tiff_codecs import directory

LEVELS = 2.5  # of 255, by which a picture may be off: 16 bits are rounded, multiplied colours are divided
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def wrong(path: Path, kinds: Iterable[Kind]) -> list[str]:
    """The kinds that are not read as they should be."""
    found = []
    for kind in kinds:
        rgb, alpha = write(path, kind)
        picture = open_picture(path)
        same = np.abs(np.asarray(picture.rgb) - rgb).max() <= LEVELS and (picture.alpha is None) == (alpha is None)
        if same and picture.alpha is not None:
            same = np.abs(np.asarray(picture.alpha) - alpha).max() <= LEVELS
        if not same:
            found.append(kind.name)
    return found


def test_every_layout_of_8_and_16_bits(tmp_path: Path) -> None:
    kinds = list(plain_kinds())
    assert len(kinds) == 576
    assert wrong(tmp_path / "a.tif", kinds) == []


def test_floats_and_predictors(tmp_path: Path) -> None:
    assert wrong(tmp_path / "a.tif", other_kinds()) == []


def read(path: Path, data: NDArray[Any], photometric: str, **options: Any) -> NDArray[np.uint8]:
    # tifffile adds to the dictionary that it is given.
    fresh = {name: dict(value) if isinstance(value, dict) else value for name, value in options.items()}
    tifffile.imwrite(path, data, photometric=photometric, metadata=None, **fresh)
    return np.asarray(open_picture(path).rgb)


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_jpeg_in_all_its_colors(tmp_path: Path, tiled: bool, order: str) -> None:
    """As tifffile decodes it; chroma that is halved, and colours that are not YCbCr."""
    path = tmp_path / "a.tif"
    block: dict[str, Any] = {"tile": (16, 32)} if tiled else {"rowsperstrip": 16}
    block |= {"compression": "jpeg", "compressionargs": {"level": 95}, "byteorder": order}
    for photometric, channels in (("ycbcr", 3), ("minisblack", 1), ("miniswhite", 1), ("separated", 4)):
        data = stored(smooth(channels), "uint8")
        for subsampling in ((1, 1), (2, 1), (2, 2)) if photometric == "ycbcr" else (None,):
            found = read(path, data if channels > 1 else data[..., 0], photometric, subsampling=subsampling, **block)
            shown = tifffile.imread(path).astype(float)
            if photometric == "separated":
                shown = (255 - shown[..., :3]) * (255 - shown[..., 3:]) / 255
            elif channels == 1:
                shown = np.broadcast_to((255 - shown if photometric == "miniswhite" else shown)[..., None], (HEIGHT, WIDTH, 3))
            assert np.abs(found - shown).max() <= LEVELS, (photometric, subsampling)
    for colors in (3, 4):
        data = stored(smooth(colors), "uint8")
        extra = ["unassalpha"] if colors == 4 else None
        found = read(path, np.moveaxis(data, 2, 0), "rgb", planarconfig="separate", extrasamples=extra, **block)
        shown = np.moveaxis(tifffile.imread(path), 0, 2)[..., :3]
        assert np.abs(found.astype(int) - shown).max() <= 1


def test_other_compressions(tmp_path: Path) -> None:
    data = stored(smooth(3), "uint8")
    for compression, options in (("zstd", {}), ("lzma", {}), ("webp", {"compressionargs": {"lossless": True}})):
        for block in ({"tile": (16, 32)}, {"rowsperstrip": 16}):
            found = read(tmp_path / "a.tif", data, "rgb", compression=compression, **options, **block)
            assert np.array_equal(found, data), compression


def test_fax_is_black_on_white(tmp_path: Path) -> None:
    bits = smooth(1)[..., 0] > 0.5
    for compression in ("group3", "group4", "tiff_ccitt"):
        Image.fromarray(bits).save(tmp_path / "a.tif", compression=compression)
        assert np.array_equal(np.asarray(open_picture(tmp_path / "a.tif").rgb)[..., 0], bits * np.uint8(255)), compression


@pytest.mark.parametrize("bits", [1, 2, 4, 10, 12, 14])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_samples_of_other_widths(tmp_path: Path, bits: int, photometric: str) -> None:
    values = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 37 % (1 << bits)).astype(np.uint8 if bits < 9 else np.uint16)
    found = read(tmp_path / "a.tif", values.astype(bool) if bits == 1 else values, photometric, bitspersample=bits)
    shown = values * (255 / ((1 << bits) - 1))
    assert np.abs(found[..., 1] - (shown if photometric == "minisblack" else 255 - shown)).max() <= 0.5


@pytest.mark.parametrize("entries", [256, 65536])
def test_palettes(tmp_path: Path, entries: int) -> None:
    colors = np.random.default_rng(1).integers(0, 65536, (3, entries)).astype(np.uint16)
    values = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 7 % entries).astype(np.uint8 if entries == 256 else np.uint16)
    found = read(tmp_path / "a.tif", values, "palette", colormap=colors)
    assert np.abs(found - colors.T[values] / 257).max() <= 0.5


def test_bits_in_reversed_order(tmp_path: Path) -> None:
    """FillOrder 2, which tifffile does not write: of raw and of deflated bytes, of 8 bits and of one."""
    import zlib

    for bits, packed in ((8, False), (8, True), (1, False)):
        width = WIDTH if bits == 8 else 8 * 5
        rows = np.random.default_rng(bits).integers(0, 256, (HEIGHT, width * bits // 8)).astype(np.uint8)
        data = zlib.compress(rows.tobytes()) if packed else rows.tobytes()
        tags = {256: [width], 257: [HEIGHT], 258: [bits], 259: [8 if packed else 1], 262: [1], 266: [2], 273: [0], 277: [1]}
        tags |= {278: [HEIGHT], 279: [len(data)]}
        start = len(directory(tags, big=False))
        (tmp_path / "a.tif").write_bytes(directory(tags | {273: [start]}, big=False) + data.translate(REVERSED))
        shown = rows if bits == 8 else np.unpackbits(rows, axis=1) * np.uint8(255)
        assert np.array_equal(np.asarray(open_picture(tmp_path / "a.tif").rgb)[..., 0], shown), (bits, packed)


@pytest.mark.parametrize("units", [(1, 1), (2, 1), (2, 2), (4, 2)])
def test_raw_ycbcr(tmp_path: Path, units: tuple[int, int]) -> None:
    """As Pillow converts YCbCr; the colours of h x v pixels are the same here, so that halving them loses nothing."""
    h, v = units
    coarse = stored(smooth(3), "uint8")[: HEIGHT // v, : WIDTH // h]
    pixels = np.repeat(np.repeat(coarse, v, axis=0), h, axis=1)[:HEIGHT, :WIDTH]
    ycbcr = np.asarray(Image.fromarray(pixels).convert("YCbCr"))
    height, width = ycbcr.shape[:2]
    luma = ycbcr[..., 0].reshape(height // v, v, width // h, h).transpose(0, 2, 1, 3).reshape(height // v, width // h, h * v)
    data = np.concatenate([luma, ycbcr[::v, ::h, 1:]], axis=2).astype(np.uint8).tobytes()
    tags = {256: [width], 257: [height], 258: [8, 8, 8], 259: [1], 262: [6], 273: [0], 277: [3], 278: [height]}
    tags |= {279: [len(data)], 530: [h, v]}
    start = len(directory(tags, big=False))
    (tmp_path / "a.tif").write_bytes(directory(tags | {273: [start]}, big=False) + data)
    shown = np.asarray(Image.fromarray(ycbcr, "YCbCr").convert("RGB")).astype(int)
    assert np.abs(np.asarray(open_picture(tmp_path / "a.tif").rgb) - shown).max() <= LEVELS


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("photometric", ["cielab", "icclab"])
def test_lab_is_that_of_icc_profiles(tmp_path: Path, bits: int, photometric: str) -> None:
    """Colours and what Little CMS makes of them, by way of D50."""
    known = {
        (60, 0, 0): (145, 145, 145),
        (60, 20, 0): (178, 132, 145),
        (60, 0, 20): (155, 144, 109),
        (60, 0, -20): (129, 146, 180),
    }
    lab = np.array([list(known)], np.float64)
    scale = 1 << (bits - 8)
    top = (1 << bits) - 1 if photometric == "cielab" else 255 * scale
    shift = 0 if photometric == "cielab" else 128 * scale
    values = np.concatenate([np.rint(lab[..., :1] * top / 100), lab[..., 1:] * scale + shift], axis=2)
    data = values.astype(np.int64).astype(f"u{bits // 8}")
    found = read(tmp_path / "a.tif", np.repeat(data, 3, axis=0), photometric)
    assert np.abs(found[1].astype(int) - list(known.values())).max() <= LEVELS


def test_big_endian_bigtiff_of_any_size(tmp_path: Path) -> None:
    assert (read(tmp_path / "a.tif", np.full((9, 9, 3), 90, np.uint8), "rgb", bigtiff=True, byteorder=">") == 90).all()


REFUSED = {
    "8-bit signed samples": (np.zeros((5, 5), np.int8), {}),
    "16-bit signed samples": (np.zeros((5, 5, 3), np.int16), {"photometric": "rgb"}),
    "64-bit complex samples": (np.zeros((5, 5), np.complex64), {}),
    "64-bit samples": (np.zeros((5, 5), np.uint64), {}),
    "JPEG 2000 compression": (np.zeros((16, 16), np.uint8), {"compression": "jpeg2000"}),
    "LERC compression": (np.zeros((16, 16), np.uint8), {"compression": "lerc"}),
    "JPEG XL compression": (np.zeros((16, 16), np.uint8), {"compression": "jpegxl"}),
    "a colour filter array": (np.zeros((16, 16), np.uint8), {"photometric": "cfa"}),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_kind_that_is_not_read_is_named(tmp_path: Path, kind: str) -> None:
    data, options = REFUSED[kind]
    tifffile.imwrite(tmp_path / "a.tif", data, metadata=None, **({"photometric": "minisblack"} | options))
    with pytest.raises(ImageError, match=rf"a\.tif: a TIFF with {kind}.* is not read here$"):
        open_picture(tmp_path / "a.tif")


def test_integers_of_32_bits_are_16_bit_pictures_or_refused(tmp_path: Path) -> None:
    data = np.array([[0, 32768, 65535]], np.uint32)
    assert read(tmp_path / "a.tif", data, "minisblack")[0, :, 0].tolist() == [0, 128, 255]
    with pytest.raises(ImageError, match=r"a\.tif: integer pixels outside 0\.\.65535 are not read here"):
        read(tmp_path / "a.tif", data * 65537, "minisblack")


def test_a_strip_cut_short_is_refused(tmp_path: Path) -> None:
    """Also one that unpacks to less than its rows."""
    path = tmp_path / "a.tif"
    for compression in (None, "zlib", "lzw", "packbits"):
        read(path, stored(smooth(3), "uint8"), "rgb", compression=compression)
        with tifffile.TiffFile(path) as file:
            offset, size = file.pages.first.dataoffsets[0], file.pages.first.databytecounts[0]
        data = bytearray(path.read_bytes())
        data[offset + size // 2 :] = b""
        path.write_bytes(data)
        with pytest.raises(ImageError, match=r"a\.tif: broken picture: .*cut short"):
            open_picture(path)


def test_a_directory_that_never_ends_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0\x08\0\0\0" + struct.pack("<H", 65535) + bytes(100))
    with pytest.raises(ImageError, match=r"a\.tif: broken picture: 65535 tags"):
        open_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("offset", [2**62, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_directory_beyond_any_file_is_refused(tmp_path: Path, offset: int) -> None:
    """By both ways of reading: seek() refuses these by two exceptions."""
    (tmp_path / "a.tif").write_bytes(b"II+\0\x08\0\0\0" + struct.pack("<Q", offset) + bytes(100))
    for read_it in (open_picture, open_rows):
        with pytest.raises(ImageError, match=r"a\.tif: broken picture: "):
            read_it(tmp_path / "a.tif")
