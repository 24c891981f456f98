"""A layer in Winograd form beside the direct one, and the choice between them; reports of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.convert.arithmetic import Grid, framed, simulate_layer
from fastnst.convert.forms import Choice, LayerReport
from fastnst.convert.maps import Maps
from fastnst.convert.pair import Conv, kernel_of
from fastnst.convert.quantisation import Fit, prove_safe
from fastnst.convert.winograd import choose_scales, winograd_sums
from fastnst.format.modelfile import Layer

NEARLY_DEAD = 2
"""Steps beyond which a channel is alive."""


class WinogradFit:
    """What the Winograd form of a layer is fitted to: the 3x3 weights of the direct form where it has them, and means."""

    def __init__(self, conv: Conv, inputs: Grid) -> None:
        self.whole: Fit | None = None
        if conv.upsample:
            self.whole = Fit(replace(conv, weight=kernel_of(conv.weight)[None], upsample=False), inputs)
        self.means: list[Tensor] = []

    def add(self, q: Tensor, y: Tensor) -> None:
        """As :meth:`~fastnst.convert.quantisation.Fit.add`."""
        if self.whole:
            self.whole.add(F.interpolate(q.float(), scale_factor=2), y)
        self.means.append(y.mean((0, 2, 3)))

    def layer(self, direct: Layer, qs: Maps, outputs: Grid) -> Layer:
        """The layer ``direct`` in the other form, with a bias of its own."""
        layer = replace(self.whole.layer(outputs), upsample=True) if self.whole else direct
        upsample = layer.upsample
        layer = replace(layer, scales=choose_scales((framed(q.float(), upsample) for q in qs), upsample))
        missing = [
            mean / outputs.scale - winograd_sums(framed(q.float(), upsample), layer).mean((0, 2, 3))
            for q, mean in zip(qs, self.means, strict=True)
        ]
        bias = layer.bias + np.rint(torch.stack(missing).mean(0).double().numpy() / layer.multiplier)
        if np.abs(bias).max() >= 2**31:
            raise ValueError("a bias does not fit 32 bits")
        layer = replace(layer, bias=bias.astype(np.int32))
        prove_safe(layer)
        return layer


class Beside:
    """What a layer writes beside what the float network makes of it, counted picture by picture."""

    def __init__(self, layer: Layer, qs: Maps, reals: Maps, grid: Grid) -> None:
        noise, peaks = [], []
        for q, x in zip(qs, reals, strict=True):
            made = simulate_layer(q, layer)
            signal = (x - x.mean((2, 3), keepdim=True)).square().mean()
            if signal > 0:  # of constant pictures nothing is counted
                noise.append(((grid.real(made.float()) - x).square().mean() / signal).item())
            peaks.append(made[0].flatten(1).amax(1))
        self.peaks = torch.stack(peaks).amax(0)
        self.decibels = -10 * float(np.log10(max(float(np.mean(noise)), 1e-30))) if noise else float("inf")
        """Signal to noise, the mean over pictures of their noise."""


class Chooser:
    """A :class:`~fastnst.convert.quantisation.Choose` by a :class:`Choice` for every layer.

    Args:
        choices: of the layers in their order.
        reports: takes notes of what becomes of them. Without it no more is measured than the choices need.
    """

    def __init__(self, choices: Iterator[Choice], reports: list[LayerReport] | None = None) -> None:
        self.choices, self.reports = choices, reports

    def begin(self, conv: Conv, inputs: Grid) -> None:
        self.conv, self.choice = conv, next(self.choices)
        self.other = WinogradFit(conv, inputs) if self.choice.wanted else None

    def add(self, q: Tensor, y: Tensor) -> None:
        if self.other:
            self.other.add(q, y)

    def choose(self, direct: Layer, qs: Maps, reals: Maps, outputs: Grid) -> Layer:
        tried = self.other.layer(direct, qs, outputs) if self.other else None
        if self.reports is None and (tried is None or self.choice.limit == np.inf):
            return tried or direct
        plain = Beside(direct, qs, reals, outputs)
        winograd = Beside(tried, qs, reals, outputs) if tried else None
        if tried and winograd and plain.decibels - winograd.decibels <= self.choice.limit:
            wanted, made = tried, winograd
        else:
            wanted, made = direct, plain
        if self.reports is not None:
            counts = [int((made.peaks <= top).sum()) if self.conv.relu else 0 for top in (0, NEARLY_DEAD)]
            levels = plain.decibels, winograd.decibels if winograd else None
            self.reports.append(LayerReport(wanted, self.choice.seconds, levels, counts[0], counts[1] - counts[0]))
        return wanted
