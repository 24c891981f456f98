"""What goes along with the picture: what an output holds of it, and that everything it does not hold is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import frames, moving_square, packets, write_clip, write_y4m
from PIL import Image

from fastnst import cli

av = pytest.importorskip("av", reason="PyAV reads and writes these: pip install 'fastnst[video]'")

STEADY = [3000 * index for index in range(30)]


@pytest.fixture
def run(
    tmp_path: Path, model_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Stylizes in the current folder; what is said of it in JSON."""
    Image.fromarray(moving_square(1)[0]).save(tmp_path / "style.png")
    monkeypatch.chdir(tmp_path)

    def stylize(content: str, output: str, *options: str) -> dict[str, Any]:
        command = ["stylize", content, "style.png", "-o", output, "--model", str(model_path), "--json", *options]
        assert cli.main(command) == 0, capsys.readouterr().err
        report: dict[str, Any] = json.loads(capsys.readouterr().out)
        return report

    return stylize


def with_cover(container: Any) -> None:
    """A picture of an album, to be written after the video's first packet."""
    from av.stream import Disposition

    cover = container.add_stream("png", rate=1)
    cover.width, cover.height, cover.pix_fmt = 32, 32, "rgb24"
    cover.disposition = Disposition.attached_pic
    container.start_encoding()
    picture = av.VideoFrame.from_ndarray(moving_square(1)[0][:32, :32].copy(), format="rgb24")
    picture.pts = 0
    container.mux(cover.encode(picture))
    container.mux(cover.encode())


def covers(path: Path) -> list[bytes]:
    """The covers of a file: pictures that are attached, in either way."""
    with av.open(str(path)) as container:
        wanted = [stream for stream in container.streams.video if stream.disposition & 1024]
        return [bytes(packet) for packet in container.demux(wanted) if packet.size] if wanted else []


# ---- rate and shape ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4", ".mov"])
@pytest.mark.parametrize("source", ["clip.mp4", "clip.mkv", "clip.y4m", "clip.ts"])
def test_every_output_says_how_many_frames_a_second_it_has(run: Callable[..., Any], source: str, suffix: str) -> None:
    if source == "clip.y4m":
        write_y4m(Path(source), moving_square(30))
    else:
        write_clip(Path(source), moving_square(30), times=STEADY)
    run(source, f"out{suffix}")
    with av.open(f"out{suffix}") as container:
        rate = container.streams.video[0].average_rate
        assert rate is not None and abs(rate - (Fraction(30000, 1001) if source == "clip.y4m" else 30)) < Fraction(1, 20)


def test_a_rate_that_cannot_be_true_is_not_believed(run: Callable[..., Any]) -> None:
    """As in Matroska files that say that a frame lasts a millisecond."""

    def fast(stream: Any) -> None:
        stream.codec_context.framerate = 1000

    write_clip(Path("clip.mkv"), moving_square(30), times=STEADY, prepare=fast)
    with av.open("clip.mkv") as container:
        assert container.streams.video[0].average_rate > 900
    run("clip.mkv", "out.mkv")
    with av.open("out.mkv") as container:
        assert abs(container.streams.video[0].average_rate - 30) < Fraction(1, 10)


@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(64, 45), (91, 48)), (Fraction(1, 2), (64, 96)), (Fraction(1), (64, 48))]
)
def test_webm_has_square_pixels_and_the_others_the_sources(
    run: Callable[..., Any], aspect: Fraction | int, size: tuple[int, int]
) -> None:
    write_clip(
        Path("clip.mp4"), moving_square(5), prepare=lambda stream: setattr(stream.codec_context, "sample_aspect_ratio", aspect)
    )
    report = run("clip.mp4", "out.webm")
    made = frames(Path("out.webm"))[0]
    assert (made.width, made.height) == (report["width"], report["height"]) == size
    for suffix in (".mkv", ".mov"):
        run("clip.mp4", f"out{suffix}")
        with av.open(f"out{suffix}") as container:
            assert container.streams.video[0].sample_aspect_ratio == aspect
    run("clip.mp4", "out.y4m")
    assert f" A{aspect.numerator}:{aspect.denominator} ".encode() in Path("out.y4m").read_bytes()[:100]


@pytest.mark.parametrize("angle", [90, 180, -90])
def test_rotation_is_kept_or_named(run: Callable[..., Any], angle: int) -> None:
    write_clip(Path("clip.mp4"), moving_square(3), prepare=lambda stream: stream.set_display_rotation(angle))
    for suffix in (".mp4", ".mov", ".mkv", ".webm"):
        run("clip.mp4", f"out{suffix}")
        assert frames(Path(f"out{suffix}"))[0].rotation % 360 == angle % 360
    assert "rotation" in run("clip.mp4", "out.y4m")["left_out"]


def test_a_clock_that_was_running_before_begins_at_zero(run: Callable[..., Any]) -> None:
    write_clip(Path("clip.ts"), moving_square(10), times=[time + 900000 for time in STEADY], sound="mp2")
    assert frames(Path("clip.ts"))[0].time > 9
    with av.open("clip.ts") as container:
        late = container.streams.video[0].start_time - container.streams.audio[0].start_time
        late *= container.streams.video[0].time_base
    run("clip.ts", "out.mkv")
    with av.open("out.mkv") as container:
        firsts = {}
        for packet in container.demux():
            if packet.pts is not None:
                firsts.setdefault(packet.stream.type, packet.pts * packet.time_base)
    assert min(firsts.values()) < 0.1
    assert abs(firsts["video"] - firsts["audio"] - late) < 0.03


# ---- streams ----------------------------------------------------------------------------------------------------------------


