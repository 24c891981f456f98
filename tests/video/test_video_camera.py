"""The live preview: which pictures are shown, and what is said where there is no camera or no display."""

from __future__ import annotations

import builtins
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from clips import Pixels, moving_square
from PIL import Image

from fastnst import Stylizer, cli
from fastnst.options import Options
from fastnst.video import camera
from fastnst.video.camera import LatestFrame, Live


@pytest.fixture
def stylizer(model_path: Path) -> Stylizer:
    return Stylizer(model_path)


def numbered(number: int) -> Pixels:
    return np.full((4, 4, 3), number, np.uint8)


def test_pictures_that_nobody_was_ready_for_are_lost() -> None:
    shown, go, over = [], threading.Event(), threading.Event()

    def pictures() -> Iterator[Pixels]:
        yield numbered(0)
        go.wait(5)
        for number in (1, 2, 3):
            yield numbered(number)
        over.set()

    latest = LatestFrame(pictures())

    def stylize(picture: Pixels) -> Pixels:
        go.set()
        over.wait(5)  # slower than the camera
        return picture

    camera.run(latest, stylize, lambda picture: shown.append(int(picture[0, 0, 0])) or True)
    assert shown == [0, 3]


def test_a_closed_window_ends_it() -> None:
    shown, released = [], threading.Event()

    def endless() -> Iterator[Pixels]:
        try:
            while True:
                yield numbered(len(shown))
        finally:
            released.set()

    camera.run(LatestFrame(endless()), lambda picture: picture, lambda _picture: shown.append(1) or len(shown) < 3)
    assert len(shown) == 3
    assert released.wait(10)


def test_a_camera_that_breaks_is_an_error() -> None:
    def breaking() -> Iterator[Pixels]:
        yield numbered(0)
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        camera.run(LatestFrame(breaking()), lambda picture: picture, lambda _picture: True)


def test_pictures_are_stylized_as_frames_of_a_video_are(stylizer: Stylizer) -> None:
    pictures, style = moving_square(3), np.flip(moving_square(1)[0], 0).copy()
    look = stylizer.encode_style(style)
    plain = Live(stylizer, Options(look=look, alpha=0.7, colors="luma", smoothing=0.0))
    for picture in pictures:
        assert np.array_equal(plain.stylize(picture), stylizer(picture, look, alpha=0.7, preserve_color=True))
    smooth = Live(stylizer, Options(look=look, smoothing=1.0))
    first, second = (smooth.stylize(picture) for picture in pictures[:2])
    assert np.abs(first.astype(int) - stylizer(pictures[0], look)).max() <= 1
    assert not np.array_equal(second, stylizer(pictures[1], look))
    assert Live(stylizer, Options(look=look, size=24)).stylize(pictures[0]).shape == (24, 32, 3)


@pytest.fixture
def style(tmp_path: Path) -> str:
    Image.fromarray(moving_square(1)[0]).save(tmp_path / "style.png")
    return str(tmp_path / "style.png")


def error(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.startswith("fastnst: error: ") and text.count("\n") == 1
    return text


def test_without_a_display(
    model_path: Path, style: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tkinter", reason="this Python was built without tkinter")
    if sys.platform != "linux":
        pytest.skip("only X11's display can be taken away")
    monkeypatch.delenv("DISPLAY", raising=False)
    assert cli.main(["stylize", "--camera", "0", "--model", str(model_path), style]) == 1
    assert "--camera needs a display" in error(capsys)
    assert cli.main(["stylize", style, style, "-o", "x.png", "--camera"]) == 2
    assert "omit -o" in error(capsys)


def test_without_tkinter_or_a_camera(
    model_path: Path, style: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "tkinter":
            raise ModuleNotFoundError(name=name)
        return real(name, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "__import__", without)
        assert cli.main(["stylize", style, "--camera", "0", "--model", str(model_path)]) == 1
    assert "built without" in error(capsys)
    pytest.importorskip("av", reason="PyAV reads cameras: pip install 'fastnst[video]'")

    class Window:
        def show(self, _picture: Pixels) -> bool:
            return True

        def close(self) -> None:
            pass

    monkeypatch.setattr(camera, "Window", Window)
    assert cli.main(["stylize", style, "--camera", "77", "--model", str(model_path)]) == 1
    assert "cannot be used as a camera" in error(capsys)


class Loopback:
    """Stands in for pyvirtualcam, whose devices need a module of the kernel."""

    there: ClassVar[bool] = True
    sent: ClassVar[list[Pixels]]
    last: ClassVar[Loopback]

    def __init__(self, width: int, height: int, fps: float) -> None:
        if not self.there:
            raise RuntimeError("'v4l2loopback' backend: No v4l2 loopback device found.\nDid you run 'modprobe v4l2loopback'?")
        self.size, self.device, self.closed = (height, width, 3), "/dev/video9", False
        Loopback.last, Loopback.sent = self, []
        assert fps > 0

    def send(self, picture: Pixels) -> None:
        assert picture.shape == self.size and picture.dtype == np.uint8 and picture.flags.c_contiguous
        self.sent.append(picture.copy())

    def close(self) -> None:
        self.closed = True


def test_a_virtual_camera_shows_it_to_other_programs(
    model_path: Path, style: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["stylize", style, "--model", str(model_path), "--smooth", "0", "--virtual-camera"]
    assert cli.main(command) == 2
    assert "say which one by --camera" in error(capsys)
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)  # as if it were not installed
    assert cli.main([*command, "--camera"]) == 1
    assert "pip install 'fastnst[virtual-camera]'" in error(capsys)

    (picture,) = moving_square(1, 49, 65)
    monkeypatch.setattr(camera, "_pictures", lambda _number: iter([picture]))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", SimpleNamespace(Camera=Loopback))
    assert cli.main([*command, "--camera"]) == 0
    assert capsys.readouterr().out == "other programs find it as /dev/video9; Ctrl-C ends it\n"
    wanted = Stylizer(model_path)(picture, np.asarray(Image.open(style)))
    (sent,) = Loopback.sent
    assert np.array_equal(sent, wanted[:48, :64])
    assert Loopback.last.closed

    monkeypatch.setattr(Loopback, "there", False)
    assert cli.main([*command, "--camera"]) == 1
    assert "--virtual-camera: 'v4l2loopback' backend: No v4l2 loopback device found. Did you run" in error(capsys)
