"""Generators with the tensor names of published code, written from its descriptions: what layouts are tested with.

Weights are random, but such that a photograph goes through as through a trained network: smooth kernels, a picture that is none
of noise, norms with statistics and weights of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]
INSTANCE: Norm = nn.InstanceNorm2d
AFFINE: Norm = partial(nn.InstanceNorm2d, affine=True)
BATCH: Norm = nn.BatchNorm2d


def _biased(norm: Norm) -> bool:
    return norm is not BATCH


class SeparableConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, padding: int, norm: Norm) -> None:
        super().__init__()
        depthwise = nn.Conv2d(inputs, inputs, 3, 1, padding, groups=inputs, bias=_biased(norm))
        self.conv = nn.Sequential(depthwise, norm(inputs), nn.Conv2d(inputs, outputs, 1, bias=_biased(norm)))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class ResnetBlock(nn.Module):
    def __init__(self, channels: int, inner: int, norm: Norm, mobile: bool, dropout: bool, reflects: bool) -> None:
        super().__init__()
        padding = 0 if reflects else 1

        def conv(a: int, b: int) -> nn.Module:
            return SeparableConv(a, b, padding, norm) if mobile else nn.Conv2d(a, b, 3, 1, padding, bias=_biased(norm))

        pad = [nn.ReflectionPad2d(1)] if reflects else []
        layers = [*pad, conv(channels, inner), norm(inner), nn.ReLU(), *([nn.Dropout(0.5)] if dropout else [])]
        self.conv_block = nn.Sequential(*layers, *pad, conv(inner, channels), norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class Resnet(nn.Module):
    """CycleGAN's generator, GAN Compression's mobile one, and with ``inner`` the sub-mobile one."""

    def __init__(
        self,
        filters: int,
        blocks: int,
        norm: Norm = INSTANCE,
        mobile: bool = False,
        dropout: bool = False,
        reflects: bool = True,
        inner: Sequence[int] | None = None,
        widths: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        first, second, deep, third, last = widths or (filters, 2 * filters, 4 * filters, 2 * filters, filters)
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, first, 7, bias=_biased(norm)), norm(first), nn.ReLU()]
        for a, b in ((first, second), (second, deep)):
            layers += [nn.Conv2d(a, b, 3, 2, 1, bias=_biased(norm)), norm(b), nn.ReLU()]
        for width in inner or [deep] * blocks:
            layers.append(ResnetBlock(deep, width, norm, mobile, dropout, reflects))
        for a, b in ((deep, third), (third, last)):
            layers += [nn.ConvTranspose2d(a, b, 3, 2, 1, 1, bias=_biased(norm)), norm(b), nn.ReLU()]
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(last, 3, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class UnetBlock(nn.Module):
    def __init__(
        self, outer: int, inner: int, inside: nn.Module | None, norm: Norm, first: bool = False, dropout: bool = False
    ) -> None:
        super().__init__()
        self.first = first
        down = nn.Conv2d(3 if first else outer, inner, 4, 2, 1, bias=_biased(norm))
        outputs, inputs = 3 if first else outer, inner if inside is None else 2 * inner
        up = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=_biased(norm) or first)
        if first:
            assert inside is not None
            layers: list[nn.Module] = [down, inside, nn.ReLU(), up, nn.Tanh()]
        elif inside is None:
            layers = [nn.LeakyReLU(0.2), down, nn.ReLU(), up, norm(outer)]
        else:
            layers = [nn.LeakyReLU(0.2), down, norm(inner), inside, nn.ReLU(), up, norm(outer), *([nn.Dropout(0.5)] * dropout)]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y = self.model(x)
        return y if self.first else torch.cat([x, y], 1)


class Unet(nn.Module):
    """pix2pix's generator of so many halvings."""

    def __init__(self, filters: int, levels: int, norm: Norm = BATCH, dropout: bool = False) -> None:
        super().__init__()
        widths = [filters * min(2**i, 8) for i in range(levels)]
        block: nn.Module | None = None
        for outer, inner in zip(widths[-2::-1], widths[:0:-1], strict=True):
            block = UnetBlock(outer, inner, block, norm, dropout=dropout)
        self.model = UnetBlock(3, widths[0], block, norm, first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class ExamplesConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, upsample: bool = False) -> None:
        super().__init__()
        self.upsample, self.pad = upsample, nn.ReflectionPad2d(kernel // 2)
        self.conv2d = nn.Conv2d(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2d(self.pad(F.interpolate(x, scale_factor=2, mode="nearest") if self.upsample else x))


class ExamplesBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.in1 = ExamplesConv(channels, channels, 3, 1), AFFINE(channels)
        self.conv2, self.in2 = ExamplesConv(channels, channels, 3, 1), AFFINE(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.in2(self.conv2(F.relu(self.in1(self.conv1(x)))))


class ExamplesTransformer(nn.Module):
    """The network of pytorch/examples' fast neural style: 0..255 in and, unclamped, out."""

    def __init__(self, width: int, blocks: int = 5) -> None:
        super().__init__()
        self.conv1, self.in1 = ExamplesConv(3, width, 9, 1), AFFINE(width)
        self.conv2, self.in2 = ExamplesConv(width, 2 * width, 3, 2), AFFINE(2 * width)
        self.conv3, self.in3 = ExamplesConv(2 * width, 4 * width, 3, 2), AFFINE(4 * width)
        self.blocks = [f"res{i}" for i in range(1, blocks + 1)]
        for name in self.blocks:
            self.add_module(name, ExamplesBlock(4 * width))
        self.deconv1, self.in4 = ExamplesConv(4 * width, 2 * width, 3, 1, upsample=True), AFFINE(2 * width)
        self.deconv2, self.in5 = ExamplesConv(2 * width, width, 3, 1, upsample=True), AFFINE(width)
        self.deconv3 = ExamplesConv(width, 3, 9, 1)

    def forward(self, x: Tensor) -> Tensor:
        for i in (1, 2, 3):
            x = F.relu(getattr(self, f"in{i}")(getattr(self, f"conv{i}")(x)))
        for name in self.blocks:
            x = getattr(self, name)(x)
        x = F.relu(self.in4(self.deconv1(x)))
        return self.deconv3(F.relu(self.in5(self.deconv2(x))))


class ConvLayer(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, norm: bool = True) -> None:
        super().__init__()
        self.reflection_pad = nn.ReflectionPad2d(kernel // 2)
        self.conv_layer = nn.Conv2d(inputs, outputs, kernel, stride)
        self.norm_layer = AFFINE(outputs) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm_layer(self.conv_layer(self.reflection_pad(x)))


class ResidualLayer(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = ConvLayer(channels, channels, 3, 1), ConvLayer(channels, channels, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x)))


class DeconvLayer(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_transpose = nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, 1)
        self.norm_layer = AFFINE(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm_layer(self.conv_transpose(x))


class RrminaTransformer(nn.Module):
    """rrmina's network: BGR 0..255 in and, unclamped, out."""

    def __init__(self, width: int, blocks: int = 5) -> None:
        super().__init__()
        start = [(3, width, 9, 1), (width, 2 * width, 3, 2), (2 * width, 4 * width, 3, 2)]
        self.ConvBlock = nn.Sequential(*(layer for shape in start for layer in (ConvLayer(*shape), nn.ReLU())))
        self.ResidualBlock = nn.Sequential(*(ResidualLayer(4 * width) for _ in range(blocks)))
        ups = [DeconvLayer(4 * width, 2 * width), nn.ReLU(), DeconvLayer(2 * width, width), nn.ReLU()]
        self.DeconvBlock = nn.Sequential(*ups, ConvLayer(width, 3, 9, 1, norm=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.DeconvBlock(self.ResidualBlock(self.ConvBlock(x)))


@torch.no_grad()
def tuned(network: nn.Module, picture: Tensor, spread: float = 0.4, middle: float = 0.0) -> nn.Module:
    """``network`` with random weights in which ``picture`` comes through.

    Args:
        spread, middle: deviation and mean, in the network's own numbers, of what comes out before the last function.
    """
    generator = torch.Generator().manual_seed(5)
    convs = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            smooth = torch.rand(*module.weight.shape[:2], 1, 1, generator=generator) - 0.5
            noise = 0.5 * (torch.rand(module.weight.shape, generator=generator) - 0.5)
            module.weight.copy_((smooth + noise) / module.weight[0].numel() ** 0.5)
            if module.bias is not None:
                module.bias.copy_(0.1 * (torch.rand(module.bias.shape, generator=generator) - 0.5))
        elif getattr(module, "weight", None) is not None:
            module.weight.copy_(0.7 + 0.6 * torch.rand(module.weight.shape, generator=generator))
            module.bias.copy_(0.4 * (torch.rand(module.bias.shape, generator=generator) - 0.5))
    for module in network.modules():  # batch norms learn the statistics of this picture, deeper ones behind those before
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    network.train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    last = convs[-1] if not isinstance(network, Unet) else network.model.model[3]
    seen: list[Tensor] = []
    handle = last.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    network(picture)
    handle.remove()
    (made,) = seen
    assert last.bias is not None
    factor = spread / made.std()
    last.weight *= factor
    last.bias.copy_((last.bias - made.mean()) * factor + middle)
    return network.eval()
