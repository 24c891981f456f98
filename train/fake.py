"""The engine's model as a network that can be trained: the forward pass computes the engine's integers.

Maps and weights have 8 bits, sums 32. Each layer rounds once, and so does AdaIN, whose statistics are sums of integers.
Gradients ignore the roundings (straight-through estimators; Jacob et al., CVPR 2018).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fastnst.convert.arithmetic import (
    Grid,
    convolve,
    file_to_torch,
    framed,
    per_phase,
    phases,
    pooled,
    simulate_adain,
    simulate_statistics,
)
from fastnst.convert.quantisation import prove_safe
from fastnst.convert.winograd import limits, outputs_of, squeezed, windows_of
from fastnst.format.modelfile import AdainFile, Layer
from fastnst.format.winograd import KERNEL, UNIT, centre, halves

STRETCH = 0.05
"""Scales the logarithms of multipliers, which are about 1, so that one learning rate fits them and weights of up to 127."""


def whole(x: Tensor) -> Tensor:
    """``x`` rounded as the engine rounds; the gradient is that of ``x``."""
    return x + (x.round() - x).detach()


def straight(real: Tensor, exact: Tensor) -> Tensor:
    """``exact``, which are rounded values of ``real``; gradients go to ``real``."""
    return real + (exact.to(real) - real).detach()


def nearest(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Quotients of whole numbers rounded as :func:`fastnst.format.winograd.nearest` rounds them."""
    size, half = numerator.detach().long().abs(), denominator.detach().long()
    return numerator.detach().sign().long() * torch.div(2 * size + half, 2 * half, rounding_mode="floor")


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
        """Maps [N, I, H, W] to maps, uint8 values as float32. Sums are exact below 2^24, and seldom exceed that."""
        weight, bias, multiplier = self.numbers()
        sums = convolve(q, weight, bias, self.layer.upsample)
        scaled = phases(sums, self.layer.upsample) * per_phase(multiplier, self.layer.upsample)
        out = whole(scaled.reshape(sums.shape)) + self.layer.zero
        return pooled(out.clamp(0, 255), self.layer.pool)

    def exported(self) -> Layer:
        """The layer for a model file.

        Raises:
            ValueError: it could overflow the engine's arithmetic.
        """
        stored = slice(None) if self.layer.upsample else 0
        weight, bias, multiplier = (each.detach()[stored].cpu().numpy() for each in self.numbers())
        weight = np.ascontiguousarray(np.moveaxis(weight, -3, -1).astype(np.int8))
        result = replace(self.layer, weights=weight, bias=bias.astype(np.int32), multiplier=multiplier)
        prove_safe(result)
        return result


class Squeeze(torch.autograd.Function):
    """Positions of windows in 8 bits. Gradients reach windows and scales where values were not clamped."""

    @staticmethod
    def forward(ctx: Any, windows: Tensor, scales: Tensor, upsample: bool) -> Tensor:
        u = squeezed(windows, scales.long(), upsample)
        ctx.save_for_backward(u, scales)
        ctx.upsample = upsample
        return u

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        u, scales = ctx.saved_tensors
        low, high = (limit.to(u).view(-1, 1, 1, 1, 1) for limit in limits(ctx.upsample))
        # Values of the centre are never negative, so its 0 was not clamped.
        passed = gradients[0] * ((u < high) & ((u > low) | (low == 0)))
        to_scales = (passed * u).sum((1, 2, 3, 4)) / scales
        return passed * (scales / UNIT).view(-1, 1, 1, 1, 1), to_scales, None


