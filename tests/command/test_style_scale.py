"""How large a style is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import MODEL, Run, failed, pixels
from PIL import Image

from fastnst import Stylizer
from fastnst.cli.commands import stylize as stylizing
from fastnst.options import StyleScale, style_scales


@pytest.mark.usefixtures("work")
def test_a_scale_is_a_resized_style(run: Run, work: Path) -> None:
    with Image.open("style.png") as style:
        size = style.width * 2, style.height * 2
        style.convert("RGB").resize(size, Image.Resampling.LANCZOS).save("large.png")
    for name, style_, options in (("a", "style.png", ("--style-scale", "2")), ("b", "large.png", ("--style-size", "0"))):
        assert run("stylize", "content.png", style_, "-o", f"{name}.png", *MODEL, *options).code == 0
    np.testing.assert_array_equal(pixels("a.png"), pixels("b.png"))
    stylizer = Stylizer(work / "model.fnst")
    np.testing.assert_array_equal(stylizer(pixels("content.png"), pixels("style.png"), style_scale=2), pixels("a.png"))


@pytest.mark.usefixtures("work")
def test_scales_are_mixed_by_their_shares(run: Run, work: Path) -> None:
    assert run("stylize", "content.png", "style.png", "-o", "a.png", *MODEL, "--style-scale", "0.5:1,2:3").code == 0
    stylizer, style = Stylizer(work / "model.fnst"), pixels("style.png")
    looks = [stylizer.encode_style(style, style_scale=scale) for scale in (0.5, 2)]
    np.testing.assert_array_equal(stylizer(pixels("content.png"), looks, weights=[1, 3]), pixels("a.png"))
    both = stylizer(pixels("content.png"), style, style_scale=[StyleScale(0.5, 1), StyleScale(2, 3)])
    np.testing.assert_array_equal(both, pixels("a.png"))


@pytest.mark.usefixtures("work")
def test_auto_follows_every_content(run: Run, work: Path) -> None:
    Path("in").mkdir()
    style = pixels("style.png")
    for side in (90, 200):
        Image.fromarray(pixels("content.png")).resize((side, side + 30)).save(f"in/{side}.png")
    assert run("stylize", "in", "style.png", "-o", "out", *MODEL, "--style-scale", "auto").code == 0
    for side in (90, 200):
        scaled = Stylizer(work / "model.fnst")(pixels(f"in/{side}.png"), style, style_scale="auto")
        np.testing.assert_array_equal(pixels(f"out/{side}.png"), scaled)
    assert StyleScale(None).side(512, 90) == 128
    assert StyleScale(None).side(512, 5000) == 2048


@pytest.mark.parametrize("scale", ["0.25", "4"])
def test_the_smallest_styles_can_be_scaled(run: Run, work: Path, scale: str) -> None:
    """Smaller than what one feature sees."""
    Image.new("RGB", (3, 2), "teal").save(work / "tiny.png")
    assert run("stylize", "content.png", "tiny.png", "-o", "out.png", *MODEL, "--style-scale", scale).code == 0


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize(
    ("scale", "part"),
    [
        ("0.2", "must lie in 0.25..4"),
        ("5", "must lie in 0.25..4"),
        ("nan", "must lie in"),
        ("large", "is no scale"),
        ("2:", "is no scale"),
        ("2:-1", "at least 0"),
        ("2:0,1:0", "not all be 0"),
        ("", "is no scale"),
    ],
)
def test_scales_that_cannot_be(run: Run, scale: str, part: str) -> None:
    assert failed(run("stylize", "content.png", "style.png", "-o", "out.png", *MODEL, "--style-scale", scale), part, code=2)
    with pytest.raises(ValueError, match=part):
        style_scales(scale)


@pytest.mark.usefixtures("work")
def test_a_large_picture_gets_a_hint(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stylizing, "_LARGE", 100)
    result = run("stylize", "content.png", "style.png", "-o", "out.png", *MODEL)
    assert result.code == 0
    assert result.err.startswith("fastnst: hint: strokes are small on out.png")
    for options in (("--style-scale", "1"), ("--quiet",), ("--json",)):
        assert run("stylize", "content.png", "style.png", "-o", "out.png", "--overwrite", *MODEL, *options).err == ""


def test_videos_follow_too(run: Run, work: Path) -> None:
    (work / "clip.y4m").write_bytes(b"YUV4MPEG2 W40 H36 F25:1 C444\nFRAME\n" + bytes(range(256)) * 16 + bytes(224))
    sizes = {"auto": ("--style-size", "144", "--style-scale", "auto"), "same": ("--style-size", "36")}
    for name, options in sizes.items():
        assert run("stylize", "clip.y4m", "style.png", "-o", f"{name}.y4m", *MODEL, *options).code == 0
    assert (work / "auto.y4m").read_bytes() == (work / "same.y4m").read_bytes()