def test_a_cover_is_kept_where_there_can_be_one(run: Callable[..., Any]) -> None:
    write_clip(Path("clip.mp4"), moving_square(5), sound="aac", more=with_cover)
    (cover,) = covers(Path("clip.mp4"))
    for name in ("out.mp4", "out.mkv"):
        assert run("clip.mp4", name)["left_out"] == []
        assert covers(Path(name)) == [cover]
        assert len(frames(Path(name))) == 5
    assert run("out.mkv", "again.mkv")["left_out"] == []
    assert covers(Path("again.mkv")) == [cover]
    assert run("clip.mp4", "out.mov")["left_out"] == ["cover picture"]
    assert run("clip.mp4", "out.y4m")["left_out"] == ["audio", "cover picture", "tag title"]


def test_attachments_are_kept_or_named(run: Callable[..., Any]) -> None:
    def attach(container: Any) -> None:
        container.add_attachment("notes.txt", "text/plain", b"some notes")

    write_clip(Path("clip.mkv"), moving_square(5), more=attach)
    assert run("clip.mkv", "out.mkv")["left_out"] == []
    with av.open("out.mkv") as container:
        (kept,) = [stream for stream in container.streams if stream.type == "attachment"]
        assert (kept.name, bytes(kept.data)) == ("notes.txt", b"some notes")
    for name in ("out.mp4", "out.webm", "out.y4m"):
        assert "attachment notes.txt" in run("clip.mkv", name)["left_out"]


def test_subtitles_are_kept_or_named(run: Callable[..., Any], model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def subtitle(container: Any) -> None:
        stream = container.add_mux_stream("subrip")
        stream.time_base = Fraction(1, 1000)
        container.start_encoding()
        packet = av.Packet(b"Hello")
        packet.pts = packet.dts = 100
        packet.duration, packet.time_base, packet.stream = 500, Fraction(1, 1000), stream
        container.mux(packet)

    write_clip(Path("clip.mkv"), moving_square(20), more=subtitle)
    assert run("clip.mkv", "out.mkv")["left_out"] == []
    assert [text for *_, text in packets(Path("out.mkv"), "subtitles")] == [b"Hello"]
    assert run("clip.mkv", "out.mp4")["left_out"] == ["subtitle"]
    assert cli.main(["stylize", "clip.mkv", "style.png", "-o", "line.mp4", "--model", str(model_path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("line.mp4  64x48  20 frames  ") and out.endswith("  left out: subtitle\n")


def test_tags_are_kept_or_named(run: Callable[..., Any]) -> None:
    def tag(container: Any) -> None:
        container.metadata.update({"artist": "me", "mood": "blue"})
        container.streams.video[0].metadata["language"] = "deu"

    write_clip(Path("clip.mkv"), moving_square(5), more=tag)
    assert run("clip.mkv", "out.mkv")["left_out"] == []
    assert run("clip.mkv", "out.mp4")["left_out"] == ["tag mood"]
    assert run("clip.mkv", "out.mov")["left_out"] == ["tag mood"]
    assert run("clip.mkv", "out.y4m")["left_out"] == ["tag artist", "tag language", "tag mood", "tag title"]
    with av.open("out.mp4") as container:
        assert container.metadata["artist"] == "me"
        assert container.streams.video[0].metadata["language"] == "deu"


def test_a_timecode_is_kept(run: Callable[..., Any]) -> None:
    def timecode(container: Any) -> None:
        container.streams.video[0].metadata["timecode"] = "01:02:03:04"

    write_clip(Path("clip.mov"), moving_square(5), times=STEADY, more=timecode)
    with av.open("clip.mov") as container:
        assert container.streams.video[0].metadata["timecode"] == "01:02:03:04"
    for name in ("out.mov", "out.mp4", "out.mkv"):
        assert run("clip.mov", name)["left_out"] == []
        with av.open(name) as container:
            tags = {key.lower(): value for key, value in container.streams.video[0].metadata.items()}
            assert tags["timecode"] == "01:02:03:04"
    assert "tag timecode" in run("clip.mov", "out.y4m")["left_out"]


def test_a_second_video_is_copied_or_named(run: Callable[..., Any]) -> None:
    def second(container: Any) -> None:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        container.start_encoding()
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode())

    write_clip(Path("clip.mkv"), moving_square(5), more=second)
    assert run("clip.mkv", "out.mkv")["left_out"] == []
    with av.open("out.mkv") as container:
        assert [stream.codec_context.width for stream in container.streams.video] == [64, 32]
    assert run("clip.mkv", "out.webm")["left_out"] == ["video"]


def test_sound_that_no_output_holds_is_encoded_anew(run: Callable[..., Any]) -> None:
    def rated(container: Any) -> None:
        container.streams.audio[0].codec_context.bit_rate = 96000

    write_clip(Path("clip.wmv"), moving_square(30), codec="msmpeg4v3", kind="asf", sound="wmav2", times=STEADY, more=rated,
               prepare=lambda stream: setattr(stream.codec_context, "time_base", Fraction(1, 30)))  # fmt: skip
    for name, codec in {"out.mkv": "aac", "out.mp4": "aac", "out.mov": "aac", "out.webm": "opus"}.items():
        report = run("clip.wmv", name)
        assert report["frames"] == 30
        assert report["warnings"][0].startswith("clip.wmv: its sound (wmav2) fits into no output and was re-encoded as ")
        with av.open(name) as container:
            assert container.streams.audio[0].codec_context.name == codec
            sound = [frame.to_ndarray() for frame in container.decode(audio=0)]
        samples = np.concatenate(sound, 1)[0]
        assert 40000 < len(samples) < 56000
        assert 0.3 < np.sqrt(np.mean(samples[4000:40000] ** 2)) < 1  # the tone, as loud as it was
