"""The engine's model as a network that can be trained: whole numbers forward, as the engine computes them, real ones backward.

Maps and weights have 8 bits, sums 32; each layer rounds once, and so does AdaIN, from whole-number statistics. Gradients pass
through each rounding as if it were not there (Jacob et al., CVPR 2018).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from fastnst.convert.arithmetic import Grid, convolve, file_to_torch, pooled, simulate_adain, simulate_statistics, spread
from fastnst.convert.quantisation import prove_safe
from fastnst.modelfile import Layer, Model

STRETCH = 0.05
"""What makes one learning rate do for multipliers, whose logarithm is of the order of 1, and for weights, which go to 127."""


def whole(x: Tensor) -> Tensor:
    """``x`` rounded as the engine rounds; gradients pass as if it were not."""
    return x + (x.round() - x).detach()


class FakeLayer(nn.Module):
    """One layer of the engine's model."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        weight, bias, multiplier = (each.float() for each in file_to_torch(layer))
        self.layer = layer
        self.weight = nn.Parameter(weight)  # in steps of the layer's weight scales
        self.shift = nn.Parameter(torch.zeros_like(bias))  # of the bias, in steps of the output
        self.stretch = nn.Parameter(torch.zeros_like(multiplier))  # of the multiplier, as a logarithm, in STRETCH
        self.bias: Tensor
        self.multiplier: Tensor
        self.register_buffer("bias", bias)
        self.register_buffer("multiplier", multiplier)

    def numbers(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weights and biases as whole numbers, and multipliers, [P, O, ...]."""
        multiplier = self.multiplier * (STRETCH * self.stretch).exp()
        return whole(self.weight.clamp(-127, 127)), whole(self.bias + self.shift / multiplier.detach()), multiplier

    def forward(self, q: Tensor) -> Tensor:
        """uint8 values [N, I, H, W] in, uint8 values out, both as float32. Sums are exact below 2^24, and seldom above."""
        weight, bias, multiplier = self.numbers()
        sums = convolve(q, weight, bias, self.layer.upsample)
        out = whole(sums * spread(multiplier, self.layer.upsample, sums.shape)) + self.layer.zero
        return pooled(out.clamp(0, 255), self.layer.pool)

    def exported(self) -> Layer:
        """The layer as the file holds it.

        Raises:
            ValueError: it could overflow the engine's arithmetic.
        """
        stored = slice(None) if self.layer.upsample else 0
        weight, bias, multiplier = (each.detach()[stored].cpu().numpy() for each in self.numbers())
        weight = np.ascontiguousarray(np.moveaxis(weight, -3, -1).astype(np.int8))
        result = replace(self.layer, weights=weight, bias=bias.astype(np.int32), multiplier=multiplier)
        prove_safe(result)
        return result


class FakePair(nn.Module):
    """A whole AdaIN model."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.encoder = nn.Sequential(*(FakeLayer(layer) for layer in model.encoder))
        self.decoder = nn.Sequential(*(FakeLayer(layer) for layer in model.decoder))

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Pictures of uint8 values [N, 3, H, W] as float32, in and out; sides of whole strides."""
        model = self.model
        features, look = self.encoder(content), simulate_statistics(self.encoder(style), model.feature_scale)
        middle = Grid(model.decoder_scale, model.decoder_zero)
        picture: Tensor = self.decoder(whole(simulate_adain(features, look, model.feature_scale, middle)))
        return picture

    def exported(self) -> Model:
        """The model that the engine runs, byte for byte the network of ``forward``."""
        layers = [[each.exported() for each in part if isinstance(each, FakeLayer)] for part in (self.encoder, self.decoder)]
        return replace(self.model, encoder=layers[0], decoder=layers[1])
