"""A camera, stylized live: PyAV reads it; Python's own tkinter shows it, or pyvirtualcam to other programs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from fastnst.engine import Pixels, default_threads
from fastnst.images import scaled_size
from fastnst.options import Options
from fastnst.steps import Clock, stylize_pixels
from fastnst.stylize import Stylizer
from fastnst.video.container import named_errors, pyav
from fastnst.video.frames import VideoError
from fastnst.video.stability import Following, smoothing_of

_TITLE = "fastnst"
_USUAL_RATE = 30  # pictures a second, as programs are told; they come as fast as they are stylized
_DEVICES = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}
"""FFmpeg's input device for cameras on each system, and its name for camera N."""


class Live:
    """Stylizes single pictures of a camera. All threads work on one picture, because latency counts.

    Args:
        options: with a look.

    Raises:
        ValueError: there is no look, or smoothing is asked for and the model cannot do it.
    """

    def __init__(self, stylizer: Stylizer, options: Options) -> None:
        if options.look is None:
            raise ValueError("a camera needs a model that takes a style")
        self._engine = stylizer.engine.with_levels(options.levels)
        self._threads, self._options = stylizer.threads or default_threads(), options
        smoothing = smoothing_of(stylizer.engine, options)
        self._follower = Following(smoothing) if smoothing else None

    def stylize(self, pixels: Pixels) -> Pixels:
        """Stylize one picture, [H, W, 3]; its short side becomes that of the options."""
        width, height = scaled_size(pixels.shape[1], pixels.shape[0], self._options.size)
        if (height, width) != pixels.shape[:2]:
            pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
        return stylize_pixels(self._engine, pixels, self._options, self._threads, Clock(), self._follower)


class LatestFrame:
    """Reads ``pictures`` in a thread of its own and keeps the latest one; those that are not taken in time are dropped."""

    def __init__(self, pictures: Iterator[Pixels]) -> None:
        self._pictures = pictures
        self._there = threading.Condition()
        self._picture: Pixels | None = None
        self._error: BaseException | None = None
        self._over = False
        threading.Thread(target=self._watch, daemon=True).start()

    def take(self) -> Pixels | None:
        """Wait for a new picture; ``None`` when there are no more.

        Raises:
            BaseException: the exception that ended the reading.
        """
        with self._there:
            self._there.wait_for(lambda: self._over or self._picture is not None)
            if self._picture is None and self._error is not None:
                raise self._error
            picture, self._picture = self._picture, None
            return picture

    def close(self) -> None:
        """Stop reading after the current picture."""
        with self._there:
            self._over = True

    def _watch(self) -> None:
        try:
            for picture in self._pictures:
                with self._there:
                    if self._over:
                        break
                    self._picture = picture
                    self._there.notify()
        except BaseException as error:
            self._error = error
        finally:
            del self._pictures  # which closes the camera
        with self._there:
            self._over = True
            self._there.notify()


class Screen(Protocol):
    """What pictures are shown on."""

    def show(self, pixels: Pixels) -> bool:
        """Show a picture, uint8 [H, W, 3], and return whether more may follow."""

    def close(self) -> None:
        """No more pictures follow."""


def show(camera: int, stylizer: Stylizer, options: Options, screen: Screen) -> None:
    """Show what a camera sees, stylized, until the screen is closed.

    Raises:
        VideoError: there is no camera of this number, or no PyAV; or the screen cannot show it.
    """
    with closing(screen):
        run(LatestFrame(_pictures(camera)), Live(stylizer, options).stylize, screen.show)


def run(latest: LatestFrame, stylize: Callable[[Pixels], Pixels], shown: Callable[[Pixels], bool]) -> None:
    """Stylize and show pictures until there are no more, or ``shown`` returns False because the window is closed."""
    with closing(latest):  # otherwise its thread would keep reading, and hold the camera, until the process ends
        while (picture := latest.take()) is not None:
            if not shown(stylize(picture)):
                return


def _pictures(camera: int) -> Iterator[Pixels]:
    if sys.platform not in _DEVICES:
        raise VideoError(f"cameras are not supported on {sys.platform}")
    kind, name = _DEVICES[sys.platform]
    device = name.format(camera)
    with named_errors(Path(device), "cannot be used as a camera"), pyav().open(device, format=kind) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


class VirtualCamera:
    """A camera that other programs can choose, and which sees what is shown: by v4l2loopback on Linux, by OBS elsewhere.

    Args:
        tell: is told the name of the device.

    Raises:
        VideoError: pyvirtualcam is not installed; at the first picture, there is no device for it.
    """

    def __init__(self, tell: Callable[[str], object]) -> None:
        try:
            import pyvirtualcam
        except ModuleNotFoundError:
            raise VideoError("--virtual-camera needs pyvirtualcam: pip install 'fastnst[virtual-camera]'") from None
        self._module, self._tell = pyvirtualcam, tell
        self._device: Any = None

    def show(self, pixels: Pixels) -> bool:
        """Send a picture, without the last row and column of odd sides: the devices' chroma is of half the size."""
        height, width = (side - side % 2 for side in pixels.shape[:2])
        if self._device is None:
            try:
                self._device = self._module.Camera(width, height, _USUAL_RATE)
            except RuntimeError as error:
                raise VideoError(f"--virtual-camera: {' '.join(str(error).split())}") from None
            self._tell(self._device.device)
        self._device.send(np.ascontiguousarray(pixels[:height, :width]))
        return True

    def close(self) -> None:
        """Take the camera away."""
        if self._device is not None:
            self._device.close()


class Window:
    """A window that shows pictures, until it is closed or Escape is pressed.

    Raises:
        VideoError: there is no display, or no tkinter.
    """

    def __init__(self) -> None:
        try:
            import tkinter
        except ModuleNotFoundError:
            raise VideoError("--camera needs tkinter, which this Python was built without") from None
        try:
            self._root: Any = tkinter.Tk()
        except tkinter.TclError as error:
            raise VideoError(f"--camera needs a display: {error}") from None
        self._open = True
        self._root.title(_TITLE)
        self._root.protocol("WM_DELETE_WINDOW", self.close)
        self._root.bind("<Escape>", lambda _event: self.close())
        self._label = tkinter.Label(self._root)
        self._label.pack()

    def show(self, pixels: Pixels) -> bool:
        """Show a picture, and return whether the window is still open."""
        from PIL import ImageTk

        if self._open:
            # The label alone would not keep the picture alive.
            self._photo = ImageTk.PhotoImage(Image.fromarray(pixels))
            self._label.configure(image=self._photo)
            self._root.update()
        return self._open

    def close(self) -> None:
        """Close the window, if the user has not."""
        if self._open:
            self._open = False
            self._root.destroy()
