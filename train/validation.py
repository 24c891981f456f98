"""AdaIN loss on pictures that are not used in training, to judge a run while it continues."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from PIL import Image, ImageOps
from torch import Tensor

from fastnst.metrics.adain import AdainTarget
from fastnst.networks.vgg import Encoder

from .data import as_tensor, to_float

SIZE = 256
"""Side in pixels of the central square of each picture that is used; the pictures in packs are not much larger."""


class Validation:
    """Pairs of a photograph and a painting, with the targets that VGG-19 gives for each.

    Args:
        vgg: the scoring network.
        contents: held-out photographs.
        styles: held-out paintings; the shorter list determines the number of pairs.
        device: the device of the networks.
    """

    def __init__(self, vgg: Encoder, contents: list[Image.Image], styles: list[Image.Image], device: torch.device) -> None:
        self.vgg, self.device = vgg, device
        self.pairs: list[tuple[Tensor, Tensor]] = [
            (self._square(content), self._square(style)) for content, style in zip(contents, styles, strict=False)
        ]
        self.targets: list[AdainTarget] = []

    def _square(self, picture: Image.Image) -> Tensor:
        return to_float(as_tensor(ImageOps.fit(picture, (SIZE, SIZE), Image.Resampling.BICUBIC)).unsqueeze(0)).to(self.device)

    @torch.no_grad()
    def __call__(self, stylize: Callable[[Tensor, Tensor], Tensor]) -> dict[str, float]:
        """Means over the pairs of the content term, the style term, and content + 10 x style; empty without pairs.

        Pictures are clamped to 0..1 and rounded to 8 bits before they are scored.
        """
        if not self.pairs:
            return {}
        if not self.targets:
            self.targets = [AdainTarget(self.vgg.features(content), self.vgg.features(style)) for content, style in self.pairs]
        scores = []
        for (content, style), target in zip(self.pairs, self.targets, strict=True):
            picture = (stylize(content, style).float().clamp(0, 1) * 255).round() / 255
            scores.append(target.score(self.vgg.features(picture)))
        return {
            "validation_content": statistics.fmean(score.content for score in scores),
            "validation_style": statistics.fmean(score.style for score in scores),
            "validation_loss": statistics.fmean(score.loss for score in scores),
        }
