"""A layer in Winograd's form beside the direct one, and the choice between them; reports of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fastnst.convert.arithmetic import Grid, framed, pooled, simulate_layer
from fastnst.convert.forms import Choice, LayerReport
from fastnst.convert.pair import Conv, kernel_of
from fastnst.convert.quantisation import Stream, gather, prove_safe, quantise_layer
from fastnst.convert.winograd import choose_scales, winograd_sums
from fastnst.modelfile import Layer

NEARLY_DEAD = 2
"""Steps beyond which a channel is alive."""


def quantise_winograd(
    conv: Conv, streams: Sequence[Stream], sums: Sequence[Tensor], inputs: Grid, outputs: Grid, direct: Layer
) -> Layer:
    """``conv`` in Winograd's form, with the 3x3 weights of ``direct`` where it has them, and a bias of its own."""
    layer = direct
    if conv.upsample:
        whole = replace(conv, weight=kernel_of(conv.weight)[None], upsample=False)
        large = [Stream(stream.real, F.interpolate(stream.q.float(), scale_factor=2)) for stream in streams]
        layer = replace(quantise_layer(whole, gather(large, sums, whole, inputs), inputs, outputs), upsample=True)
    frames = [framed(stream.q.float(), conv.upsample) for stream in streams]
    layer = replace(layer, scales=choose_scales(frames, conv.upsample))
    missing = [(y / outputs.scale - winograd_sums(frame, layer)).mean((0, 2, 3)) for frame, y in zip(frames, sums, strict=True)]
    bias = layer.bias + np.rint(torch.stack(missing).mean(0).double().numpy() / layer.multiplier)
    if np.abs(bias).max() >= 2**31:
        raise ValueError("a bias does not fit 32 bits")
    layer = replace(layer, bias=bias.astype(np.int32))
    prove_safe(layer)
    return layer


def decibels(maps: Sequence[Tensor], real: Sequence[Tensor], grid: Grid) -> float:
    """Signal to noise of 8-bit ``maps``, the mean over pictures of their noise; of constant pictures nothing is counted."""
    noise = []
    for q, x in zip(maps, real, strict=True):
        signal = (x - x.mean((2, 3), keepdim=True)).square().mean()
        if signal > 0:
            noise.append(((grid.real(q.float()) - x).square().mean() / signal).item())
    return -10 * float(np.log10(max(float(np.mean(noise)), 1e-30))) if noise else float("inf")


@dataclass
class Chooser:
    """A :data:`~fastnst.convert.quantisation.Choose` by a :class:`Choice` for every layer, with notes of what became of it."""

    choices: Iterator[Choice]
    reports: list[LayerReport]

    def __call__(
        self, conv: Conv, streams: Sequence[Stream], sums: Sequence[Tensor], grids: tuple[Grid, Grid], direct: Layer
    ) -> Layer:
        choice, wanted = next(self.choices), direct
        real = [pooled(F.relu(y) if conv.relu else y, conv.pool) for y in sums]
        maps = [simulate_layer(stream.q, direct) for stream in streams]
        level, other = decibels(maps, real, grids[1]), None
        if choice.wanted:
            tried = quantise_winograd(conv, streams, sums, *grids, direct)
            tried_maps = [simulate_layer(stream.q, tried) for stream in streams]
            other = decibels(tried_maps, real, grids[1])
            if level - other <= choice.limit:
                wanted, maps = tried, tried_maps
        peaks = torch.stack([q[0].flatten(1).amax(1) for q in maps]).amax(0)
        counts = [int((peaks <= top).sum()) if conv.relu else 0 for top in (0, NEARLY_DEAD)]
        self.reports.append(LayerReport(wanted, choice.seconds, (level, other), counts[0], counts[1] - counts[0]))
        return wanted
