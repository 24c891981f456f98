"""Converts frames that PyAV has decoded, in any pixel format, to planes of 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastnst.video.color import Coding, Plane, usual_matrix

if TYPE_CHECKING:
    import av

_DIRECT = {
    "yuv420p": "420", "yuvj420p": "420", "yuv422p": "422", "yuvj422p": "422", "yuv444p": "444", "yuvj444p": "444",
    "gray": "mono",
}  # fmt: skip
"""Pixel formats whose planes are used as they are. FFmpeg converts the others to one of these, or to RGB."""
_MATRICES = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 9: "bt2020"}
"""By number in ITU-T H.273. 4 is the FCC's, whose luma weights are those of BT.601 to two digits."""
_NAMES_OF_MATRICES = {"bt601": "itu601", "bt709": "itu709", "bt2020": "bt2020"}  # PyAV's
_UNSAID_MATRIX, _RGB = 2, 0
_UNSAID_RANGE, _FULL = 0, 2
_CENTRED = frozenset(("mjpeg", "mpeg1video", "h261", "h263", "theora"))
"""Codecs whose chroma lies between two columns of luma."""


class Unpacker:
    """Turns frames of one pixel format into planes.

    RGB, palettes and everything with transparency are converted by way of RGB; transparent pixels are blended with white,
    unless transparency is asked for.

    Args:
        first: the first frame.
        codec: FFmpeg's name of the codec.

    Attributes:
        coding: that of the planes.
        may_be_transparent: the pixel format can hold transparency.
        transparent: some frame so far was not opaque.

    Raises:
        ValueError: the colour matrix is not supported.
    """

    def __init__(self, first: av.VideoFrame, codec: str) -> None:
        shape = first.format
        self.may_be_transparent = shape.has_palette or any(component.is_alpha for component in shape.components)
        self.transparent = False
        self._through_rgb = self.may_be_transparent or shape.is_rgb or shape.name.startswith("xyz")
        matrix = _MATRICES.get(first.colorspace)
        if first.colorspace in (_UNSAID_MATRIX, _RGB):
            matrix = usual_matrix(first.height, first.width)
        if matrix is None:
            raise ValueError(f"its colour matrix, number {first.colorspace} of H.273, is not supported")
        self._matrix = _NAMES_OF_MATRICES[matrix]
        if self._through_rgb:
            self.coding = Coding("444", False, usual_matrix(first.height, first.width))
            return
        self._format = self._plain_format(first)
        # Grey without a tag has full range, by FFmpeg's convention.
        said = first.color_range != _UNSAID_RANGE or self._format != "gray"
        full = first.color_range == _FULL or "yuvj" in first.format.name or not said
        self.coding = Coding(_DIRECT[self._format], codec in _CENTRED, matrix, full)

    def picture(self, frame: av.VideoFrame, keep_alpha: bool = False) -> tuple[tuple[Plane, ...], Plane | None]:
        """The planes Y, or Y, Cb and Cr, of a frame, and its transparency if that is kept apart and the frame may have some."""
        if not self.may_be_transparent:
            return self._planes(frame), None
        color, alpha = self._rgba(frame)
        return self.coding.from_rgb(color if keep_alpha else _on_white(color, alpha)), alpha if keep_alpha else None

    def _planes(self, frame: av.VideoFrame) -> tuple[Plane, ...]:
        if self._through_rgb:
            return self.coding.from_rgb(np.ascontiguousarray(frame.to_ndarray(format="rgb24", src_colorspace=self._matrix)))
        if frame.format.name != self._format:
            frame = frame.reformat(format=self._format, src_color_range=frame.color_range, dst_color_range=frame.color_range)
        planes = []
        for plane, (height, width) in zip(frame.planes, self.coding.shapes(frame.height, frame.width), strict=True):
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            planes.append(rows[:height, :width].copy())  # the decoder reuses its memory
        return tuple(planes)

    @staticmethod
    def _plain_format(frame: av.VideoFrame) -> str:
        if frame.format.name in _DIRECT:
            return frame.format.name
        if len(frame.format.components) == 1:
            return "gray"
        chroma = frame.format.components[1]
        across, down = round(frame.width / chroma.width), round(frame.height / chroma.height)
        return {(2, 2): "yuv420p", (2, 1): "yuv422p"}.get((across, down), "yuv444p")

    def _rgba(self, frame: av.VideoFrame) -> tuple[NDArray[np.uint8], Plane]:
        pixels: NDArray[np.uint8] = np.asarray(frame.to_ndarray(format="rgba", src_colorspace=self._matrix), np.uint8)
        color, alpha = np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3])
        self.transparent = self.transparent or not bool((alpha == 255).all())
        return color, alpha


def _on_white(color: NDArray[np.uint8], alpha: Plane) -> NDArray[np.uint8]:
    dark = (np.multiply(255 - color, alpha[..., None], dtype=np.uint16) + 127) // 255
    return (255 - dark).astype(np.uint8)
