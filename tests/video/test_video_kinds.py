"""Whether a content is a picture or a video: what is in the file decides, then its name, then what is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import moving_square, write_y4m
from PIL import Image

from fastnst import cli
from fastnst.jobs.plans import Outputs, plan
from fastnst.system.errors import UsageError
from fastnst.video import WRITE_SUFFIXES, is_video
from fastnst.video.kinds import is_y4m

TS = b"".join(b"\x47" + bytes(187) for _ in range(4))
M2TS = b"".join(bytes(4) + b"\x47" + bytes(187) for _ in range(4))
VIDEOS = {
    "mp4": b"\0\0\0\x20ftypisom",
    "3gp": b"\0\0\0\x20ftyp3gp4",
    "old quicktime": b"\0\0\x10\0moov",
    "matroska": b"\x1aE\xdf\xa3",
    "avi": b"RIFF\0\0\0\0AVI ",
    "flv": b"FLV\x01",
    "asf": b"0&\xb2u\x8ef\xcf\x11\xa6\xd9",
    "ogg": b"OggS",
    "program stream": b"\0\0\x01\xba",
    "transport stream": TS,
    "m2ts": M2TS,
    "y4m": b"YUV4MPEG2 W2 H2\n",
}
PICTURES = {
    "jpeg": b"\xff\xd8\xff\xe0",
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "tiff": b"II*\0",
    "big tiff": b"MM\0+",
    "webp": b"RIFF\0\0\0\0WEBP",
    "heic": b"\0\0\0\x18ftypheic",
    "avif": b"\0\0\0\x18ftypavif",
    "ppm": b"P6\n2 2\n255\n",
}


@pytest.mark.parametrize("name", ["x", "x.mp4", "x.png", "x.dat"])
@pytest.mark.parametrize("output", [None, Path("out.mp4"), Path("out.png"), Path("-")])
def test_the_content_decides_whatever_the_name(tmp_path: Path, name: str, output: Path | None) -> None:
    for head in VIDEOS.values():
        (tmp_path / name).write_bytes(head + bytes(5000))
        assert is_video(tmp_path / name, output)
    for head in PICTURES.values():
        (tmp_path / name).write_bytes(head + bytes(5000))
        assert not is_video(tmp_path / name, output)


def test_an_animation_is_what_is_asked_for(tmp_path: Path) -> None:
    pictures = [Image.fromarray(picture) for picture in moving_square(3)]
    for name in ("a.gif", "a.png", "gif.mp4"):
        kind = "GIF" if "gif" in name else "PNG"
        pictures[0].save(tmp_path / name, kind, save_all=True, append_images=pictures[1:])
        assert is_video(tmp_path / name, Path("out.mp4"))
        assert is_video(tmp_path / name, Path("out.y4m"))
        assert not is_video(tmp_path / name, Path("out.jpg"))
        assert not is_video(tmp_path / name)
    pictures[0].save(tmp_path / "still.png")
    assert not is_video(tmp_path / "still.png", Path("out.mp4"))


def test_what_nothing_tells_about_goes_by_its_name_and_then_by_the_output(tmp_path: Path) -> None:
    raw = np.random.default_rng(1).bytes(3000)
    for suffix in (".h264", ".ts", ".mp4", ".MTS", ".vob", ".wmv", ".3gp", ".f4v", ".ogv"):
        (tmp_path / f"x{suffix}").write_bytes(raw)
        assert is_video(tmp_path / f"x{suffix}")
    (tmp_path / "x.dat").write_bytes(raw)
    assert is_video(tmp_path / "x.dat", Path("out.mkv"))
    assert not is_video(tmp_path / "x.dat", Path("out.png"))
    assert is_video(Path("missing.mp4")) and not is_video(Path("missing.png"))


def test_a_y4m_is_one_by_its_first_line(tmp_path: Path) -> None:
    assert is_y4m(write_y4m(tmp_path / "a.mp4", moving_square(1)))
    (tmp_path / "b.y4m").write_bytes(VIDEOS["mp4"])
    assert not is_y4m(tmp_path / "b.y4m")
    (tmp_path / "c.y4m").write_bytes(b"neither")
    assert is_y4m(tmp_path / "c.y4m")  # which its reader refuses in words of its own


def test_the_message_about_a_suffix_speaks_of_the_output(tmp_path: Path) -> None:
    (tmp_path / "clip.ts").write_bytes(TS)
    with pytest.raises(UsageError, match=r"out\.ts: the suffix of an output is one of \.mp4 .*, because .*clip\.ts is a video"):
        plan([tmp_path / "clip.ts"], [()], Outputs(tmp_path / "out.ts"))
    Image.new("RGB", (8, 8)).save(tmp_path / "picture.mp4", "PNG")
    with pytest.raises(UsageError, match=r"out\.mp4: the suffix of an output is one of \.avif .*picture\.mp4 is a picture"):
        plan([tmp_path / "picture.mp4"], [()], Outputs(tmp_path / "out.mp4"))
    for suffix in WRITE_SUFFIXES:
        assert len(plan([tmp_path / "clip.ts"], [()], Outputs(tmp_path / f"out{suffix}")).tasks) == 1


def test_a_folder_takes_videos_by_suffix_and_treats_them_by_content(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, data in {
        "a.ts": TS,
        "b.wmv": VIDEOS["asf"],
        "c.png": VIDEOS["mp4"],
        "song.ogg": b"OggS",
        "d.txt": b"hello",
    }.items():
        (folder / name).write_bytes(data)
    made = plan([folder], [()], Outputs(tmp_path / "out"))
    assert [task.output.name for task in made.tasks] == ["a.mkv", "b.mkv", "c.mkv"]
    assert made.left_alone == 2


def test_a_picture_with_the_name_of_a_video_is_stylized_as_a_picture(tmp_path: Path, model_path: Path) -> None:
    Image.fromarray(moving_square(1)[0]).save(tmp_path / "clip.mp4", "PNG")
    Image.fromarray(moving_square(1)[0]).save(tmp_path / "style.png")
    files = [str(tmp_path / name) for name in ("clip.mp4", "style.png")]
    assert cli.main(["stylize", *files, "-o", str(tmp_path / "out.png"), "--model", str(model_path), "--quiet"]) == 0
    with Image.open(tmp_path / "out.png") as made:
        assert made.size == (64, 48)
