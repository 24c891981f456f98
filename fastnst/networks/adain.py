"""The AdaIN encoder-decoder pair at any width (Huang and Belongie, ICCV 2017; small widths: Wang et al., CVPR 2020).

The encoder is VGG-19 up to relu4_1 with every width free, the decoder its mirror. Each 3x3 convolution is preceded by
reflection padding of 1; every one but the decoder's last is followed by ReLU. RGB 0..1 goes in and comes out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYERS = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4", "conv4_1")
POOL_AFTER = frozenset({"conv1_2", "conv2_2", "conv3_4"})
TAPS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1")
"""Layers whose ReLU outputs are AdaIN's four levels."""

WIDTHS = {
    "original": (64, 64, 128, 128, 256, 256, 256, 256, 512),
    "pruned": (64, 64, 128, 128, 140, 153, 153, 153, 261),
    "16x": (16, 16, 32, 32, 64, 64, 64, 64, 128),
}
"""Output channels of the nine encoder layers: the published network, its published pruning, and a quarter of each width."""

CAFFE_MEANS = (103.939, 116.779, 123.68)
"""Mean blue, green and red, 0..255, that the Caffe VGG networks subtract."""


def input_layer(scale: float) -> nn.Conv2d:
    """The fixed 1x1 layer ``conv0``: RGB 0..1 to ``scale`` times (BGR 0..255 minus the Caffe means)."""
    conv = nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        conv.weight.copy_(torch.eye(3).flip(0).reshape(3, 3, 1, 1) * 255.0 * scale)
        assert conv.bias is not None
        conv.bias.copy_(-torch.tensor(CAFFE_MEANS) * scale)
    return conv.requires_grad_(False)


def reflected(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """``conv`` (3x3, no padding of its own) after reflection padding of 1."""
    padded: Tensor = F.pad(x, (1, 1, 1, 1), mode="reflect")
    output: Tensor = conv(padded)
    return output


class Encoder(nn.Module):
    """``conv0`` and the nine layers to relu4_1.

    Args:
        widths: output channels of the nine layers.
        ceil_pooling: round odd sides up at the 2x2 pools, as some published weights expect; otherwise down.
        input_scale: see :func:`input_layer`. 1 for VGG-19 itself; a network trained from scratch wants inputs of about
            unit size.
    """

    def __init__(self, widths: Sequence[int], ceil_pooling: bool = False, input_scale: float = 1 / 64) -> None:
        super().__init__()
        self.ceil_pooling = ceil_pooling
        self.conv0 = input_layer(input_scale)
        for name, inputs, outputs in zip(LAYERS, (3, *widths[:-1]), widths, strict=True):
            self.add_module(name, nn.Conv2d(inputs, outputs, 3))

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(int(getattr(self, name).out_channels) for name in LAYERS)

    def features(self, image: Tensor) -> list[Tensor]:
        """ReLU outputs of the four levels, [N, C_i, H/2^i, W/2^i]."""
        x = self.conv0(image)
        taps = []
        for name in LAYERS:
            x = F.relu(reflected(getattr(self, name), x))
            if name in TAPS:
                taps.append(x)
            if name in POOL_AFTER:
                x = F.max_pool2d(x, 2, 2, ceil_mode=self.ceil_pooling)
        return taps

    def forward(self, image: Tensor) -> Tensor:
        """relu4_1 of ``image`` [N, 3, H, W]: [N, C, H/8, W/8]."""
        return self.features(image)[-1]


class Decoder(nn.Module):
    """The encoder's mirror: ``conv4_1`` first, nearest x2 upsampling where the encoder pooled, no ReLU at the end."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        for name, outputs, inputs in zip(LAYERS, (3, *widths[:-1]), widths, strict=True):
            self.add_module(name, nn.Conv2d(inputs, outputs, 3))

    def forward(self, feature: Tensor) -> Tensor:
        """RGB, unclamped, from ``feature`` [N, C, h, w]: [N, 3, 8h, 8w]."""
        x = feature
        for name in reversed(LAYERS):
            if name in POOL_AFTER:
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = reflected(getattr(self, name), x)
            if name != LAYERS[0]:
                x = F.relu(x)
        return x
