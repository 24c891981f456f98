"""The VGG-19 by which recipes score pictures, from a file of any known variant."""

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
"""The number of crops of photographs on which mean activations are measured, to normalise a network."""
CROP = 128
"""The side of these crops in pixels."""


@dataclass(frozen=True)
class ScoredSettings(Settings):
    """The settings of all recipes that need VGG-19."""

    vgg: str = setting("", f"VGG-19, a file of any known variant; default: DATA/weights/{VGG_FILE}")


def scoring_vgg(settings: ScoredSettings, options: RunOptions, stage: int = 4) -> Encoder:
    """VGG-19 up to ``stage``, frozen and normalised. If the one in the file is not, it is normalised on training photographs.

    Raises:
        OSError, ValueError: the file cannot be read, or is not of a known variant.
    """
    loaded = load_vgg19(Path(settings.vgg) if settings.vgg else options.data / "weights" / VGG_FILE, stage)
    if loaded.normalised:
        return loaded.encoder
    crops = CropSource(options.data / "content-train", CROP, (0.95, 1.05), settings.seed)
    return normalise(loaded.encoder, [to_float(crops.batch(range(CROPS)))])
