"""Videos as they are found: without an index, in any pixel format, cut off, strung together."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import TIMES, Pixels, frames, moving_square, write_clip
from numpy.typing import NDArray
from PIL import Image

from fastnst import cli
from fastnst.video.container import ContainerSource
from fastnst.video.frames import VideoError

av = pytest.importorskip("av", reason="PyAV reads and writes these: pip install 'fastnst[video]'")

STEADY = [3000 * index for index in range(30)]


def read(path: Path) -> tuple[ContainerSource, list[NDArray[np.uint8]], list[int]]:
    """The source, its pictures and their times."""
    source = ContainerSource(path)
    found = list(source.frames())
    source.close()
    return source, [source.format.coding.to_rgb(frame.planes) for frame in found], [frame.time for frame in found]


def stylize(path: Path, output: str, model: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """What is said of it on both streams."""
    Image.fromarray(moving_square(1)[0]).save(path.parent / "style.png")
    files = [str(path), str(path.parent / "style.png"), "-o", str(path.parent / output)]
    assert cli.main(["stylize", *files, "--model", str(model), "--json"]) == 0
    out, err = capsys.readouterr()
    return json.loads(out), err


def near(read: NDArray[np.uint8], exact: NDArray[np.uint8]) -> float:
    """Peak signal to noise in decibels."""
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((read.astype(float) - exact) ** 2))))


def coarse(stream: Any) -> None:
    """Old codecs count in frames."""
    stream.codec_context.time_base = Fraction(1, 30)


def smooth(frames: int = 3) -> list[Pixels]:
    """Colours that change slowly: no matter where chroma lies, nor how coarse it is."""
    y, x = np.mgrid[:48, :64]
    return [np.stack([4 * x, 5 * y, 255 - 2 * x - 2 * y + index], 2).clip(0, 255).astype(np.uint8) for index in range(frames)]


# ---- no index ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mkv", ".flv", ".ts", ".avi", ".webm", ".h264"])
def test_a_recording_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path, suffix: str) -> None:
    codec = {".avi": "mjpeg", ".webm": "libvpx"}.get(suffix, "libx264")
    whole = write_clip(
        tmp_path / f"whole{suffix}",
        moving_square(30),
        codec=codec,
        pixels="yuvj420p" if codec == "mjpeg" else "yuv420p",
        times=STEADY,
        prepare=lambda stream: setattr(stream.codec_context, "gop_size", 5),
    )
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    pictures = read(cut)[1]
    assert 10 <= len(pictures) < 30
    for made, exact in zip(pictures[:10], read(whole)[1][:10], strict=True):
        assert np.array_equal(made, exact)


@pytest.mark.parametrize("damaged", [17, 19])
def test_damage_near_the_end_takes_one_frame_and_is_told(tmp_path: Path, damaged: int) -> None:
    clip = write_clip(tmp_path / "clip.mov", smooth(20), codec="prores_ks", pixels="yuv422p10le", times=STEADY)
    with av.open(clip) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    data = bytearray(clip.read_bytes())
    data[places[damaged] : places[damaged] + 16] = bytes(16)  # where a frame of ProRes says that it is one
    clip.write_bytes(data)
    source, pictures, _ = read(clip)
    assert len(pictures) == 19
    assert len(source.warnings) == 1 and "damaged" in source.warnings[0]


def test_frames_before_time_zero_are_read_and_keep_their_distance_to_the_sound(tmp_path: Path) -> None:
    """Matroska counts from zero: FFmpeg gives such frames no time at all."""
    times = [time - 45000 for time in STEADY]
    clip = write_clip(tmp_path / "clip.mkv", moving_square(30), times=times, options={"avoid_negative_ts": "disabled"})
    assert frames(clip)[0].pts is None
    _, pictures, read_times = read(clip)
    assert len(pictures) == 30
    assert abs(read_times[0] + 500) <= 5
    assert all(30 <= b - a <= 37 for a, b in itertools.pairwise(read_times))


def test_raw_video_without_times_is_as_fast_as_it_says(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.h264", moving_square(30), kind="h264", times=STEADY)
    source, pictures, times = read(clip)
    assert len(pictures) == 30
    seconds = [float(time * source.format.time_base) for time in times]
    assert source.format.rate is not None
    assert np.allclose(np.diff(seconds), 1 / float(source.format.rate), atol=1e-3)


def test_a_file_whose_name_looks_like_an_address_is_read(tmp_path: Path) -> None:
    assert len(read(write_clip(tmp_path / "clip.mp4", moving_square(3)).rename(tmp_path / "12:30.mp4"))[1]) == 3


def test_a_playlist_is_no_video(tmp_path: Path) -> None:
    """It would name other files, or addresses."""
    write_clip(tmp_path / "clip.mp4", moving_square(3))
    for text in ("ffconcat version 1.0\nfile clip.mp4\n", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mp4\n"):
        (tmp_path / "list.mp4").write_text(text)
        with pytest.raises(VideoError, match=r"list\.mp4: not a video that can be read"):
            ContainerSource(tmp_path / "list.mp4")


# ---- pixel formats ----------------------------------------------------------------------------------------------------------

KINDS = [
    ("libx264rgb", "rgb24", ".mkv"), ("png", "rgb24", ".mov"), ("png", "rgba", ".mov"), ("qtrle", "rgb24", ".mov"),
    ("qtrle", "argb", ".mov"), ("qtrle", "rgb555be", ".mov"), ("rawvideo", "bgr24", ".avi"), ("ffv1", "bgr0", ".mkv"),
    ("ffv1", "bgra", ".mkv"), ("ffv1", "gbrp10le", ".mkv"), ("ffv1", "gbrp16le", ".mkv"), ("gif", "rgb8", ".gif"),
    ("ffv1", "gray", ".mkv"), ("ffv1", "gray10le", ".mkv"), ("ffv1", "gray16le", ".mkv"), ("ffv1", "yuv420p", ".mkv"),
    ("ffv1", "yuv422p", ".mkv"), ("ffv1", "yuv444p", ".mkv"), ("ffv1", "yuv411p", ".mkv"), ("ffv1", "yuv410p", ".mkv"),
    ("ffv1", "yuv440p", ".mkv"), ("ffv1", "yuv420p10le", ".mkv"), ("ffv1", "yuv422p10le", ".mkv"),
    ("ffv1", "yuv444p16le", ".mkv"), ("ffv1", "yuva420p", ".mkv"), ("ffv1", "yuva444p10le", ".mkv"),
    ("mjpeg", "yuvj420p", ".avi"), ("mjpeg", "yuvj444p", ".avi"), ("rawvideo", "nv12", ".mkv"),
    ("rawvideo", "uyvy422", ".mov"), ("prores_ks", "yuva444p10le", ".mov"),
]  # fmt: skip


@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
@pytest.mark.parametrize(("codec", "pixels", "suffix"), KINDS)
def test_every_pixel_format_is_read_in_its_colours(
    tmp_path: Path, codec: str, pixels: str, suffix: str, size: tuple[int, int]
) -> None:
    if size[1] % 2 and (codec, pixels) in (("rawvideo", "uyvy422"), ("prores_ks", "yuva444p10le"), ("rawvideo", "nv12")):
        pytest.skip("has no odd sides")
    pictures = [picture[: size[0], : size[1]].copy() for picture in smooth()]
    path = write_clip(tmp_path / f"clip{suffix}", pictures, codec=codec, pixels=pixels)
    source, made, _ = read(path)
    assert (len(made), source.warnings, source.transparent) == (3, [], False)
    # FFmpeg's own RGB of coarse chroma is farther from the picture than ours; of grey and of 332 colours it is all there is.
    lossy = pixels.startswith("gray") or pixels in ("rgb8", "rgb555be")
    exact = [frame.to_ndarray(format="rgb24") for frame in frames(path)] if lossy else pictures
    for mine, its in zip(made, exact, strict=True):
        assert near(mine, its) > 36  # of another range or matrix it would be less than 30


@pytest.mark.parametrize("full", [False, True])
def test_deep_video_keeps_its_range(tmp_path: Path, full: bool) -> None:
    def prepare(stream: Any) -> None:
        stream.codec_context.color_range = 2 if full else 1

    path = write_clip(tmp_path / "clip.mkv", smooth(), codec="ffv1", pixels="yuv420p10le", prepare=prepare)
    source, made, _ = read(path)
    assert source.format.coding.full is full
    luma = [np.frombuffer(memoryview(frame.planes[0]), np.uint16).reshape(48, -1)[:, :64] for frame in frames(path)]
    again = ContainerSource(path)
    for frame, exact in zip(again.frames(), luma, strict=True):
        assert np.abs(frame.planes[0] - exact / 4).max() < 2  # FFmpeg dithers
    again.close()
    assert len(made) == 3


@pytest.mark.parametrize(
    ("codec", "centred"), [("mjpeg", True), ("mpeg1video", True), ("mpeg2video", False), ("libx264", False)]
)
def test_chroma_lies_where_the_codec_puts_it(tmp_path: Path, codec: str, centred: bool) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    source, *_ = read(write_clip(tmp_path / "clip.mkv", smooth(), codec=codec, pixels=pixels, times=STEADY, prepare=coarse))
    assert source.format.coding.centred is centred


# ---- transparency -----------------------------------------------------------------------------------------------------------


def half_transparent(path: Path, codec: str, pixels: str) -> Path:
    """Red frames whose right half is transparent green, with a dot that moves."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"auto-alt-ref": "0"} if codec == "libvpx" else {})
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        for index in range(4):
            picture = np.zeros((48, 64, 4), np.uint8)
            picture[:, :32], picture[:, 32:] = (200, 30, 30, 255), (0, 255, 0, 0)
            picture[:4, 4 * index : 4 * index + 4, :3] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgba").reformat(format=pixels)
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("codec", "pixels", "suffix"),
    [("ffv1", "bgra", ".mkv"), ("qtrle", "argb", ".mov"), ("png", "rgba", ".mov"), ("libvpx-vp9", "yuva420p", ".webm"),
     ("libvpx", "yuva420p", ".webm"), ("prores_ks", "yuva444p10le", ".mov")],
)  # fmt: skip
def test_what_is_transparent_is_seen_on_white_and_named(
    tmp_path: Path, model_path: Path, codec: str, pixels: str, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = half_transparent(tmp_path / f"clip{suffix}", codec, pixels)
    source, pictures, _ = read(clip)
    assert source.transparent
    for picture in pictures:
        assert picture[8:40, 40:56].min() > 235  # and not the green below
        assert np.abs(picture[8:40, 8:24].reshape(-1, 3).mean(0) - (200, 30, 30)).max() < 20
    report, _ = stylize(clip, "out.mp4", model_path, capsys)
    assert "transparency" in report["left_out"]


# ---- what changes or breaks in the middle -----------------------------------------------------------------------------------


def strung_together(tmp_path: Path, sound: str | None = None) -> Path:
    parts = [
        write_clip(tmp_path / "a.ts", moving_square(10), times=STEADY, sound=sound),
        write_clip(
            tmp_path / "b.ts", [np.tile(picture, (2, 2, 1)) for picture in moving_square(10)], times=STEADY, sound=sound
        ),
    ]
    (tmp_path / "clip.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    return tmp_path / "clip.ts"


@pytest.mark.parametrize("output", ["out.mp4", "out.mkv", "out.y4m"])
def test_a_size_that_changes_ends_the_output_with_a_line(
    tmp_path: Path, model_path: Path, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = strung_together(tmp_path, "mp2")
    report, err = stylize(clip, output, model_path, capsys)
    assert (report["frames"], report["width"], report["height"]) == (10, 64, 48)
    (line,) = report["warnings"]
    assert line.startswith(f"{clip}: changes from 64x48 (yuv420p) to 128x96 (yuv420p) at frame 10; what follows is left out")
    assert err == f"fastnst: warning: {line}\n"
    if output != "out.y4m":
        with av.open(str(tmp_path / output)) as made:
            ends = [
                float((packet.pts + packet.duration) * packet.time_base) for packet in made.demux() if packet.pts is not None
            ]
            assert max(ends) < 0.5  # the sound of what was left out is not there either


def test_of_an_animated_avif_what_moves_is_read_and_not_its_still(tmp_path: Path) -> None:
    first, *others = map(Image.fromarray, moving_square(5))
    first.save(tmp_path / "clip.avif", save_all=True, append_images=others)
    _, pictures, times = read(tmp_path / "clip.avif")
    assert len(pictures) == len(set(times)) == 5


def test_a_file_that_ends_within_a_frame_keeps_the_others_and_says_so(
    tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix, options in ((".mp4", {"movflags": "faststart"}), (".avi", {}), (".flv", {})):
        codec, pixels = ("mjpeg", "yuvj420p") if suffix == ".avi" else ("libx264", "yuv420p")
        path = write_clip(tmp_path / f"clip{suffix}", moving_square(30), codec=codec, pixels=pixels, options=options,
                          times=STEADY, prepare=coarse)  # fmt: skip
        with av.open(str(path)) as container:
            last = [packet.pos for packet in container.demux(video=0) if packet.pos][20]
        path.write_bytes(path.read_bytes()[: last + 30])
        report, err = stylize(path, f"out{suffix}.mkv", model_path, capsys)
        assert 18 <= report["frames"] <= 21
        assert err.startswith(f"fastnst: warning: {path}: is cut off or damaged: a packet of its video could not be read whole")


def test_a_matroska_that_ends_too_early_says_so(tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_clip(tmp_path / "clip.mkv", moving_square(30), times=STEADY)
    report, err = stylize(path, "whole.mkv", model_path, capsys)
    assert (report["warnings"], err) == ([], "")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    report, err = stylize(path, "out.mkv", model_path, capsys)
    assert 5 <= report["frames"] < 30
    assert f"{path}: is cut off or damaged: it should go on until 1.00 s and ends at" in err


def test_an_mp4_that_was_cut_off_before_its_index_says_so(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", moving_square(30))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VideoError, match=r"clip\.mp4: was cut off before its index \(moov\) was written"):
        ContainerSource(path)


def test_a_broken_packet_in_the_middle_costs_no_more_than_itself(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mov", smooth(8), codec="png", pixels="rgb24", times=TIMES)
    with av.open(str(path)) as container:
        third = [packet.pos for packet in container.demux(video=0) if packet.pos][3]
    data = bytearray(path.read_bytes())
    data[third : third + 12] = bytes(12)
    path.write_bytes(data)
    source, pictures, times = read(path)
    assert len(pictures) == 7
    assert [round(time * source.format.time_base * 90000) for time in times] == TIMES[:3] + TIMES[4:8]
    assert source.warnings == [f"{path}: is cut off or damaged: a packet of its video could not be read whole"]


def test_sound_with_a_cover_is_no_video(tmp_path: Path) -> None:
    from av.stream import Disposition

    with av.open(str(tmp_path / "song.m4a"), "w", format="mp4") as container:
        tone, cover = container.add_stream("aac", rate=48000), container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt, cover.disposition = 64, 48, "rgb24", Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(tone.encode(frame))
        container.mux(tone.encode())
        container.mux(cover.encode(av.VideoFrame.from_ndarray(moving_square(1)[0], format="rgb24")))
        container.mux(cover.encode())
    with pytest.raises(VideoError, match=r"song\.m4a: holds no video, only sound and a cover picture"):
        ContainerSource(tmp_path / "song.m4a")


def test_one_frame_is_a_video(tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix in (".mp4", ".mkv", ".webm", ".mov"):
        clip = write_clip(tmp_path / "one.mp4", moving_square(1))
        report, _ = stylize(clip, f"out{suffix}", model_path, capsys)
        assert report["frames"] == len(frames(tmp_path / f"out{suffix}")) == 1
