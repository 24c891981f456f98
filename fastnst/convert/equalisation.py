"""Channels rescaled so that none wastes the range of its map; what the network computes stays the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor

from fastnst.convert.arithmetic import behind, float_sums
from fastnst.convert.maps import Maps
from fastnst.convert.pair import Conv, Pair
from fastnst.reference.adain import calc_mean_std, renormalize

T = TypeVar("T")


BALANCE = 0.6
"""How much of the difference between channels moves from activations (0: nothing) into the following weights (1: all of it).
Measured with a published 16x pair on 24 test pairs: 0.25, 0.5, 0.6, 0.75, 1 give 38.3, 39.1, 39.3, 39.6, 39.4 dB on average,
and 31.6, 32.2, 32.4, 31.2, 30.7 dB for the worst pair."""


def float_adain(content: Tensor, style: Tensor) -> Tensor:
    return renormalize(content, *calc_mean_std(style))


def float_layer(x: Tensor, conv: Conv) -> Tensor:
    """One layer of the float network with its ReLU and pool."""
    return behind(float_sums(x, conv), conv)


def channel_peaks(maps: Iterable[Tensor]) -> Tensor:
    """What the values of each channel of ``maps`` [1, C, H, W] seldom exceed, root mean square over pictures: float64 [C]."""
    samples = (x[0].flatten(1)[:, :: x[0, 0].numel() // 4096 + 1] for x in maps)
    peaks = torch.stack([torch.quantile(sample.abs(), 0.999, 1) for sample in samples])
    return peaks.square().mean(0).sqrt().double()


def balancing_factors(peaks: Tensor, following: Conv) -> Tensor:
    """What to divide channels of these ``peaks`` [C] by, so that they share the trouble with the weights that read them."""
    return balanced(peaks, following.weight.abs().amax((0, 1, 3, 4)))


def balanced(peaks: Tensor, weights: Tensor, share: float = BALANCE) -> Tensor:
    """Factors [C], of mean logarithm 0, for channels of these ``peaks`` that are read by ``weights``, both at most so large;
    ``share`` as :data:`BALANCE`."""
    # A channel that is all but dead must not be blown up without limit.
    peaks, weights = (values.clamp(min=1e-3 * values.max().clamp(min=1e-30)) for values in (peaks, weights))
    factors = peaks**share / weights ** (1 - share)
    return factors / factors.log().mean().exp()


def paired(items: Sequence[T]) -> Iterator[tuple[T, T]]:
    """First half with second half: each content with its style."""
    half = len(items) // 2
    return zip(items[:half], items[half:], strict=True)


def equalise(pair: Pair, contents: Sequence[Tensor], styles: Sequence[Tensor]) -> Pair:
    """The same network with its hidden channels rescaled to need 8 bits more evenly.

    ReLU, pooling, upsampling and (but for its epsilon) AdaIN commute with a positive factor per channel, so dividing a layer's
    outputs and multiplying the weights that read them changes nothing but what rounding does.

    Args:
        contents, styles: pictures [1, 3, H, W], RGB 0..1, equally many.
    """
    count = len(pair.encoder)
    chain = equalise_chain([*pair.encoder, *pair.decoder], [*contents, *styles], adain_after=count)
    return replace(pair, encoder=chain[:count], decoder=chain[count:])


def equalise_chain(chain: Sequence[Conv], maps: Sequence[Tensor], adain_after: int | None = None) -> list[Conv]:
    """The same chain with its hidden channels rescaled; what goes in and what comes out stay as they are.

    Args:
        maps: inputs [1, C, H, W].
        adain_after: after so many layers each map of the first half takes on the statistics of its partner in the second.
    """
    seen = Maps(maps)
    balanced, before = [], torch.ones(chain[0].weight.shape[2], dtype=torch.float64)
    for i, (conv, following) in enumerate(pairwise(chain)):
        layer = partial(float_layer, conv=conv)
        if i + 1 == adain_after:
            seen.advance(layer)
            mixed = Maps([float_adain(content, style) for content, style in paired(seen)])
            peaks = channel_peaks([*seen, *mixed])  # the factors serve both sides of AdaIN
            seen = mixed
        elif i + 2 == len(chain):
            peaks = channel_peaks(layer(x) for x in seen)
        else:
            peaks = channel_peaks(seen.through(layer))
        after = balancing_factors(peaks, following)
        balanced.append(rescaled(conv, before, after))
        before = after
    return [*balanced, rescaled(chain[-1], before, torch.ones(chain[-1].weight.shape[1], dtype=torch.float64))]


def rescaled(conv: Conv, before: Tensor, after: Tensor) -> Conv:
    """``conv`` for inputs divided by ``before`` [I], with outputs divided by ``after`` [O]."""
    return replace(conv, weight=conv.weight * before[:, None, None] / after[:, None, None, None], bias=conv.bias / after)
