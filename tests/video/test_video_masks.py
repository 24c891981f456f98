"""Masks that move with a video."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from clips import Pixels, moving_square, write_clip, write_y4m, y4m_format
from PIL import Image

from fastnst import Stylizer, cli
from fastnst.video import job

av = pytest.importorskip("av", reason="PyAV reads and writes these: pip install 'fastnst[video]'")

FRAMES = 8
STEADY = [3600 * index for index in range(FRAMES)]  # 25 a second
EXACT = y4m_format(24, 32, "444", full=True)


def bar(index: int) -> Pixels:
    """A mask: a white bar that moves."""
    picture = np.zeros((24, 32), np.uint8)
    picture[:, 4 * index : 4 * index + 8] = 255
    return picture


def grey(index: int) -> Pixels:
    return np.repeat(bar(index)[..., None], 3, 2)


def transparent(mask: Pixels) -> Image.Image:
    """A black picture that is as opaque as the mask is light."""
    return Image.fromarray(np.dstack([np.zeros((*mask.shape, 3), np.uint8), mask]))


@pytest.fixture
def work(work: Path) -> Path:
    """With equal pictures with numbers from 3 on, and masks."""
    (still,) = moving_square(1)
    (work / "masks").mkdir()
    for index in range(FRAMES):
        Image.fromarray(still).save(work / f"in_{index + 3}.png")
        Image.fromarray(bar(index)).save(work / "masks" / f"bar{index + 98}.png")  # 98, 99, 100: no order of letters
    return work


@pytest.fixture
def clip(work: Path) -> Path:
    return write_clip(work / "clip.mkv", [moving_square(1)[0]] * FRAMES, codec="ffv1", pixels="yuv444p", times=STEADY)


def run(output: str, *more: str, content: str = "in_%d.png") -> int:
    return cli.main(["stylize", content, *more, "-o", output, "--model", "model.fnst", "--quiet", "--overwrite"])


def made(pattern: str, count: int = FRAMES) -> list[Pixels]:
    return [np.asarray(Image.open(pattern % (index + 3))) for index in range(count)]


def line(capsys: pytest.CaptureFixture[str]) -> str:
    (only,) = capsys.readouterr().err.splitlines()
    return only.removeprefix("fastnst: ")


def test_each_frame_has_its_own_mask(work: Path) -> None:
    """Though all frames are equal; a clip or animation of masks is as good as pictures."""
    write_y4m(work / "masks.y4m", [grey(index) for index in range(FRAMES)], EXACT)
    first, *others = [Image.fromarray(bar(index)) for index in range(FRAMES)]
    first.save("masks.gif", save_all=True, append_images=others)
    write_clip(work / "masks.mkv", [grey(index) for index in range(FRAMES)], codec="ffv1", pixels="gray")
    stylizer = Stylizer(work / "model.fnst")
    style = stylizer.encode_style(np.asarray(Image.open("style.png")))
    content = np.asarray(Image.open("in_3.png"))
    wanted = [stylizer(content, regions=[(bar(index), style)]) for index in range(FRAMES)]
    for masks in ("masks", "masks/bar%d.png", "masks.y4m", "masks.gif", "masks.mkv"):
        assert run("out_%d.png", "--region", f"{masks}=style.png") == 0
        assert all(map(np.array_equal, made("out_%d.png"), wanted)), masks


def test_a_part_of_the_video_takes_its_masks_and_needs_no_more(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("all_%d.png", "style.png", "--alpha-map", "masks") == 0
    part = ("style.png", "--alpha-map", "masks", "--start", "0.12", "--end", "0.24")
    assert run("part_%d.png", *part) == 0
    for number in (104, 105):
        (work / "masks" / f"bar{number}.png").unlink()
    assert run("part_%d.png", *part) == 0
    assert capsys.readouterr().err == ""
    assert all(map(np.array_equal, made("all_%d.png")[3:6], made("part_%d.png", 3)))
    assert not (work / "part_6.png").exists()
    assert not np.array_equal(*made("all_%d.png", 2))
    assert run("more_%d.png", "style.png", "--alpha-map", "masks", "--start", "0.12", "--end", "0.28") == 1
    assert line(capsys) == "error: masks: has 6 masks, and in_%d.png needs 7, one for each frame from its first on"


@pytest.mark.parametrize("masks", ["masks", "masks.mkv"])
def test_masks_that_end_before_the_video_are_refused(
    clip: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, masks: str
) -> None:
    """Before the first frame is stylized."""
    monkeypatch.setattr(job, "Pipeline", None)
    for number in range(99, 106):
        Path(f"masks/bar{number}.png").unlink()
    write_clip(Path("masks.mkv"), [grey(index) for index in range(6)], codec="ffv1", pixels="gray")
    held = "1 mask" if masks == "masks" else "6 masks"
    for content, output in (("in_%d.png", "out_%d.png"), (clip.name, "out.y4m")):
        before = sorted(Path().iterdir())
        assert run(output, "style.png", "--alpha-map", masks, content=content) == 1
        assert line(capsys) == f"error: {masks}: has {held}, and {content} needs 8, one for each frame from its first on"
        assert sorted(Path().iterdir()) == before


def test_masks_that_end_before_a_pipe_are_refused(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pipe(io.BufferedReader):
        def seekable(self) -> bool:
            return False

    content = write_y4m(work / "content.y4m", moving_square(FRAMES + 1))
    with content.open("rb", buffering=0) as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Pipe(file)))
        assert run("out.mkv", "--region", "masks=style.png", content="-") == 1
    assert line(capsys) == "error: masks: has 8 masks, and standard input has more frames"
    assert not list(work.glob("out*"))


def test_masks_that_are_left_over_are_told_of(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They may belong to other frames than they were given to."""
    (work / "in_10.png").unlink()
    assert run("out_%d.png", "--region", "masks=style.png") == 0
    assert line(capsys) == "warning: masks: has more masks than in_%d.png has frames: the last ones are not used"
    (work / "masks" / "bar105.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert run("out_%d.png", "--region", "masks=style.png") == 1  # whether masks are transparent is asked of all
    assert line(capsys).startswith("error: masks/bar105.png: ")


def test_transparency_or_lightness_is_decided_for_all_masks_alike(work: Path) -> None:
    """A mask that covers everything is opaque everywhere, and no picture of nothing because it is black."""
    masks = [bar(index) for index in range(FRAMES)]
    masks[0][:], masks[5][:] = 255, 255
    (work / "paint").mkdir()
    for index, mask in enumerate(masks):
        Image.fromarray(mask).save(work / "masks" / f"bar{index + 98}.png")
        transparent(mask).save(work / "paint" / f"{index}.png")
    Image.new("RGB", (32, 24)).save(work / "paint" / "5.png")  # some programs leave transparency out where there is none
    first, *others = map(transparent, masks)
    first.save("paint.apng", "PNG", save_all=True, append_images=others)
    assert run("grey_%d.png", "--region", "masks=style.png") == 0
    for paint in ("paint", "paint.apng"):
        assert run("paint_%d.png", "--region", f"{paint}=style.png") == 0
        assert all(map(np.array_equal, made("grey_%d.png"), made("paint_%d.png"))), paint


@pytest.mark.parametrize("masks", ["one.gif", "one.y4m", "one.mkv"])
def test_a_file_of_one_frame_is_a_mask_that_stays(work: Path, masks: str) -> None:
    Image.fromarray(bar(3)).save("one.gif")
    write_y4m(work / "one.y4m", [grey(3)], EXACT)
    write_clip(work / "one.mkv", [grey(3)], codec="ffv1", pixels="gray")
    assert run("wanted_%d.png", "--region", "masks/bar101.png=style.png") == 0
    assert run("out_%d.png", "--region", f"{masks}=style.png") == 0
    assert all(map(np.array_equal, made("out_%d.png"), made("wanted_%d.png")))
    assert run("out.png", "--region", f"{masks}=style.png", content="in_3.png") == 0
    assert np.array_equal(np.asarray(Image.open("out.png")), made("out_%d.png", 1)[0])


def test_masks_may_be_of_any_size(work: Path) -> None:
    Image.fromarray(np.repeat(np.repeat(bar(2), 2, 0), 2, 1)).save(work / "masks" / "bar100.png")
    assert run("out_%d.png", "--region", "masks=style.png") == 0
    assert run("out.png", "--region", "masks/bar100.png=style.png", content="in_5.png") == 0
    assert np.array_equal(made("out_%d.png")[2], np.asarray(Image.open("out.png")))


@pytest.mark.parametrize("broken", ["masks.mkv", "clip.mkv"])
def test_a_frame_that_is_lost_shifts_no_masks(clip: Path, capsys: pytest.CaptureFixture[str], broken: str) -> None:
    masks = write_clip(Path("masks.mkv"), [grey(index) for index in range(FRAMES)], codec="ffv1", pixels="gray", times=STEADY)
    command = ("--region", f"{masks}=style.png")
    assert run("out.mkv", *command, content=clip.name) == 0
    whole = Path(broken).read_bytes()
    with av.open(broken) as container:
        found = [bytes(packet) for packet in container.demux(video=0) if packet.size]

    def without(packet: bytes) -> None:
        """With noise in a packet's place, from its twentieth byte on."""
        noise = np.random.default_rng(1).bytes(len(packet) - 20)
        at = whole.rindex(packet)
        Path(broken).write_bytes(whole[: at + 20] + noise + whole[at + len(packet) :])

    without(found[4])
    before = sorted(Path().iterdir())
    assert run("other.mkv", *command, content=clip.name) == 1
    number = "mask 4" if broken == masks.name else "frame 4"
    assert line(capsys) == f"error: {broken}: is damaged before {number}, and masks would belong to other frames after that"
    assert sorted(Path().iterdir()) == before
    without(found[-1])
    assert run("other.mkv", *command, content=clip.name) == (1 if broken == masks.name else 0)
    damage = "is cut off or damaged: a packet of its video could not be read whole"
    told = capsys.readouterr().err.splitlines()
    if broken == masks.name:
        needs = "clip.mkv needs 8, one for each frame from its first on"
        assert told == [f"fastnst: error: masks.mkv: has 7 masks ({damage}), and {needs}"]
    else:
        left = "masks.mkv: has more masks than clip.mkv has frames: the last ones are not used"
        assert told == [f"fastnst: warning: clip.mkv: {damage}", f"fastnst: warning: {left}"]


@pytest.mark.usefixtures("work")
def test_what_cannot_be_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*more: str) -> str:
        assert run("out_%d.png", *more) == 1
        assert not list(Path().glob("out_*"))
        return line(capsys).removeprefix("error: ")

    Path("broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(30))
    assert refused("--region", "broken.mp4=style.png").startswith("broken.mp4: ")
    pictures = [Image.fromarray(bar(index)) for index in range(2)]
    pictures[0].save("masks.webp", save_all=True, append_images=pictures[1:])
    assert refused("--region", "masks.webp=style.png").startswith("masks.webp: no masks are read from an animated WebP: ")
    Path("masks/bar101.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert refused("--region", "masks=style.png").startswith("masks/bar101.png: ")


@pytest.mark.usefixtures("work")
def test_a_dry_run_refuses_what_the_run_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    def refused(content: str, masks: str, *options: str) -> str:
        output = "out_%d.png" if "%" in content else "out.png"
        lines = []
        for more in ([], ["--dry-run"]):
            assert run(output, "--region", f"{masks}=style.png", *options, *more, content=content) == 1
            lines.append(line(capsys).removeprefix("error: "))
        assert not list(Path().glob("out*"))
        assert lines[0] == lines[1]
        return lines[0]

    assert refused("in_3.png", "masks") == "in_3.png: masks holds a mask for each frame, which is for videos alone"
    assert "regions have their own" in refused("in_%d.png", "masks", "--smooth", "0.5")
    assert refused("in_%d.png", "masks", "--crop", "8") == "in_%d.png: --crop is for pictures, and this is a video"
    assert refused("in_%d.png", "missing.mp4") == "missing.mp4: no such file"
    assert refused("in_%d.png", "none_%d.png") == "none_%d.png: no picture has such a name"
    Path("masks/bar101.png").unlink()
    assert refused("in_%d.png", "masks") == "masks: number 101 is missing between 98 and 105"
    Path("masks/bar101.png").write_bytes(Path("masks/bar99.png").read_bytes())
    Path("masks/other99.png").write_bytes(Path("masks/bar99.png").read_bytes())
    assert refused("in_%d.png", "masks") == "masks/other99.png: has the number of bar99.png"
    Path("empty").mkdir()
    assert refused("in_%d.png", "empty") == "empty: holds no picture"
