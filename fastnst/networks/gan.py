"""Image-to-image generators and their discriminator, at any width: CycleGAN (Zhu et al., ICCV 2017), pix2pix (Isola et al.,
CVPR 2017) and the MobileNet form of GAN Compression (Li et al., CVPR 2020), which teachers and students of CRD have.

Pictures are RGB, -1..1. Convolutions have a bias unless a batch norm, which has its own, follows them.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.networks.padding import reflection_pad

TAPS = 4
"""Maps that a generator shows to losses on its features."""
BLOCKS = 9
LEVELS = 8
"""Halvings of a U-Net for pictures of 256 pixels."""


class Separable(nn.Sequential):
    """A 3x3 convolution of each channel, instance norm, and a 1x1 convolution across them; no padding."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            OrderedDict(
                depthwise=nn.Conv2d(channels, channels, 3, groups=channels),
                norm=nn.InstanceNorm2d(channels),
                pointwise=nn.Conv2d(channels, channels, 1),
            )
        )


class Residual(nn.Module):
    """Two 3x3 convolutions behind reflection padding, each with instance norm, ReLU between them; added to what came in."""

    def __init__(self, channels: int, separable: bool) -> None:
        super().__init__()
        self.first: nn.Module = Separable(channels) if separable else nn.Conv2d(channels, channels, 3)
        self.second: nn.Module = Separable(channels) if separable else nn.Conv2d(channels, channels, 3)
        self.norm = nn.InstanceNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same; sides of 2 pixels at least."""
        y = F.relu(self.norm(self.first(reflection_pad(x))))
        output: Tensor = x + self.norm(self.second(reflection_pad(y)))
        return output


class ResnetGenerator(nn.Module):
    """Two halvings, nine residual blocks, two doublings, with instance norm: CycleGAN's generator of Johnson et al.

    Args:
        width: channels of the first layer; the blocks have four times as many.
        separable: blocks of separable convolutions (``mobile_resnet_9blocks``) or of plain ones (``resnet_9blocks``).
        blocks: how many.
    """

    def __init__(self, width: int, separable: bool = True, blocks: int = BLOCKS) -> None:
        super().__init__()
        self.separable = separable
        self.stem = nn.Conv2d(3, width, 7)
        self.down = nn.ModuleList(nn.Conv2d(width * k, width * 2 * k, 3, 2, 1) for k in (1, 2))
        self.blocks = nn.ModuleList(Residual(4 * width, separable) for _ in range(blocks))
        self.up = nn.ModuleList(nn.ConvTranspose2d(width * 2 * k, width * k, 3, 2, 1, 1) for k in (2, 1))
        self.head = nn.Conv2d(width, 3, 7)
        initialise(self)

    @property
    def tap_channels(self) -> tuple[int, ...]:
        """Channels of the maps that :meth:`with_taps` gives."""
        return (self.down[-1].out_channels,) * TAPS  # type: ignore[return-value]

    def with_taps(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The picture, and the maps [N, C, H/4, W/4] before the blocks and after each third of them."""
        # The published plain network clamps its input, the separable one does not.
        x = image if self.separable else image.clamp(-1, 1)
        x = _normalised_relu(self.stem(reflection_pad(x, 3)))
        for conv in self.down:
            x = _normalised_relu(conv(x))
        taps = [x]
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            taps += [x] * (number * (TAPS - 1) // len(self.blocks) - (len(taps) - 1))
        for conv in self.up:
            x = _normalised_relu(conv(x))
        return torch.tanh(self.head(reflection_pad(x, 3))), taps

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, H, W], sides multiples of 4 and at least 8, to the same."""
        return self.with_taps(image)[0]


def _normalised_relu(x: Tensor) -> Tensor:
    return F.relu(F.instance_norm(x))


class UnetGenerator(nn.Module):
    """4x4 convolutions that halve to the bottom and, beside skip connections, double again: pix2pix's generator.

    Args:
        width: channels of the first layer; deeper ones have 2, 4 and then 8 times as many.
        levels: halvings; 8 is ``unet_256``.
        norm: ``batch`` as published, or ``instance``.

    Raises:
        ValueError: no such norm.
    """

    def __init__(self, width: int, levels: int = LEVELS, norm: str = "batch") -> None:
        super().__init__()
        bias, widths = norm != "batch", [width * min(2**i, 8) for i in range(levels)]
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1, bias=bias) for a, b in zip((3, *widths), widths, strict=False))
        inputs = [2 * widths[i] for i in range(levels - 1)] + [widths[-1]]
        outputs = (3, *widths)
        self.up = nn.ModuleList(nn.ConvTranspose2d(inputs[i], outputs[i], 4, 2, 1, bias=bias or i == 0) for i in range(levels))
        # Neither the first nor the innermost map is normalised on the way down, all but the picture on the way up.
        self.down_norms = nn.ModuleList(normalisation(norm, c) for c in widths[1:-1])
        self.up_norms = nn.ModuleList(normalisation(norm, c) for c in widths[:-1])
        initialise(self)

    @property
    def tap_channels(self) -> tuple[int, ...]:
        """Channels of the maps that :meth:`with_taps` gives."""
        return tuple(conv.out_channels for conv in self.up[TAPS:0:-1])  # type: ignore[misc]

    def with_taps(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The picture, and the maps of the four doublings before the last one, from the inside out."""
        x = self.down[0](image)
        skips, taps = [x], []
        for conv, norm in zip(self.down[1:-1], self.down_norms, strict=True):
            x = norm(conv(F.leaky_relu(x, 0.2)))
            skips.append(x)
        x = self.down[-1](F.leaky_relu(x, 0.2))
        for level in range(len(self.up) - 1, 0, -1):
            x = self.up_norms[level - 1](self.up[level](F.relu(x)))
            taps.append(x)
            x = torch.cat([skips[level - 1], x], 1)
        return torch.tanh(self.up[0](F.relu(x))), taps[-TAPS:]

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, H, W], sides multiples of 2^levels, to the same."""
        return self.with_taps(image)[0]


class PatchDiscriminator(nn.Module):
    """Judges every overlapping patch of 70 pixels: pix2pix's PatchGAN of three layers.

    Args:
        inputs: channels: 3, or 6 where it sees the source beside the picture.
        width: channels of the first layer.
        norm: ``batch`` or ``instance``. Batch norm keeps no running statistics, for a discriminator is never used on its own:
            so nothing of it changes but by its optimiser.

    Raises:
        ValueError: no such norm.
    """

    def __init__(self, inputs: int = 3, width: int = 64, norm: str = "instance") -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        layers: list[nn.Module] = [nn.Conv2d(inputs, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for a, b, stride in zip(widths, widths[1:], (2, 2, 1), strict=False):
            layers += [nn.Conv2d(a, b, 4, stride, 1, bias=norm != "batch"), normalisation(norm, b, False), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        initialise(self)

    def forward(self, image: Tensor) -> Tensor:
        """[N, inputs, H, W], sides of 24 pixels at least, to logits [N, 1, H/8 - 2, W/8 - 2], above 0 for what seems real."""
        logits: Tensor = self.layers(image)
        return logits


def normalisation(kind: str, channels: int, running: bool = True) -> nn.Module:
    """Batch norm with weights, or instance norm without.

    Raises:
        ValueError: neither.
    """
    if kind not in {"batch", "instance"}:
        raise ValueError(f"norm: expected batch or instance, got {kind!r}")
    if kind == "batch":
        return nn.BatchNorm2d(channels, track_running_stats=running)
    return nn.InstanceNorm2d(channels)


def initialise(network: nn.Module) -> None:
    """Random weights of deviation 0.02, biases of 0, as in all of these papers' code."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d) and module.bias is not None:
            nn.init.zeros_(module.bias)


Generator = ResnetGenerator | UnetGenerator
KINDS = ("mobile_resnet", "resnet", "unet")


def generator(kind: str, width: int, size: int = 256) -> Generator:
    """A generator by the name that published code gives it.

    Args:
        kind: one of ``KINDS``.
        width: of its first layer.
        size: side of the pictures in pixels, which decides how often a U-Net halves: as often as it can, 8 times at most.

    Raises:
        ValueError: no such kind, or sides that it cannot halve.
    """
    if kind not in KINDS:
        raise ValueError(f"generator: expected {', '.join(KINDS)}, got {kind!r}")
    halvings = (size & -size).bit_length() - 1
    if halvings < (5 if kind == "unet" else 2):
        raise ValueError(f"size: expected a multiple of {32 if kind == 'unet' else 4} pixels, got {size}")
    if kind == "unet":
        return UnetGenerator(width, min(LEVELS, halvings))
    return ResnetGenerator(width, separable=kind == "mobile_resnet")
