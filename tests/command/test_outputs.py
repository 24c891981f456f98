"""Outputs that people keep: metadata of the content, quality, formats; see tests/pictures/test_metadata.py for the files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import MODEL, Run, failed, pixels
from PIL import Image

from fastnst import Stylizer

ORIENTATION, MAKE, WIDTH = 0x0112, 0x010F, 0xA002


@pytest.fixture
def photo(work: Path) -> Path:
    """A turned JPEG with EXIF and a resolution, beside the others of ``work``."""
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = 6, "Maker"
    exif.get_ifd(0x8769)[WIDTH] = 1
    with Image.open("content.png") as image:
        image.convert("RGB").resize((160, 120)).save("photo.jpg", exif=exif, dpi=(300, 300))
    return work


def stylize(run: Run, content: str, output: str, *options: str) -> tuple[int, str]:
    result = run("stylize", content, "style.png", "-o", output, *MODEL, *options)
    return result.code, result.err or result.out


@pytest.mark.usefixtures("photo")
@pytest.mark.parametrize("memory", ["1G", "2M"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_outputs_say_what_the_content_says(run: Run, suffix: str, memory: str) -> None:
    assert stylize(run, "photo.jpg", f"out.{suffix}", "--max-memory", memory)[0] == 0
    with Image.open(f"out.{suffix}") as image:
        assert image.size == (120, 160)
        exif = image.getexif()
        assert (exif[MAKE], exif.get(ORIENTATION, 1), exif.get_ifd(0x8769)[WIDTH]) == ("Maker", 1, 120)
        if suffix != "webp":
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.02)


@pytest.mark.usefixtures("photo")
def test_metadata_stays_behind_where_it_shall(run: Run) -> None:
    assert stylize(run, "photo.jpg", "out.jpg", "--strip-metadata")[0] == 0
    with Image.open("out.jpg") as image:
        assert not image.getexif()
        assert "dpi" not in image.info
        assert "icc_profile" in image.info


@pytest.mark.usefixtures("photo")
def test_what_a_format_does_not_hold_is_said(run: Run) -> None:
    code, line = stylize(run, "photo.jpg", "out.ppm")
    assert code == 0
    assert line.endswith("left out: EXIF, resolution\n")
    _, line = stylize(run, "photo.jpg", "out.png", "--json")
    assert json.loads(line)["left_out"] == []


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif"])
def test_quality(run: Run, suffix: str) -> None:
    for quality in (5, 90):
        assert stylize(run, "content.png", f"{quality}.{suffix}", "--quality", str(quality))[0] == 0
    assert Path(f"5.{suffix}").stat().st_size < Path(f"90.{suffix}").stat().st_size


@pytest.mark.usefixtures("work")
def test_lossless_files_give_back_the_pixels(run: Run) -> None:
    for name in ("a.webp", "b.png"):
        assert stylize(run, "content.png", name, "--lossless")[0] == 0
    np.testing.assert_array_equal(pixels("a.webp"), pixels("b.png"))


@pytest.mark.parametrize(
    ("output", "options", "part"),
    [
        ("out.png", ("--quality", "80"), "quality is a matter of AVIF, JPEG, WebP, not of PNG"),
        ("out.jpg", ("--quality", "0"), "0 is less than 1"),
        ("out.jpg", ("--quality", "101"), "101 is more than 100"),
        ("out.jpg", ("--lossless",), "JPEG cannot be written lossless"),
        ("out.avif", ("--lossless",), "AVIF cannot be written lossless"),
        ("out.webp", ("--lossless", "--quality", "3"), "not allowed with"),
        ("out.jpg", ("--format", "png"), "its suffix is that of another format than png"),
        ("out", ("--format", "gif"), "'gif' is none of the formats"),
        ("out", (), "or --format says the format"),
    ],
)
def test_what_a_format_does_not_have_is_wrong_usage(
    run: Run, work: Path, output: str, options: tuple[str, ...], part: str
) -> None:
    assert failed(run("stylize", "content.png", "style.png", "-o", output, *MODEL, *options), part, code=2)
    assert not (work / output).exists()


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize(("name", "kind"), [("jpg", "JPEG"), ("JPEG", "JPEG"), ("tiff", "TIFF"), ("ppm", "PPM")])
def test_a_format_where_the_suffix_does_not_say(run: Run, name: str, kind: str) -> None:
    assert stylize(run, "content.png", "out", "--format", name)[0] == 0
    with Image.open("out") as image:
        assert image.format == kind


def test_a_format_for_a_folder(run: Run, folder: Path) -> None:
    (folder / "bad.jpg").unlink()
    assert run("stylize", folder, "style.png", "-o", "styled", *MODEL, "--format", "webp", "--quality", "40").code == 0
    assert {path.suffix for path in Path("styled").rglob("*.*")} == {".webp"}


def test_quality_in_a_folder_is_for_those_that_have_it(run: Run, folder: Path) -> None:
    (folder / "bad.jpg").unlink()
    assert run("stylize", folder, "style.png", "-o", "styled", *MODEL, "--quality", "40").code == 0
    assert {path.suffix for path in Path("styled").rglob("*.*")} == {".png", ".jpg"}


@pytest.mark.parametrize("options", [("--quality", "9"), ("--lossless",), ("--format", "png"), ("--strip-metadata",)])
def test_videos_refuse_what_is_for_pictures(run: Run, work: Path, options: tuple[str, ...]) -> None:
    (work / "clip.y4m").write_bytes(b"YUV4MPEG2 W4 H4 F25:1 C444\nFRAME\n" + bytes(48))
    result = run("stylize", "clip.y4m", "style.png", "-o", "out.y4m", *MODEL, *options)
    assert failed(result, f"{options[0]} is for pictures, and this is a video", code=2)


def test_metadata_of_videos_in_a_folder_is_not_left_there_silently(run: Run, folder: Path) -> None:
    (folder / "clip.y4m").write_bytes(b"YUV4MPEG2 W4 H4 F25:1 C444\nFRAME\n" + bytes(48))
    result = run("stylize", folder, "style.png", "-o", "out", *MODEL, "--strip-metadata")
    assert failed(result, "--strip-metadata is for pictures", code=2)
    assert not Path("out").exists()


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize(
    "words", [("--preserve-color", "content.png", "style.png"), ("content.png", "style.png", "--preserve-color")]
)
def test_the_mode_may_be_left_away(run: Run, words: tuple[str, ...]) -> None:
    assert run("stylize", *words, "-o", "out.png", *MODEL).code == 0
    assert run("stylize", "content.png", "style.png", "-o", "luma.png", *MODEL, "--preserve-color=luma").code == 0
    np.testing.assert_array_equal(pixels("out.png"), pixels("luma.png"))


@pytest.mark.parametrize("mode", ["luma", "lab", "match", "histogram"])
def test_modes_reach_the_engine(run: Run, work: Path, mode: str) -> None:
    assert run("stylize", "--preserve-color", mode, "content.png", "style.png", "-o", "out.png", *MODEL).code == 0
    wanted = Stylizer(work / "model.fnst")(pixels("content.png"), pixels("style.png"), preserve_color=mode)
    np.testing.assert_array_equal(pixels("out.png"), wanted)


@pytest.mark.usefixtures("work")
def test_an_unknown_mode_is_wrong_usage(run: Run) -> None:
    assert failed(run("stylize", "content.png", "style.png", "-o", "out.png", "--preserve-color=sepia"), "sepia", code=2)
