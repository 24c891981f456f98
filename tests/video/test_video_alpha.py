"""Transparency through videos, and the codecs that hold it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import moving_square, write_clip
from PIL import Image

from fastnst import Stylizer, cli
from fastnst.video.sources import open_source

av = pytest.importorskip("av", reason="PyAV reads and writes these: pip install 'fastnst[video]'")


@pytest.fixture
def work(work: Path) -> Path:
    """With five pictures whose transparency grows to the left, other colours below it in each."""
    rng = np.random.default_rng(3)
    for number in range(5):
        picture = rng.integers(0, 256, (49, 65, 4), dtype=np.uint8)
        picture[..., 3] = np.clip(np.arange(65) * 4 - 20 + 5 * number, 0, 255)
        Image.fromarray(picture).save(work / f"in_{number}.png")
    return work


def run(content: str, output: str, *more: str) -> int:
    arguments = ["stylize", content, "style.png", "-o", output, "--model", "model.fnst", "--smooth", "0", "--quiet", *more]
    return cli.main(arguments)


def alphas(path: str) -> list[np.ndarray]:
    source = open_source(Path(path))
    found = [frame.alpha for frame in source.frames(0, True)]
    source.close()
    return [each for each in found if each is not None]


def test_pictures_keep_it_to_the_bit(work: Path) -> None:
    assert run("in_%d.png", "out_%d.png") == 0
    stylizer = Stylizer(work / "model.fnst")
    style = stylizer.encode_style(np.asarray(Image.open("style.png")))
    for number in range(5):
        wanted = stylizer(Image.open(f"in_{number}.png"), style)
        assert np.array_equal(np.asarray(Image.open(f"out_{number}.png")), np.asarray(wanted))


@pytest.mark.parametrize("name", ["out.webm", "out.mov", "out.mkv", "out.apng"])
def test_videos_keep_it_and_pass_it_on(work: Path, name: str) -> None:
    assert run("in_%d.png", name) == 0
    assert run(name, "again_%d.png") == 0
    assert run("in_%d.png", name, "--overwrite") == 0  # a pattern is no file that the output could be
    found = alphas(name)
    assert len(found) == 5
    for number in range(5):
        wanted = np.asarray(Image.open(work / f"in_{number}.png"))[..., 3].astype(int)
        assert np.abs(found[number] - wanted).mean() < 2
        assert np.abs(np.asarray(Image.open(f"again_{number + 1}.png"))[..., 3] - wanted).mean() < 2


@pytest.mark.usefixtures("work")
def test_an_animated_webp_keeps_it() -> None:
    assert run("in_%d.png", "out.webp") == 0
    with Image.open("out.webp") as made:
        made.seek(2)
        alpha = np.asarray(made.convert("RGBA"))[..., 3]
    assert np.abs(alpha - np.asarray(Image.open("in_2.png"))[..., 3].astype(int)).mean() < 2


@pytest.mark.usefixtures("work")
def test_prores_is_422_hq_and_4444_for_what_is_transparent() -> None:
    for number in range(5):
        Image.open(f"in_{number}.png").convert("RGB").save(f"plain_{number}.png")
    for content, output, profile, tag in (("plain", "a.mov", "HQ", "apch"), ("in", "b.mov", "4444", "ap4h")):
        assert run(f"{content}_%d.png", output, "--codec", "prores") == 0
        with av.open(output) as made:
            context = made.streams.video[0].codec_context
            assert (context.name, context.profile, context.codec_tag) == ("prores", profile, tag)
            assert context.pix_fmt.endswith(("10le", "12le"))


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_encoders_that_cannot_be_are_refused_by_dry_runs_too(capsys: pytest.CaptureFixture[str], more: tuple[str, ...]) -> None:
    def refused(output: str, *options: str) -> str:
        assert run("in_%d.png", output, *options, *more) == 1
        assert not list(Path().glob("c*"))
        return capsys.readouterr().err.removeprefix(f"fastnst: error: {output}: ").rstrip("\n")

    assert refused("c.mp4", "--codec", "prores") == "--codec prores is not for .mp4, which is written with h264"
    for output in ("c.gif", "c_%d.png", "c.y4m"):
        assert refused(output, "--codec", "h264") == "--codec is for outputs in .mp4 .mov .mkv .webm"
    assert refused("c.mov", "--codec", "prores", "--video-quality", "3") == "ProRes has no quality to choose"
    assert refused("c.webm", "--video-quality", "64") == "the quality of libvpx-vp9 is at most 63, not 64"
    assert refused("c.webp", "--video-quality", "101") == "the quality of WebP is at most 100, not 101"


@pytest.mark.usefixtures("work")
def test_prores_of_odd_sides_has_the_colours_of_its_last_column() -> None:
    for number in range(5):
        Image.open(f"in_{number}.png").convert("RGB").save(f"plain_{number}.png")
    assert run("plain_%d.png", "out.mov", "--codec", "prores") == 0
    assert run("plain_%d.png", "out_%d.png") == 0
    source = open_source(Path("out.mov"))
    for number, frame in enumerate(source.frames()):
        wanted = source.format.coding.from_rgb(np.asarray(Image.open(f"out_{number}.png")))
        for plane, exact in zip(frame.planes, wanted, strict=True):
            height, width = exact.shape
            assert np.abs(plane[:height, width - 1].astype(int) - exact[:, -1]).mean() < 6
    source.close()


def test_prores_keeps_the_tags_of_colours(work: Path) -> None:
    def tag(stream: Any) -> None:
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 1, 9, 14, 1

    write_clip(work / "clip.mp4", moving_square(3), prepare=tag)
    assert run("clip.mp4", "out.mov", "--codec", "prores") == 0
    with av.open("out.mov") as made:
        (frame, *_) = made.decode(video=0)
    assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (1, 9, 14, 1)


@pytest.mark.usefixtures("work")
def test_a_missing_encoder_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"prores_ks"})
    assert run("in_%d.png", "c.mov", "--codec", "prores") == 1
    assert capsys.readouterr().err == "fastnst: error: c.mov: this PyAV has no encoder for prores\n"
    assert not list(Path().glob("c.mov"))
