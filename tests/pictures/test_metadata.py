"""What a picture file says beside its pixels is carried into the output, and made true of it."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from picture_files import ORIENTATION, Pixels, chunk
from PIL import Image, ImageCms, IptcImagePlugin
from PIL.TiffImagePlugin import IFDRational

from fastnst.images import Metadata, Picture, Saving, open_picture, read_metadata, save_picture
from fastnst.pictures.directories import EXIF, GPS, MAKER_NOTE, Form, read_form
from fastnst.pictures.metadata import photoshop_resources
from fastnst.pictures.profile import srgb_profile
from fastnst.pictures.streams import open_writer

XMP_PACKET = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    b'tiff:Orientation="6" xmp:Rating="4"><xmp:Thumbnails><rdf:Alt/></xmp:Thumbnails></rdf:Description></rdf:RDF></x:xmpmeta>'
)
IPTC_RECORDS = b"\x1c\x02\x69\0\x08Headline" + b"\x1c\x02\x50\0\x05Annie"
HOLDS = {  # by the suffix of the output: EXIF, XMP, IPTC, resolution
    ".jpg": (True, True, True, True),
    ".png": (True, True, True, True),
    ".tif": (True, True, True, True),
    ".webp": (True, True, False, True),
    ".avif": (True, True, False, True),
    ".bmp": (False, False, False, True),
    ".ppm": (False, False, False, False),
    ".pam": (False, False, False, False),
}


def exif_of_a_camera(order: str = "<", orientation: int = 6) -> bytes:
    """As a camera writes it: with the maker's notes at an even place, GPS, another colour space, and a thumbnail."""
    exif = Image.Exif()
    exif.endian = order
    exif[0x010F], exif[ORIENTATION], exif[0x8298] = "Maker", orientation, "(c) Annie"
    exif[0x011A], exif[0x011B], exif[0x0128] = IFDRational(300), IFDRational(300), 2
    exif.get_ifd(EXIF).update({0xA001: 65535, 0xA002: 4000, 0xA003: 3000, 0x829A: IFDRational(1, 125), 0xA005: {1: "R03"}})
    exif.get_ifd(GPS).update({1: "N", 2: (IFDRational(52), IFDRational(31), IFDRational(7))})
    data = exif.tobytes().removeprefix(b"Exif\0\0")
    # A second directory, with a thumbnail: where the first one says that there is none.
    form, offset = read_form(io.BytesIO(data)) or (Form(), 0)
    count = struct.unpack_from(form.count, data, offset)[0]
    link = offset + 2 + 12 * count
    at = len(data)
    second = struct.pack(f"{order}HHHII", 1, 0x0201, 4, 1, at + 18) + bytes(4) + b"\xff\xd8THUMBNAIL"
    return data[:link] + struct.pack(form.word, at) + data[link + 4 :] + second


def content(path: Path, **metadata: Any) -> Path:
    Image.fromarray(np.full((30, 40, 3), 90, np.uint8)).save(path, **metadata)
    return path


def jpeg(path: Path, order: str = "<") -> Path:
    """A JPEG with all that there is."""
    resources = b"Photoshop 3.0\0" + photoshop_resources(IPTC_RECORDS)
    extra = b"\xff\xed" + struct.pack(">H", len(resources) + 2) + resources
    return content(path, exif=b"Exif\0\0" + exif_of_a_camera(order), xmp=XMP_PACKET, dpi=(240, 240), extra=extra)


def metadata_of(path: Path) -> Metadata:
    with path.open("rb") as file:
        return read_metadata(file)


