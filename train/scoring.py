"""The VGG-19 that recipes score pictures with, from a file of any known variant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastnst.networks.vgg import Encoder
from fastnst.networks.vgg_files import load_vgg19, normalise

from .data import CropSource, to_float
from .limits import setting
from .settings import RunOptions, Settings

VGG_FILE = "vgg19_relu5_1_f16.safetensors"
CROPS = 32
"""Crops of photographs that the mean activations of a network which is not normalised are measured on."""
CROP = 128
"""Their side in pixels."""


@dataclass(frozen=True)
class ScoredSettings(Settings):
    """What every recipe has that needs VGG-19."""

    vgg: str = setting("", f"VGG-19, a file of any known variant; default: DATA/weights/{VGG_FILE}")


def scoring_vgg(settings: ScoredSettings, options: RunOptions, stage: int = 4) -> Encoder:
    """VGG-19 up to ``stage``, frozen and normalised; where the file's is not, over photographs of the training set.

    Raises:
        OSError, ValueError: the file cannot be read, or is of no known variant.
    """
    loaded = load_vgg19(Path(settings.vgg) if settings.vgg else options.data / "weights" / VGG_FILE, stage)
    if loaded.normalised:
        return loaded.encoder
    crops = CropSource(options.data / "content-train", CROP, (0.95, 1.05), settings.seed)
    return normalise(loaded.encoder, [to_float(crops.batch(range(CROPS)))])
