"""Inputs of the runtimes that stylize, the same for all: pictures, the style's statistics, and pictures for calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .. import pictures
from .jobs import Array
from .peers_torch import torch_pair


def prepare_inputs(folder: Path, size: int) -> None:
    """Write the pictures at ``size``, and the style's statistics by the float network."""
    target = folder / f"inputs-{size}.npz"
    if target.exists():
        return
    content_pixels, style_pixels = pictures.pair(size)
    content, style = pictures.to_floats(content_pixels), pictures.to_floats(style_pixels)
    mean, std = style_statistics(folder, [style])[0]
    arrays = {"content": content, "style": style, "mean": mean, "std": std}
    np.savez(target, **arrays, content_pixels=content_pixels, style_pixels=style_pixels)  # type: ignore[arg-type]


def style_statistics(folder: Path, styles: list[Array]) -> list[tuple[Array, Array]]:
    """Mean and standard deviation, [1, C, 1, 1] each, of every style picture's features."""
    import torch

    pair = torch_pair(folder)
    with torch.inference_mode():
        results = [pair.statistics(pair.encode(torch.from_numpy(style))) for style in styles]
    return [(mean.numpy(), std.numpy()) for mean, std in results]


def calibration(folder: Path, style: str) -> list[dict[str, Array]]:
    """Inputs by name for the calibration of a quantiser."""
    pairs = [(pictures.to_floats(content), pictures.to_floats(look)) for content, look in pictures.calibration()]
    if style == "given":
        return [{"content": content, "style": look} for content, look in pairs]
    statistics = style_statistics(folder, [look for _, look in pairs])
    return [{"content": c, "mean": mean, "std": std} for (c, _), (mean, std) in zip(pairs, statistics, strict=True)]
