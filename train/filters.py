"""Filter pruning: the channels to keep by the norm of their filters, and small encoders cut out of large ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastnst.networks.vgg import Encoder, layers_of

UNIT = 4.0
"""The largest weight of an input layer whose outputs are about 1 (255 / 64, for pixels as in Caffe)."""


def kept_channels(weight: Tensor, count: int, norm: int = 2) -> Tensor:
    """The ``count`` output channels of ``weight`` [O, I, k, k] with the largest L1 or L2 norm of weights, in their order."""
    largest: Tensor = weight.flatten(1).norm(norm, dim=1).topk(count).indices
    return largest.sort().values


@torch.no_grad()
def pruned_encoder(encoder: Encoder, widths: Sequence[int]) -> Encoder:
    """``encoder`` cut to ``widths``: filters with the largest L1 norm stay, biases with them (Li et al., ICLR 2017).

    The base models of Collaborative Distillation. Filters are ranked whole, before the cuts of their inputs; they keep their
    order, where the published files are sorted by norm, which is the same network. The unit of the input layer moves into
    conv1_1, whose weights would otherwise be so small that one step of Adam changes them altogether.

    Raises:
        ValueError: as many layers as no stage has, or a width above the present one.
    """
    small = Encoder(widths, encoder.ceil_pooling)
    unit = encoder.conv0.weight.abs().amax() / UNIT
    for own, original in zip(small.conv0.parameters(), encoder.conv0.parameters(), strict=True):
        own.copy_(original / unit)
    inputs, gain = torch.arange(3), unit
    for name, count in zip(layers_of(small.stage), widths, strict=True):
        full, cut = getattr(encoder, name), getattr(small, name)
        if count > full.out_channels:
            raise ValueError(f"{name}: cannot prune {full.out_channels} channels to {count}")
        kept = kept_channels(full.weight, count, norm=1)
        cut.weight.copy_(full.weight[kept][:, inputs] * gain)
        cut.bias.copy_(full.bias[kept])
        inputs, gain = kept, torch.ones(())
    return small