def saved(path: Path, metadata: Metadata, alpha: bool = False, streamed: bool = False) -> Path:
    pixels = np.arange(20 * 24 * 3, dtype=np.uint32).astype(np.uint8).reshape(20, 24, 3)
    saving = Saving(Saving.by(path.suffix).format, metadata=metadata)
    opacity = Image.new("L", (24, 20), 200) if alpha else None
    if not streamed:
        save_picture(Picture(Image.fromarray(pixels), opacity), path, saving)
        return path
    with path.open("wb") as file:
        writer = open_writer(saving, file, (20, 24), alpha, 1)
        writer.write_picture(pixels, opacity)
        writer.finish()
    return path


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("suffix", HOLDS)
def test_every_format_holds_what_it_can(tmp_path: Path, suffix: str, order: str) -> None:
    found = metadata_of(jpeg(tmp_path / "in.jpg", order))
    assert found.names == ("EXIF", "XMP", "IPTC", "resolution")
    path = saved(tmp_path / f"out{suffix}", found)
    kept, holds = metadata_of(path), HOLDS[suffix]
    exif = None if suffix in (".ppm", ".pam", ".bmp") else kept.exif
    if holds[0]:
        with Image.open(path) as image:
            seen = image.getexif()
            assert seen.get(ORIENTATION, 1) == 1
            assert (seen[0x010F], seen[0x8298]) == ("Maker", "(c) Annie")
            details = seen.get_ifd(EXIF)
            assert (details[0xA001], details[0xA002], details[0xA003]) == (1, 24, 20)
            assert float(details[0x829A]) == 1 / 125
            assert 0xA005 not in details
            assert [float(each) for each in seen.get_ifd(GPS)[2]] == [52, 31, 7]
    assert (exif is not None) == holds[0]
    assert kept.xmp == (XMP_PACKET.replace(b'"6"', b'"1"').replace(b"<xmp:Thumbnails><rdf:Alt/></xmp:Thumbnails>", b"")
                        if holds[1] else None)  # fmt: skip
    assert kept.iptc == (IPTC_RECORDS if holds[2] else None)
    if holds[3] and suffix not in (".webp", ".avif"):
        assert kept.dpi is not None
        expected = 300 if suffix == ".tif" else 240  # a TIFF has one place for both, and EXIF's is the camera's
        assert np.allclose(kept.dpi, expected, atol=0.02)
    assert b"THUMBNAIL" not in path.read_bytes()
    wanted = {name for name, held in zip(("EXIF", "XMP", "IPTC", "resolution"), holds, strict=True) if not held}
    assert set(Saving(Saving.by(suffix).format, metadata=found).left_out) == wanted


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_what_is_written_in_rows_says_the_same(tmp_path: Path, suffix: str, alpha: bool) -> None:
    found = metadata_of(jpeg(tmp_path / "in.jpg"))
    whole, streamed = (saved(tmp_path / f"{way}{suffix}", found, alpha, way == "rows") for way in ("whole", "rows"))
    assert metadata_of(streamed) == metadata_of(whole)
    with Image.open(whole) as one, Image.open(streamed) as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))
        for key in ("icc_profile", "srgb", "dpi"):
            assert one.info.get(key) == other.info.get(key)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg", ".bmp"])
def test_a_resolution_alone_is_kept(tmp_path: Path, suffix: str) -> None:
    """In EXIF where the format has no place of its own; nothing else appears."""
    found = metadata_of(content(tmp_path / "in.png", dpi=(300, 150)))
    assert found.names == ("resolution",)
    path = saved(tmp_path / f"out{suffix}", found)
    with Image.open(path) as image:
        if suffix == ".webp":
            assert [float(image.getexif()[tag]) for tag in (0x011A, 0x011B)] == pytest.approx([300, 150], abs=0.02)
        else:
            assert image.info["dpi"] == pytest.approx((300, 150), abs=0.02)


def test_centimetres_of_a_tiff_become_inches(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "in.tif", np.zeros((5, 6, 3), np.uint8), resolution=(100, 50), resolutionunit="CENTIMETER")
    assert metadata_of(tmp_path / "in.tif").dpi == pytest.approx((254, 127))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_tiffs_of_both_orders_and_bigtiffs_are_read(tmp_path: Path, order: str, big: bool) -> None:
    extra = [(315, "s", 0, "Annie", True), (700, "B", len(XMP_PACKET), XMP_PACKET, True), (65000, "I", 1, 7, True)]
    tifffile.imwrite(
        tmp_path / "in.tif", np.zeros((5, 6, 3), np.uint8), byteorder=order, bigtiff=big, extratags=extra,
        resolution=(72, 72), resolutionunit="INCH", description="a wall", metadata=None, software="",
    )  # fmt: skip
    found = metadata_of(tmp_path / "in.tif")
    assert found.exif is not None
    assert {tag: entry.data for tag, entry in found.exif.entries.items()} | {ORIENTATION: b""} == {
        315: b"Annie\0", 270: b"a wall\0", ORIENTATION: b"",
    }  # fmt: skip
    assert found.xmp == XMP_PACKET.replace(b'"6"', b'"1"').replace(b"<xmp:Thumbnails><rdf:Alt/></xmp:Thumbnails>", b"")
    path = saved(tmp_path / "out.jpg", found)
    with Image.open(path) as image:
        assert image.getexif()[315] == "Annie"
        assert image.info["dpi"] == (72, 72)


def test_the_notes_of_the_maker_stay_where_they_were(tmp_path: Path) -> None:
    """They name places of their own, which nobody else knows."""
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x010F] = 8, "x" * 50
    exif.get_ifd(EXIF).update({MAKER_NOTE: bytes(range(200)), 0x9286: b"c" * 90})
    found = metadata_of(content(tmp_path / "in.jpg", exif=exif))

    def place(data: bytes) -> int:
        return data.index(bytes(range(200))) - data.index(b"Exif\0\0")

    path = saved(tmp_path / "out.jpg", found)
    assert place(path.read_bytes()) == place((tmp_path / "in.jpg").read_bytes())
    with Image.open(path) as image:
        assert image.getexif().get_ifd(EXIF)[0x9286] == b"c" * 90
    again = saved(tmp_path / "out.tif", found)
    assert bytes(range(200)) not in again.read_bytes()


