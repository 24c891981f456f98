"""An encoder of inverted residuals (Sandler et al., CVPR 2018), as an alternative to VGG's shape down to 1/8 of the size.

Each block widens with a 1x1 convolution, filters every channel for itself (3x3, behind reflection padding of 1) and narrows
again; ReLU6 follows the first two, nothing the third. No batch norm: starting values keep the variance instead.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.networks.vgg import input_layer, reflected

EXPANSION = 4
DEPTH = 2
"""Blocks of each level."""
LEVELS = (2, 3, 4)
"""The VGG stages whose relu{k}_1 has the size of a level's maps: 1/2, 1/4 and 1/8 of the picture."""


def mobile_widths(widths: Sequence[int]) -> tuple[int, int, int]:
    """Channels at each level beside a decoder that mirrors nine VGG-shaped layers of ``widths``."""
    return widths[2], widths[4], widths[8]


class InvertedResidual(nn.Module):
    """[N, inputs, H, W] to [N, outputs, H/stride, W/stride] (rounded up); adds its input where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = EXPANSION * inputs
        self.adds = stride == 1 and inputs == outputs
        self.widen = nn.Conv2d(inputs, inner, 1)
        self.filter = nn.Conv2d(inner, inner, 3, stride, groups=inner)
        self.narrow = nn.Conv2d(inner, outputs, 1)
        for conv in (self.widen, self.filter):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        if self.adds:
            nn.init.zeros_(self.narrow.weight)  # a sum of many would grow from block to block; so each begins as identity
        else:
            nn.init.kaiming_normal_(self.narrow.weight, nonlinearity="linear")
        for conv in (self.widen, self.filter, self.narrow):
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.narrow(F.relu6(reflected(self.filter, F.relu6(self.widen(x)))))
        return x + y if self.adds else y


class MobileEncoder(nn.Module):
    """``conv0``, a 3x3 convolution to half the size, and :data:`DEPTH` blocks a level.

    Args:
        widths: channels at 1/2, 1/4 and 1/8 of the picture's size.
        input_scale: see :func:`~fastnst.networks.vgg.input_layer`.
    """

    def __init__(self, widths: Sequence[int], input_scale: float = 1 / 64) -> None:
        super().__init__()
        self.widths = tuple(widths)
        first, *_ = widths
        self.conv0 = input_layer(input_scale)
        self.stem = nn.Conv2d(3, first, 3, 2)
        self.levels = nn.ModuleList()
        for inputs, outputs in zip((first, *widths[:-1]), widths, strict=True):
            stride = 1 if len(self.levels) == 0 else 2
            later = (InvertedResidual(outputs, outputs, 1) for _ in range(DEPTH - 1))
            self.levels.append(nn.Sequential(InvertedResidual(inputs, outputs, stride), *later))

    @property
    def level_widths(self) -> dict[int, int]:
        """Channels of the maps that :meth:`features` gives, by the stage whose VGG-19 features they stand for."""
        return dict(zip(LEVELS, self.widths, strict=True))

    def features(self, image: Tensor) -> list[Tensor]:
        """Outputs of the levels, [N, C_i, H/2^i, W/2^i], sides rounded up; of any sign."""
        x = F.relu6(reflected(self.stem, self.conv0(image)))
        maps = []
        for level in self.levels:
            x = level(x)
            maps.append(x)
        return maps

    def forward(self, image: Tensor) -> Tensor:
        """The last level of ``image`` [N, 3, H, W]: [N, C, H/8, W/8]."""
        return self.features(image)[-1]
