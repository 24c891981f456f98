"""Colours of videos against the standards, and their integers against the text that defines them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from fastnst.video.color import SUBSAMPLING, Coding, usual_matrix

PARTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
CODINGS = [
    Coding(subsampling, centred, matrix, full, top)
    for subsampling, centred, matrix, full, top in itertools.product(
        SUBSAMPLING, (False, True), PARTS, (False, True), (False, True)
    )
    if subsampling == "420" or not top
]
SIZES = [(6, 8), (5, 7), (1, 1), (1, 6), (7, 1), (2, 3)]

Planes = tuple[NDArray[np.uint8], ...]


def random_planes(coding: Coding, height: int, width: int) -> Planes:
    rng = np.random.default_rng(height * 100 + width)
    return tuple(rng.integers(0, 256, shape, dtype=np.uint8) for shape in coding.shapes(height, width))


def scales(coding: Coding) -> tuple[int, int, int]:
    return (0, 255, 255) if coding.full else (16, 219, 224)


def between(plane: NDArray[np.float64], axis: int, factor: int, size: int, centred: bool) -> NDArray[np.float64]:
    """Linear interpolation of samples that lie ``factor`` pixels apart, at every pixel."""
    offset = 0.5 if centred and factor == 2 else 0.0
    places = np.clip((np.arange(size) - offset) / factor, 0, plane.shape[axis] - 1)
    return np.apply_along_axis(lambda line: np.interp(places, np.arange(len(line)), line), axis, plane)


def to_rgb_by_the_standard(coding: Coding, planes: Planes, height: int, width: int) -> NDArray[np.float64]:
    red, blue = PARTS[coding.matrix]
    zero, luma, chroma = scales(coding)
    across, down = SUBSAMPLING[coding.subsampling]
    y = (planes[0] - float(zero)) / luma
    if len(planes) == 1:
        return np.repeat(255 * y[..., None], 3, 2)
    whole = [between((plane - 128.0) / chroma, 0, down, height, not coding.top) for plane in planes[1:]]
    cb, cr = (between(plane, 1, across, width, coding.centred) for plane in whole)
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    return 255 * np.stack((r, (y - red * r - blue * b) / (1 - red - blue), b), 2)


def from_rgb_by_the_standard(coding: Coding, pixels: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    red, blue = PARTS[coding.matrix]
    zero, luma, chroma = scales(coding)
    across, down = SUBSAMPLING[coding.subsampling]

    def light(colors: NDArray[np.float64]) -> NDArray[np.float64]:
        return colors @ np.array([red, 1 - red - blue, blue])

    rows, columns = -(-pixels.shape[0] // down), -(-pixels.shape[1] // across)
    padded = np.pad(pixels / 255.0, ((2, 2), (2, 2), (0, 0)), "edge")
    weights = {(1, True): [0, 1, 0], (1, False): [0, 1, 0], (2, True): [0, 0.5, 0.5], (2, False): [0.25, 0.5, 0.25]}
    left, above = 2 + across * np.arange(columns), 2 + down * np.arange(rows)
    mean = sum(w * padded[:, left + k - 1] for k, w in enumerate(weights[across, coding.centred]))
    mean = sum(w * mean[above + k - 1] for k, w in enumerate(weights[down, not coding.top]))
    y = light(mean)
    cb, cr = (mean[..., 2] - y) / (2 * (1 - blue)), (mean[..., 0] - y) / (2 * (1 - red))
    return [zero + luma * light(pixels / 255.0), 128 + chroma * cb, 128 + chroma * cr]


def near(actual: NDArray[np.uint8], exact: NDArray[np.float64]) -> bool:
    """Rounded to nearest, or but for an error of the coefficients of less than 1/100."""
    return bool(np.all(np.abs(actual - np.clip(exact, 0, 255)) <= 0.51))


@pytest.mark.parametrize("coding", CODINGS, ids=str)
def test_pictures_are_those_of_the_standard(coding: Coding) -> None:
    for height, width in SIZES:
        planes = random_planes(coding, height, width)
        pixels = coding.to_rgb(planes)
        assert pixels.shape == (height, width, 3)
        assert near(pixels, to_rgb_by_the_standard(coding, planes, height, width))


@pytest.mark.parametrize("coding", [each for each in CODINGS if each.subsampling != "mono"], ids=str)
def test_planes_are_those_of_the_standard(coding: Coding) -> None:
    for height, width in SIZES:
        pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
        planes = coding.from_rgb(pixels)
        assert [plane.shape for plane in planes] == coding.shapes(height, width)
        for plane, exact in zip(planes, from_rgb_by_the_standard(coding, pixels), strict=True):
            assert near(plane, exact)


@pytest.mark.parametrize(("matrix", "red"), [("bt601", (81, 90, 240)), ("bt709", (63, 102, 240))], ids=["BT.601", "BT.709"])
def test_red_and_white_of_limited_range(matrix: str, red: tuple[int, int, int]) -> None:
    coding = Coding("444", matrix=matrix)
    planes = coding.from_rgb(np.array([[(255, 0, 0), (255, 255, 255), (0, 0, 0)]], np.uint8))
    assert [tuple(int(plane[0, x]) for plane in planes) for x in range(3)] == [red, (235, 128, 128), (16, 128, 128)]


@pytest.mark.parametrize("coding", [each for each in CODINGS if each.full and each.subsampling != "mono"], ids=str)
def test_greys_come_back_without_a_change(coding: Coding) -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, 2)
    planes = coding.from_rgb(grey)
    assert np.array_equal(planes[0], grey[..., 0])
    assert all(np.all(plane == 128) for plane in planes[1:])
    assert np.array_equal(coding.to_rgb(planes), grey)


def test_full_resolution_and_range_lose_two_steps_at_most() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for matrix in PARTS:
        coding = Coding("444", matrix=matrix, full=True)
        assert np.abs(coding.to_rgb(coding.from_rgb(pixels)).astype(int) - pixels).max() <= 2


def test_planes_that_do_not_belong_together_are_refused() -> None:
    luma = np.zeros((4, 6), np.uint8)
    for planes in ((), (luma, luma), (luma, luma, luma), (luma[0], luma, luma), (luma[..., None],)):
        with pytest.raises(ValueError, match="plane"):
            Coding("420").to_rgb(planes)


def test_high_definition_is_bt709() -> None:
    assert usual_matrix(480, 640) == usual_matrix(576, 720) == "bt601"
    assert usual_matrix(720, 1280) == usual_matrix(1080, 1920) == usual_matrix(1280, 720) == "bt709"