def test_metadata_of_a_png_as_imagemagick_writes_it(tmp_path: Path) -> None:
    def raw(kind: str, data: bytes) -> bytes:
        return chunk(
            b"zTXt",
            f"Raw profile type {kind}\0\0".encode() + zlib.compress(f"\n{kind}\n{len(data):8}\n{data.hex()}\n".encode()),
        )

    path = content(tmp_path / "in.png")
    data = path.read_bytes()
    end = data.index(b"IDAT") - 4
    extra = (
        raw("exif", b"Exif\0\0" + exif_of_a_camera()) + raw("iptc", photoshop_resources(IPTC_RECORDS)) + raw("xmp", XMP_PACKET)
    )
    path.write_bytes(data[:end] + extra + data[end:])
    found = metadata_of(path)
    assert found.names == ("EXIF", "XMP", "IPTC")
    assert found.iptc == IPTC_RECORDS


def test_iptc_is_read_by_others(tmp_path: Path) -> None:
    found = Metadata(iptc=IPTC_RECORDS)
    for suffix in (".jpg", ".tif"):
        with Image.open(saved(tmp_path / f"out{suffix}", found)) as image:
            assert IptcImagePlugin.getiptcinfo(image) == {(2, 105): b"Headline", (2, 80): b"Annie"}


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"MM",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0",
    ],
)
def test_damaged_exif_is_left_out(tmp_path: Path, damage: bytes) -> None:
    path = content(tmp_path / "in.png", exif=b"Exif\0\0" + damage)
    found = metadata_of(path)
    saved(tmp_path / "out.jpg", found)
    assert found.exif is None or list(found.exif.entries) == [ORIENTATION]


def test_a_tiff_whose_tags_all_claim_the_same_bytes_takes_no_memory(tmp_path: Path) -> None:
    entries = b"".join(struct.pack("<HHII", 40091, 1, 1 << 21, 8) for _ in range(4000))
    path = tmp_path / "in.tif"
    path.write_bytes(b"II*\0" + struct.pack("<I", 1 << 22) + bytes(1 << 22))
    path.write_bytes(path.read_bytes()[: 1 << 22] + struct.pack("<H", 4000) + entries + bytes(4))
    assert metadata_of(path) == Metadata()


def test_what_is_too_long_for_a_jpeg_is_left_out_and_said(tmp_path: Path) -> None:
    found = Metadata(xmp=b"<x>" + b" " * 70_000 + b"</x>", iptc=IPTC_RECORDS)
    assert Saving("JPEG", metadata=found).left_out == ("XMP",)
    assert metadata_of(saved(tmp_path / "out.jpg", found)) == Metadata(iptc=IPTC_RECORDS)
    assert metadata_of(saved(tmp_path / "out.png", found)) == found


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_outputs_are_tagged_as_srgb(tmp_path: Path, photos: dict[str, Pixels], suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    save_picture(Picture(Image.fromarray(photos["flower"])), path)
    with Image.open(path) as image:
        assert image.info["icc_profile"] == srgb_profile() if suffix != ".png" else image.info["srgb"] == 0


@pytest.mark.parametrize("suffix", [".tif", ".webp", ".png"])
def test_outputs_read_back_as_they_were_written(tmp_path: Path, photos: dict[str, Pixels], suffix: str) -> None:
    """Converting from sRGB to sRGB would move single pixels by one."""
    path = tmp_path / f"out{suffix}"
    saving = Saving.by(suffix, lossless=suffix == ".webp")
    save_picture(Picture(Image.fromarray(photos["flower"])), path, saving)
    assert np.array_equal(np.asarray(open_picture(path).rgb), photos["flower"])


def test_the_profile_is_srgb(photos: dict[str, Pixels]) -> None:
    """To the library's own profile no pixel moves; to a wider one, those of both move alike."""
    ours = ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile()))
    theirs = ImageCms.createProfile("sRGB")
    image = Image.fromarray(photos["flower"])
    moved = ImageCms.profileToProfile(image, ours, theirs)
    assert moved is not None
    assert np.abs(np.asarray(moved).astype(int) - photos["flower"]).max() <= 1
    assert ImageCms.getProfileDescription(ours).strip() == "sRGB"
    lab = ImageCms.createProfile("LAB")
    one, other = (ImageCms.profileToProfile(image, each, lab, outputMode="LAB") for each in (ours, theirs))
    assert np.abs(np.asarray(one).astype(np.int8).astype(int) - np.asarray(other).astype(np.int8)).max() <= 1
    assert len(srgb_profile()) < 600
