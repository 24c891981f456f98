"""The EXIF orientation and the colour profile of a picture file are applied, and not passed on."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from picture_files import LOSSY, ORIENTATION, Pixels, alpha_of, gradient_alpha, mean_error, rgb_of
from PIL import Image, ImageCms

from fastnst.images import open_picture, save_picture

UPRIGHT = {  # what a viewer does with stored pixels, EXIF 2.32 table 6
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "tiff", "jpg", "webp"])
def test_exif_orientation_is_applied_and_not_passed_on(
    tmp_path: Path, photos: dict[str, Pixels], suffix: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"turned.{suffix}"
    stored = photos["astronaut"][:96, :160]
    Image.fromarray(stored).save(path, exif=exif, **({"quality": 95} if suffix in LOSSY else {}))
    picture = open_picture(path)
    assert mean_error(rgb_of(picture), UPRIGHT[orientation](stored)) < (4 if suffix in LOSSY else 1e-9)
    save_picture(picture, tmp_path / f"out.{suffix}")
    with Image.open(tmp_path / f"out.{suffix}") as out:
        assert out.getexif().get(ORIENTATION, 1) == 1
        assert out.size == picture.rgb.size


def test_alpha_turns_with_the_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    stored = np.dstack([np.zeros((5, 7, 3), np.uint8), gradient_alpha(5, 7)])
    Image.fromarray(stored).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(alpha_of(open_picture(tmp_path / "turned.png")), np.rot90(stored[..., 3], -1))


def test_damaged_exif_leaves_the_picture_as_stored(tmp_path: Path, photos: dict[str, Pixels]) -> None:
    Image.fromarray(photos["cat"]).save(tmp_path / "in.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert np.array_equal(rgb_of(open_picture(tmp_path / "in.png")), photos["cat"])


# ---- colour profiles --------------------------------------------------------------------------------------------------------


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def icc(space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A version 2 ICC profile with the given tags (ICC.1:2001-04)."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249), **tags}
    table, data, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", offset + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s12s4s", offset + len(data), bytes(4), 0x02400000, b"mntr", space, pcs, bytes(12), b"acsp")
    header += bytes(128 - len(header) - 60) + fixed(0.9642, 1, 0.8249) + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + data


def gamma(exponent: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256)) + b"\0\0"


# sRGB's primaries adapted to D50 (IEC 61966-2-1, as in every sRGB profile).
RED, GREEN, BLUE = (0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)


def matrix_profile(*primaries: tuple[float, float, float]) -> bytes:
    columns = {name + b"XYZ": b"XYZ \0\0\0\0" + fixed(*xyz) for name, xyz in zip((b"r", b"g", b"b"), primaries, strict=True)}
    return icc(b"RGB ", b"XYZ ", columns | {name + b"TRC": gamma(2.2) for name in (b"r", b"g", b"b")})


@pytest.mark.parametrize("suffix", ["png", "tiff", "jpg", "webp"])
def test_color_profile_is_converted_to_srgb(tmp_path: Path, photos: dict[str, Pixels], suffix: str) -> None:
    """A profile whose red is sRGB's green and the other way round: the converted picture has them swapped."""
    path = tmp_path / f"swapped.{suffix}"
    image = Image.fromarray(photos["flower"])
    image.save(path, icc_profile=matrix_profile(GREEN, RED, BLUE), **({"quality": 95} if suffix in LOSSY else {}))
    # 2.2 is not quite sRGB's curve: most of the error is in the shadows.
    assert mean_error(rgb_of(open_picture(path)), photos["flower"][..., [1, 0, 2]]) < 4
    save_picture(open_picture(path), tmp_path / f"out.{suffix}")
    with Image.open(tmp_path / f"out.{suffix}") as out:
        assert ("srgb" if suffix == "png" else "icc_profile") in out.info  # of sRGB, see test_metadata.py


def test_srgb_profile_changes_nothing(tmp_path: Path, photos: dict[str, Pixels]) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(photos["flower"]).save(tmp_path / "in.png", icc_profile=profile)
    assert np.array_equal(rgb_of(open_picture(tmp_path / "in.png")), photos["flower"])


def test_grey_profile_is_converted(tmp_path: Path) -> None:
    """Linear grey: 0.5 becomes sRGB's 188."""
    profile = icc(b"GRAY", b"XYZ ", {b"kTRC": gamma(1.0)})
    Image.fromarray(np.array([[0, 128, 255]], np.uint8)).save(tmp_path / "linear.png", icc_profile=profile)
    values = rgb_of(open_picture(tmp_path / "linear.png")).astype(int)
    assert np.abs(values - np.array([0, 188, 255])[None, :, None]).max() <= 1


def test_palette_and_alpha_go_through_the_profile(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "in.png", icc_profile=matrix_profile(GREEN, RED, BLUE), transparency=bytes([255, 77]))
    picture = open_picture(tmp_path / "in.png")
    assert np.abs(rgb_of(picture).astype(int) - [[[0, 255, 0], [0, 0, 255]]]).max() <= 2
    assert alpha_of(picture).tolist() == [[255, 77]]


def test_cmyk_profile_is_used(tmp_path: Path) -> None:
    """A printer whose cyan, magenta and yellow are invisible: only black ink counts."""
    identity = bytes(range(256))
    lightness = b"".join(bytes([0 if corner & 1 else 255, 128, 128]) for corner in range(16))  # black varies fastest
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + 4 * identity + lightness + 3 * identity
    inks = np.zeros((1, 3, 4), np.uint8)
    inks[0, 1, :3], inks[0, 2, 3] = 255, 255
    image = Image.frombytes("CMYK", (3, 1), inks.tobytes())
    image.save(tmp_path / "ink.tiff", icc_profile=icc(b"CMYK", b"Lab ", {b"A2B0": table}))
    values = rgb_of(open_picture(tmp_path / "ink.tiff")).astype(int)
    assert np.abs(values - np.array([255, 255, 0])[None, :, None]).max() <= 2


@pytest.mark.parametrize("profile", [b"nonsense", bytes(200), icc(b"GRAY", b"XYZ ", {b"kTRC": gamma(1.0)})])
def test_broken_or_unsuitable_profile_is_ignored(tmp_path: Path, photos: dict[str, Pixels], profile: bytes) -> None:
    Image.fromarray(photos["cat"]).save(tmp_path / "in.png", icc_profile=profile)
    assert np.array_equal(rgb_of(open_picture(tmp_path / "in.png")), photos["cat"])
