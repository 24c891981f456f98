"""Channels that are zero in every picture, taken out of a trained pair before it is quantised: less to compute, nothing lost.

What is dead is decided on the calibration pictures, in every way that a pair is used: stylizing, and rebuilding content and
style alone, between which ``alpha`` moves. A few dozen pictures without a channel do not prove that no other needs it: of one
of ours, 64 pictures left 59 channels silent that others need, and without these it was 1.7 dB worse. So a channel must stay
silent by a margin. ``fastnst train prune --target live`` does the same on a training set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from fastnst.convert.arithmetic import behind, float_sums
from fastnst.convert.equalisation import float_adain, paired
from fastnst.convert.maps import Maps
from fastnst.convert.pair import Conv, Pair

MARGIN = 4.0
"""Standard deviations, over pictures, between a dead channel's mean peak before the rectifier and zero."""


@torch.no_grad()
def without_dead(pair: Pair, contents: Sequence[Tensor], styles: Sequence[Tensor], share: float = 0.0) -> tuple[Pair, int]:
    """``pair`` without its dead channels, and how many these were. A layer keeps one channel at least.

    Args:
        contents, styles: pictures uint8 [1, 3, H, W], equally many.
        share: what never exceeds this share of its layer's largest value is as good as dead. Half a step of 8 bits, 0.002, took
            as many channels again from a pair of ours, 1.4 % of its time, and 0.8 dB.
    """
    chain: list[Conv] = []
    removed, meeting = 0, len(pair.encoder)
    kept, maps = torch.arange(3), Maps([picture.float() / 255 for picture in (*contents, *styles)])
    for i, whole in enumerate([*pair.encoder, *pair.decoder]):
        conv = replace(whole, weight=whole.weight[:, :, kept])
        if i == meeting:
            maps = Maps([*maps, *(float_adain(content, style) for content, style in paired(maps))])
        sums = partial(sums_of, kept=kept, conv=conv)
        if i + 2 < meeting + len(pair.decoder):
            kept = alive(maps.through(sums, partial(behind, conv=conv)), share)
        else:  # the picture's layer is not looked at, so nobody reads the maps before it
            kept = alive(map(sums, maps), share) if i + 1 < meeting + len(pair.decoder) else torch.arange(3)
        removed += len(conv.bias) - len(kept)
        chain.append(replace(conv, weight=conv.weight[:, kept], bias=conv.bias[kept]))
    cut = replace(pair, encoder=chain[:meeting], decoder=chain[meeting:])
    return replace(cut, parameters=pair.parameters - weights_of(pair) + weights_of(cut)), removed


def sums_of(x: Tensor, kept: Tensor, conv: Conv) -> Tensor:
    """The sums of ``conv``, which reads the channels ``kept`` of ``x``."""
    return float_sums(x if len(kept) == x.shape[1] else x[:, kept], conv)


def alive(sums: Iterable[Tensor], share: float) -> Tensor:
    """Indices of the channels whose ``sums`` [1, C, H, W], one for each picture, are not dead once they are rectified."""
    peaks = torch.stack([x[0].flatten(1).amax(1) for x in sums])
    spread, mean = torch.std_mean(peaks, 0, correction=0)
    highest = peaks.amax(0)
    silent = (highest <= 0) & (mean + MARGIN * spread <= 0)
    found = (~silent if share == 0 else highest > share * highest.amax()).nonzero().flatten()
    return found if len(found) else highest.argmax()[None]


def weights_of(pair: Pair) -> int:
    """Weights and biases of the convolutions as they were trained, 3x3 on upsampled maps too."""
    convs: list[Conv] = [*pair.encoder, *pair.decoder]
    return sum(conv.weight.shape[1] * (9 * conv.weight.shape[2] + 1) for conv in convs)
