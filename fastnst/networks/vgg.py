"""VGG-19 and its mirror at any width and up to any stage: encoders and decoders.

Each 3x3 convolution is preceded by reflection padding of 1 and followed by ReLU; 2x2 maxima lie between the blocks. A decoder
is an encoder backwards, with nearest x2 upsampling where that one pools. RGB 0..1 goes in and comes out. Stage k (1 to 5) ends
with relu{k}_1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.networks.padding import reflection_pad

ALL_LAYERS = (
    "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4",
    "conv4_1", "conv4_2", "conv4_3", "conv4_4", "conv5_1",
)  # fmt: skip
VGG19 = (64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512)
"""Output channels of the layers."""
POOL_AFTER = frozenset({"conv1_2", "conv2_2", "conv3_4", "conv4_4"})
TAPS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
"""The last layer of every stage, whose ReLU outputs losses compare."""

CAFFE_MEANS = (103.939, 116.779, 123.68)
"""Mean blue, green and red, 0..255, that the Caffe VGG networks subtract."""


def layers_of(stage: int) -> tuple[str, ...]:
    """The layers of an encoder that ends with relu{stage}_1.

    Raises:
        ValueError: no such stage.
    """
    if not 1 <= stage <= len(TAPS):
        raise ValueError(f"stage: expected 1 to {len(TAPS)}, got {stage}")
    return ALL_LAYERS[: ALL_LAYERS.index(TAPS[stage - 1]) + 1]


def stage_of(widths: Sequence[int]) -> int:
    """The stage that an encoder of these widths ends with.

    Raises:
        ValueError: no stage has as many layers.
    """
    counts = [len(layers_of(stage)) for stage in range(1, len(TAPS) + 1)]
    if len(widths) not in counts:
        raise ValueError(f"widths: expected {', '.join(map(str, counts))} numbers, got {len(widths)}")
    return counts.index(len(widths)) + 1


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
    output: Tensor = conv(reflection_pad(x))
    return output


class Encoder(nn.Module):
    """``conv0`` and the layers of a stage.

    Args:
        widths: output channels of the layers; how many there are decides the stage.
        ceil_pooling: round odd sides up at the 2x2 pools, as some published weights expect; otherwise down.
        input_scale: see :func:`input_layer`. 1 for VGG-19 itself; a network trained from scratch wants inputs of about
            unit size.

    Raises:
        ValueError: no stage has as many layers.
    """

    def __init__(self, widths: Sequence[int], ceil_pooling: bool = False, input_scale: float = 1 / 64) -> None:
        super().__init__()
        self.stage = stage_of(widths)
        self.ceil_pooling = ceil_pooling
        self.conv0 = input_layer(input_scale)
        for name, inputs, outputs in zip(layers_of(self.stage), (3, *widths[:-1]), widths, strict=True):
            self.add_module(name, nn.Conv2d(inputs, outputs, 3))

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(int(getattr(self, name).out_channels) for name in layers_of(self.stage))

    @property
    def level_widths(self) -> dict[int, int]:
        """Channels of the maps that :meth:`features` gives, by the stage whose VGG-19 features they stand for."""
        return {stage: int(getattr(self, TAPS[stage - 1]).out_channels) for stage in range(1, self.stage + 1)}

    def features(self, image: Tensor, stage: int | None = None) -> list[Tensor]:
        """ReLU outputs of the levels up to ``stage``, [N, C_i, H/2^i, W/2^i]."""
        x = self.conv0(image)
        taps: list[Tensor] = []
        for name in layers_of(self.stage if stage is None else stage):
            x = F.relu(reflected(getattr(self, name), x))
            if name in TAPS:
                taps.append(x)
            if name in POOL_AFTER:
                x = F.max_pool2d(x, 2, 2, ceil_mode=self.ceil_pooling)
        return taps

    def forward(self, image: Tensor) -> Tensor:
        """The last level of ``image`` [N, 3, H, W]: [N, C, H/2^(stage-1), W/2^(stage-1)]."""
        return self.features(image)[-1]


class Decoder(nn.Module):
    """The encoder's mirror.

    Args:
        widths: the encoder's.
        last_relu: whether a ReLU follows the last layer too, as in Collaborative Distillation.

    Raises:
        ValueError: no stage has as many layers.
    """

    def __init__(self, widths: Sequence[int], last_relu: bool = False) -> None:
        super().__init__()
        self.stage = stage_of(widths)
        self.last_relu = last_relu
        for name, outputs, inputs in zip(layers_of(self.stage), (3, *widths[:-1]), widths, strict=True):
            self.add_module(name, nn.Conv2d(inputs, outputs, 3))

    @property
    def widths(self) -> tuple[int, ...]:
        """Input channels of the layers, in the encoder's order."""
        return tuple(int(getattr(self, name).in_channels) for name in layers_of(self.stage))

    def features(self, feature: Tensor) -> list[Tensor]:
        """What the last layer of every block makes of ``feature`` [N, C, h, w], from the deepest to the picture.

        Block k ends with conv{k}_1, behind its ReLU: [N, C_(k-1), h*2^(stage-k), w*2^(stage-k)].
        """
        x, blocks = feature, []
        for name in reversed(layers_of(self.stage)):
            if name in POOL_AFTER:
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = reflected(getattr(self, name), x)
            if name != ALL_LAYERS[0] or self.last_relu:
                x = F.relu(x)
            if name in TAPS:
                blocks.append(x)
        return blocks

    def forward(self, feature: Tensor) -> Tensor:
        """RGB, unclamped, from ``feature`` [N, C, h, w]: [N, 3, h*2^(stage-1), w*2^(stage-1)]."""
        return self.features(feature)[-1]