class FakeWinograd(nn.Module):
    """One layer in Winograd form (:mod:`fastnst.format.winograd`); the scales of its positions are trained as well."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        assert layer.scales is not None
        self.layer = layer
        self.weight = nn.Parameter(torch.from_numpy(layer.weights).float())  # [O, 3, 3, I]
        self.shift = nn.Parameter(torch.zeros(layer.outputs))
        self.stretch = nn.Parameter(torch.zeros(layer.outputs))
        self.gain = nn.Parameter(torch.zeros(layer.scales.size))  # of the scales, as a logarithm, in STRETCH
        self.bias: Tensor
        self.multiplier: Tensor
        self.scales: Tensor
        self.register_buffer("bias", torch.from_numpy(layer.bias).float())
        self.register_buffer("multiplier", torch.from_numpy(layer.multiplier))
        self.register_buffer("scales", torch.from_numpy(layer.scales.reshape(-1)).float())

    def numbers(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights, biases and scales as whole numbers, and multipliers."""
        multiplier = self.multiplier * (STRETCH * self.stretch).exp()
        scales = whole((self.scales * (STRETCH * self.gain).exp()).clamp(1, UNIT - 1))
        return whole(self.weight.clamp(-127, 127)), whole(self.bias + self.shift / multiplier.detach()), scales, multiplier

    def forward(self, q: Tensor) -> Tensor:
        """Maps [N, I, H, W] to maps, uint8 values as float32."""
        upsample, (kernel, bias, scales, multiplier) = self.layer.upsample, self.numbers()
        take = torch.tensor(KERNEL[upsample], dtype=torch.float32, device=q.device)
        taken = torch.einsum("yi,xj,oijc->yxoc", take, take, kernel).flatten(0, 1)
        most = taken.detach().abs().amax(2).clamp(min=127)  # [P, O]
        weights = straight(127 * taken / most[..., None], nearest(127 * taken, most[..., None]))
        shrunk = 127 * torch.from_numpy(halves(upsample)).to(q.device)[:, None] * scales.double()[:, None]
        factors = ((multiplier.double() * (UNIT * most.double())) / shrunk).float()
        middle = centre(upsample)
        numerator, denominator = bias.double() * shrunk[middle], UNIT * most[middle].double()
        start = straight(numerator / denominator, nearest(numerator, denominator))
        u: Tensor = Squeeze.apply(windows_of(framed(q, upsample), upsample), scales, upsample)  # type: ignore[no-untyped-call]
        products = []
        for p, own in enumerate(u):
            sums = torch.einsum("oi,nihw->nohw", weights[p], own)  # exact below 2^24
            if p == middle:
                sums = (sums.double() + start[:, None, None]).float()
            products.append(sums * factors[p][:, None, None])
        grown = 2 if upsample else 1
        out = outputs_of(torch.stack(products), upsample, grown * q.shape[2], grown * q.shape[3])
        return pooled((whole(out) + self.layer.zero).clamp(0, 255), self.layer.pool)

    def exported(self) -> Layer:
        """The layer for a model file; raises as :class:`FakeLayer`."""
        weight, bias, scales, multiplier = (each.detach().cpu().numpy() for each in self.numbers())
        assert self.layer.scales is not None
        result = replace(
            self.layer,
            weights=weight.astype(np.int8),
            bias=bias.astype(np.int32),
            multiplier=multiplier,
            scales=scales.astype(np.int16).reshape(self.layer.scales.shape),
        )
        prove_safe(result)
        return result


def fake_layer(layer: Layer) -> FakeLayer | FakeWinograd:
    """The layer as a network, direct or in Winograd form."""
    return FakeLayer(layer) if layer.scales is None else FakeWinograd(layer)


class FakePair(nn.Module):
    """A whole AdaIN model."""

    def __init__(self, model: AdainFile) -> None:
        super().__init__()
        self.model = model
        self.encoder = nn.Sequential(*map(fake_layer, model.encoder))
        self.decoder = nn.Sequential(*map(fake_layer, model.decoder))

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] to pictures, uint8 values as float32; sides must be multiples of the stride."""
        model = self.model
        features, look = self.encoder(content), simulate_statistics(self.encoder(style), model.feature_scale)
        middle = Grid(model.decoder_scale, model.decoder_zero)
        picture: Tensor = self.decoder(whole(simulate_adain(features, look, model.feature_scale, middle)))
        return picture

    def exported(self) -> AdainFile:
        """The model file whose pictures the engine computes as ``forward`` does, byte for byte."""
        kinds = FakeLayer, FakeWinograd
        layers = [[each.exported() for each in part if isinstance(each, kinds)] for part in (self.encoder, self.decoder)]
        return replace(self.model, encoder=layers[0], decoder=layers[1])
