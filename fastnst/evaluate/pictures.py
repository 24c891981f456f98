"""The pairs of pictures that models are compared on, and pictures as arrays and tensors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastnst.images import READ_SUFFIXES, open_picture, require_file, resize_short_side

Pixels = NDArray[np.uint8]  # [H, W, 3], sRGB

STRIDE = 8
"""Sides are cut to multiples of it: AdaIN networks then keep them, and so does the scoring network's relu4_1."""
LEAST_SIZE = 32
"""Reflection padding needs two places in the deepest maps, which are a sixteenth of the picture."""


@dataclass(frozen=True)
class Pair:
    """A content and a style, by their files."""

    content: Path
    style: Path

    @property
    def stem(self) -> str:
        """What a picture of it is called, without the suffix: CONTENT_stylized_STYLE, as AdaIN's PyTorch code has it."""
        return f"{self.content.stem}_stylized_{self.style.stem}"


def read_testset(path: Path) -> tuple[list[Pair], int]:
    """The pairs of a test set, and the short side in pixels that it is meant for.

    Args:
        path: JSON, ``{"size": N, "pairs": [{"content": FILE, "style": FILE}, ...]}``; files relative to its folder.

    Raises:
        ValueError: one line that says what is wrong, a picture that is missing included.
        OSError: it cannot be read.
    """
    try:
        data = json.loads(path.read_bytes())
        size = data["size"]
        pairs = [Pair(path.parent / each["content"], path.parent / each["style"]) for each in data["pairs"]]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f'{path}: not a test set {{"size": N, "pairs": [{{"content": ..., "style": ...}}]}}: {error}'
        ) from None
    if type(size) is not int or size < LEAST_SIZE or not pairs:
        raise ValueError(f"{path}: expected a size of at least {LEAST_SIZE} and at least one pair")
    for picture in sorted({picture for pair in pairs for picture in (pair.content, pair.style)}):
        require_file(picture)
    return pairs, size


def pair_folders(contents: Path, styles: Path) -> list[Pair]:
    """The pictures of two folders in order of name, the first with the first; the shorter list begins anew at its end.

    Raises:
        ValueError: a folder without pictures.
        OSError: a folder that cannot be read.
    """
    listed = []
    for folder in (contents, styles):
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in READ_SUFFIXES and path.is_file())
        if not found:
            raise ValueError(f"{folder}: no pictures in this folder")
        listed.append(found)
    own, other = listed
    return [Pair(own[i % len(own)], other[i % len(other)]) for i in range(max(len(own), len(other)))]


def made_for(pair: Pair, folder: Path) -> Path:
    """The file of a folder that is the result of a pair, by its name.

    Raises:
        ValueError: there is none, or there are several, with different suffixes.
    """
    stem = pair.stem
    found = sorted(each for each in folder.iterdir() if each.stem == stem and each.suffix.lower() in READ_SUFFIXES)
    if len(found) != 1:
        there = f"there are {', '.join(path.name for path in found)}" if found else "there is none"
        raise ValueError(f"{folder}: expected one picture {stem}, such as {stem}.png; {there}")
    return found[0]


def load(path: Path, size: int) -> Pixels:
    """A picture with a short side of ``size``, its sides then cut to multiples of 8.

    Raises:
        ImageError: it cannot be read.
    """
    pixels = np.asarray(resize_short_side(open_picture(path), size).flattened())
    height, width = (side // STRIDE * STRIDE for side in pixels.shape[:2])
    return np.ascontiguousarray(pixels[:height, :width])


def square(pixels: Pixels) -> Pixels:
    """The middle of a picture."""
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


def to_tensor(pixels: Pixels) -> Tensor:
    """uint8 [H, W, 3] to float32 [1, 3, H, W], 0..1."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None].float() / 255


def to_pixels(image: Tensor) -> Pixels:
    """[1, 3, H, W] to uint8 [H, W, 3]: clamped to 0..1, rounded."""
    rounded = (image[0].clamp(0, 1) * 255).round().byte()
    return np.ascontiguousarray(rounded.permute(1, 2, 0).numpy())
