"""Frames made fit to be stylized by FFmpeg's filters: interlaced ones, and those of high dynamic range."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import av

Step = tuple[str, dict[str, str]]
"""A filter of FFmpeg, and its options."""

DEINTERLACE: Step = ("bwdif", {"mode": "send_frame", "deint": "interlaced"})
PQ, HLG = 16, 18  # transfer characteristics, by number in ITU-T H.273
WHITE = 203.0  # cd/m2, of diffuse white in HDR (ITU-R BT.2408)
USUAL_PEAK = 1000.0  # cd/m2, of the display that a video was made for and does not name
_GRID = 65  # points of the table of colours along each axis
_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
"""From linear RGB of BT.2020 (ITU-R BT.2407)."""
_LUMA_BT2020 = np.array([0.2627, 0.678, 0.0593])


def filtered(frames: Iterator[av.VideoFrame], steps: Sequence[Step], time_base: Any) -> Iterator[av.VideoFrame]:
    """All frames, through the filters. Frames from one of another size or pixel format on are passed on as they are.

    Args:
        time_base: of the frames' times, and of those of the results.
    """
    first = next(frames, None)
    if first is None:
        return
    shape = (first.width, first.height, first.format.name)
    from av.filter import Graph

    graph = Graph()
    names = {"width": first.width, "height": first.height, "format": first.format, "time_base": time_base}
    nodes = [graph.add_buffer(**names), *(graph.add(name, **options) for name, options in steps), graph.add("buffersink")]
    for a, b in itertools.pairwise(nodes):
        a.link_to(b)
    graph.configure()
    for frame in itertools.chain([first], frames):
        if (frame.width, frame.height, frame.format.name) != shape:
            yield from _pulled(graph, time_base, end=True)
            yield frame
            yield from frames
            return
        graph.push(frame)
        yield from _pulled(graph, time_base)
    yield from _pulled(graph, time_base, end=True)


def _pulled(graph: Any, time_base: Any, end: bool = False) -> Iterator[av.VideoFrame]:
    if end:
        graph.push(None)
    while True:
        try:
            frame = graph.pull()
        except (BlockingIOError, EOFError):
            return
        if frame.pts is not None:  # some filters count in other units
            frame.pts, frame.time_base = round(frame.pts * frame.time_base / time_base), time_base
        yield frame


def tone_mapping(transfer: int, peak: float, folder: Path) -> list[Step]:
    """From BT.2020 of high dynamic range to RGB of BT.709 with 8 bits.

    Light up to ``peak`` is brought to that of a display of ``WHITE`` by the curve of ITU-R BT.2390, on the largest of R, G and
    B, so that hues stay.

    Args:
        transfer: ``PQ`` or ``HLG``.
        peak: of the display that the video was made for, in cd/m2.
        folder: for a file, which FFmpeg reads when the first frame comes.
    """
    table = folder / "colours.cube"
    axis = np.linspace(0, 1, _GRID)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red runs fastest in such files
    colors = tone_mapped(np.stack([red, green, blue], -1).reshape(-1, 3), transfer, peak)
    with table.open("w") as file:
        file.write(f"LUT_3D_SIZE {_GRID}\n")
        np.savetxt(file, colors, fmt="%.6f")
    return [
        ("scale", {"in_color_matrix": "bt2020"}),
        ("format", {"pix_fmts": "gbrp16le"}),
        ("lut3d", {"file": str(table), "interp": "tetrahedral"}),
        ("format", {"pix_fmts": "rgb24"}),
    ]


def tone_mapped(colors: NDArray[np.float64], transfer: int, peak: float) -> NDArray[np.float64]:
    """The formula: R'G'B' of BT.2020 [n, 3] in 0..1, as ``transfer`` codes light, to R'G'B' of BT.709, of exponent 2.4."""
    light = _pq_light(colors) if transfer == PQ else _hlg_light(colors, peak)
    brightest = np.minimum(light.max(1, keepdims=True), peak)
    brought = _pq_light(_bent(_pq_code(brightest), _pq_code(np.array(peak)), _pq_code(np.array(WHITE))))
    light *= brought / np.maximum(light.max(1, keepdims=True), 1e-9)
    result: NDArray[np.float64] = np.clip(light / WHITE @ _TO_BT709.T, 0, 1) ** (1 / 2.4)
    return result


def _pq_light(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """ITU-R BT.2100, table 4: cd/m2."""
    power = code ** (32 / 2523)
    light: NDArray[np.float64] = 1e4 * (np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)) ** (8192 / 1305)
    return light


def _pq_code(light: NDArray[np.float64]) -> NDArray[np.float64]:
    power = (light / 1e4) ** (1305 / 8192)
    code: NDArray[np.float64] = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    return code


def _hlg_light(code: NDArray[np.float64], peak: float) -> NDArray[np.float64]:
    """ITU-R BT.2100, table 5: cd/m2 on a display of ``peak``, whose black is 0."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    gamma = 1.2 + 0.42 * np.log10(peak / 1000)
    light: NDArray[np.float64] = peak * scene * np.maximum(scene @ _LUMA_BT2020, 1e-9)[:, None] ** (gamma - 1)
    return light


def _bent(code: NDArray[np.float64], source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """ITU-R BT.2390, section 5.4.1: straight up to a knee, from there on a Hermite spline. All values are codes of PQ."""
    most = target / source
    if most >= 1:
        return code
    x, knee = code / source, 1.5 * most - 0.5
    t = np.clip((x - knee) / (1 - knee), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    result: NDArray[np.float64] = np.where(x < knee, x, spline) * source
    return result


def peak_of(frame: av.VideoFrame) -> float:
    """The largest luminance in cd/m2 of the display that a video was made for, as far as its first frame says."""
    data: Any = frame.side_data.get("MASTERING_DISPLAY_METADATA")
    if data is None:
        return USUAL_PEAK
    # AVMasteringDisplayMetadata of FFmpeg: nine rationals, the last one the largest luminance, and two flags.
    numbers = np.frombuffer(memoryview(data), np.int32)
    over, under, known = (int(numbers[at]) for at in (18, 19, 21))
    return max(WHITE, over / under) if known and under > 0 else USUAL_PEAK
