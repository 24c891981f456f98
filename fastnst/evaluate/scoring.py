"""Scores of finished pictures: what belongs to a pair is computed once and shared by all models."""

from __future__ import annotations

from pathlib import Path

import torch

from fastnst.metrics.adain import AdainTarget
from fastnst.metrics.color import color_distance
from fastnst.metrics.lpips import Lpips
from fastnst.metrics.pictures import ssim
from fastnst.metrics.style import gram_matrices, style_distances
from fastnst.networks.vgg import TAPS
from fastnst.networks.vgg_files import load_normalised_vgg19

from .pictures import Pixels, to_tensor

STAGES = tuple(range(1, len(TAPS) + 1))
STYLE_DISTANCES = tuple(f"style_distance_{stage}" for stage in STAGES)


def weights_file(folder: Path | None, kind: str) -> Path | None:
    """The file ``kind*.safetensors`` of a folder, or None."""
    found = sorted(folder.glob(f"{kind}*.safetensors")) if folder else []
    if len(found) > 1:
        raise ValueError(f"{folder}: several files {kind}*.safetensors: {', '.join(path.name for path in found)}")
    return found[0] if found else None


class Scorer:
    """The networks that score.

    Args:
        folder: with ``vgg19*.safetensors`` and ``lpips_alex*.safetensors``; measures whose file is not there are left out.

    Attributes:
        left_out: one line for each of these.

    Raises:
        ValueError: a file does not hold such a network, or there are several of a kind.
        NotADirectoryError: no such folder.
    """

    def __init__(self, folder: Path | None) -> None:
        if folder is not None and not folder.is_dir():
            raise NotADirectoryError(f"{folder}: is not a folder; --weights names that of the scoring networks")
        self.vgg_file, lpips_file = (weights_file(folder, kind) for kind in ("vgg19", "lpips_alex"))
        self.vgg = None if self.vgg_file is None else load_normalised_vgg19(self.vgg_file, stage=STAGES[-1])
        self.lpips = None if lpips_file is None else lpips_network(lpips_file)
        self.left_out = []
        if self.vgg is None:
            self.left_out.append("AdaIN loss and style distances: they need vgg19*.safetensors from --weights")
        if self.lpips is None:
            self.left_out.append("LPIPS: it needs lpips_alex*.safetensors from --weights")


def lpips_network(path: Path) -> Lpips:
    """LPIPS on AlexNet, from its file; ValueError if it is none."""
    try:
        return Lpips(path)
    except RuntimeError as error:
        raise ValueError(f"{path}: not LPIPS on AlexNet: {' '.join(str(error).split())}") from None


class Target:
    """What the results of one pair are compared with."""

    @torch.no_grad()
    def __init__(self, scorer: Scorer, content: Pixels, style: Pixels) -> None:
        self.scorer = scorer
        self.content, self.style = to_tensor(content), to_tensor(style)
        if scorer.vgg is not None:
            levels = scorer.vgg.features(self.style)
            self.adain = AdainTarget(scorer.vgg.features(self.content, 4), levels)
            self.grams = gram_matrices(levels)

    @torch.no_grad()
    def score(self, result: Pixels) -> dict[str, float]:
        """By name: ``content``, ``style``, ``adain_loss``, ``style_distance_1`` to ``_5``, ``colors``, ``ssim`` and ``lpips``.

        ``colors`` compares the result's with the style's, the last two the result with its content.
        """
        image = to_tensor(result)
        scores: dict[str, float] = {}
        if self.scorer.vgg is not None:
            levels = self.scorer.vgg.features(image)
            terms = self.adain.score(levels)
            scores |= {"content": terms.content, "style": terms.style, "adain_loss": terms.loss}
            scores |= dict(zip(STYLE_DISTANCES, style_distances(gram_matrices(levels), self.grams), strict=True))
        scores["colors"] = 255 * color_distance(image, self.style)
        scores["ssim"] = ssim(image, self.content)
        if self.scorer.lpips is not None:
            scores["lpips"] = float(self.scorer.lpips(image, self.content))
        return scores
