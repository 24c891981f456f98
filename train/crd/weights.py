"""Published networks by which the recipe ``crd`` compares and judges pictures, and a check that their files exist."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastnst.format.kinds import require_weights
from fastnst.networks.perceptual import PerceptualNetwork

from ..scoring import VGG_FILE
from .settings import CrdSettings, DistillationSettings

VGG16_FILE = "vgg16_relu2_2_partial_f16.safetensors"
INCEPTION_FILE = "inception2015_fid_to_mixed7a_f16.safetensors"
CONTENTS = {
    VGG16_FILE: "VGG-16 to relu2_2, named as in torchvision (features.0.weight ..), for the perceptual terms; "
    "--perceptual-weight 0 does without",
    VGG_FILE: "the normalised VGG-19 to relu5_1, for two more levels of them; --perceptual-levels 2 does without",
    INCEPTION_FILE: "FID's Inception network to Mixed_6e, named as in torchvision, batch norm folded in, for FID and KID",
}
"""The content and the purpose of each file."""
EPILOG = "Files that are read from DATA/weights: " + "; ".join(f"{file}: {what}" for file, what in CONTENTS.items()) + "."


def perceptual_files(settings: DistillationSettings) -> list[str]:
    """The files that the perceptual terms of ``settings`` need."""
    if not settings.perceptual:
        return []
    return [VGG16_FILE, VGG_FILE] if settings.perceptual_levels == 4 else [VGG16_FILE]


def perceptual_network(settings: DistillationSettings, folder: Path) -> PerceptualNetwork | None:
    """The network of the perceptual terms, from the files in ``folder``; None if there are no such terms."""
    needed = [folder / name for name in perceptual_files(settings)]
    return PerceptualNetwork(*needed) if needed else None


def files_of(settings: CrdSettings) -> list[str]:
    """The files that ``settings`` need."""
    return [*(perceptual_files(settings) if settings.distil else []), INCEPTION_FILE]


def require_files(names: Sequence[str], folder: Path, who: str) -> None:
    """Check before a run of hours that all files ``who`` needs are in ``folder``.

    Raises:
        FileNotFoundError: some are missing; one line that names them all and says what they are.
        ValueError: a file does not hold weights.
    """
    missing = []
    for name in names:
        try:
            require_weights(folder / name)
        except FileNotFoundError:
            missing.append(f"{name} ({CONTENTS[name]})")
    if missing:
        raise FileNotFoundError(f"{folder}: {who} needs {', '.join(missing)}")
