"""The stages of WCT into 8 bits, from the deepest to the first, each on the pictures that the stages before it really make.

A stage is fitted to what its own float networks make of the same 8-bit picture, not to what the float cascade would make of
another one: whitening lets two cascades drift apart, and no rounding of weights could undo that. Whitening also makes the
weakest channels as strong as any. Each channel between encoder and decoder therefore has a grid of its own, which costs the
engine nothing: its matrix has to be scaled to these grids in any case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fastnst.convert.arithmetic import Grid, simulate_layer, simulate_look, simulate_wct, wct_transform
from fastnst.convert.equalisation import channel_peaks, equalise_chain, float_layer, rescaled
from fastnst.convert.maps import Maps
from fastnst.convert.pair import Conv
from fastnst.convert.quantisation import PIXEL, Ranges, quantise_chain
from fastnst.convert.stages import Stages
from fastnst.format.modelfile import Layer, Stage, WctFile

TAIL = 1e-4
"""Share of a channel's values, at either end, that its range at the decoder's input leaves out. What is clipped is lost, and
small ranges round better: 1e-3, 3e-4, 1e-4, 3e-5 and none give 41.6, 42.2, 42.1, 41.6 and 40.7 dB, averaged over levels 1 to 4
of the published small networks, and 33.5, 35.9, 37.7, 38.0 and 37.8 dB for the worst of six pairs. The range of least squared
error, as within the networks, gave 25 dB for the worst pair at level 1."""
SAMPLES = 8192
"""Positions per picture from which these ranges are taken."""
RECONSTRUCTIONS = 4
"""One in so many of the pictures that a decoder is fitted to is a plain reconstruction, alpha 0."""


def run_layers(picture: Tensor, layers: Sequence[Layer]) -> Tensor:
    for layer in layers:
        picture = simulate_layer(picture, layer)
    return picture


def units(pictures: Sequence[Tensor]) -> list[Tensor]:
    """8-bit pictures as the float networks take them, 0..1."""
    return [picture.float() / 255 for picture in pictures]


def float_map(x: Tensor, convs: Sequence[Conv]) -> Tensor:
    for conv in convs:
        x = float_layer(x, conv)
    return x


def quantise_encoder(convs: Sequence[Conv], pictures: Sequence[Tensor], ranges: Ranges) -> tuple[list[Layer], Tensor]:
    """The layers, and the real value of a step of each output channel, float64 [C]."""
    chain = equalise_chain(convs, units(pictures))
    peaks = channel_peaks(float_map(x, chain) for x in units(pictures))
    peaks = peaks.clamp(min=1e-3 * peaks.max())  # a channel that is all but dead must not be blown up without limit
    chain[-1] = rescaled(chain[-1], torch.ones(chain[-1].weight.shape[2], dtype=torch.float64), peaks)
    layers, grid = quantise_chain(chain, Maps(units(pictures)), Maps(pictures), Grid(PIXEL), ranges)
    return layers, peaks * grid.scale


def input_ranges(maps: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Where the values of each channel of real ``maps`` [1, C, H, W] begin, and how far they reach: float64 [C] each."""
    values = torch.cat([x[0].flatten(1)[:, :: x[0, 0].numel() // SAMPLES + 1] for x in maps], 1).numpy()
    low, high = (torch.from_numpy(np.quantile(values, share, 1)) for share in (TAIL, 1 - TAIL))  # torch's takes few values
    size = high - low
    return low, size.clamp(min=1e-3 * size.max().clamp(min=1e-6))


def shifted(conv: Conv, low: Tensor, size: Tensor) -> Conv:
    """``conv`` for inputs x given as (x - low) / size; exact, since borders repeat or reflect and hold no zeros."""
    bias = conv.bias + torch.einsum("oikl,i->o", conv.weight[0], low)
    return replace(conv, weight=conv.weight * size[:, None, None], bias=bias)


def alphas(count: int) -> list[float]:
    return [float(i % RECONSTRUCTIONS != 0) for i in range(count)]


def quantise_decoder(convs: Sequence[Conv], maps: Sequence[tuple[Tensor, Tensor]], stage: Stage, ranges: Ranges) -> Stage:
    """``stage`` with a decoder that undoes ``maps``, its encoder's 8-bit maps of contents and styles, whitened and coloured.

    The float decoder is given the very features that the 8-bit one is, before their last rounding: to learn to undo the noise
    that whitening brings along would be to learn to blur.
    """
    scale = torch.from_numpy(stage.feature_scale).double()
    transforms = [
        wct_transform(content, simulate_look(style, scale), scale, alpha)
        for (content, style), alpha in zip(maps, alphas(len(maps)), strict=True)
    ]
    contents = [content for content, _ in maps]

    def real() -> Iterator[Tensor]:
        """What the features become, in float64: made twice rather than held."""
        for q, move in zip(contents, transforms, strict=True):
            yield move(q * scale[:, None, None])

    low, size = input_ranges(real())
    inputs = [((x - low[:, None, None]) / size[:, None, None]).float() for x in real()]
    chain = equalise_chain([shifted(convs[0], low, size), *convs[1:]], inputs)
    taken = size * PIXEL  # bytes run from 0 to 1 on this scale, as those of pictures do
    stage = replace(
        stage, decoder_scale=taken.numpy().astype(np.float32), decoder_zero=(-low / taken).numpy().astype(np.float32)
    )
    rounded = [simulate_wct(q, move, stage).round().to(torch.uint8) for q, move in zip(contents, transforms, strict=True)]
    decoder, _ = quantise_chain(chain, Maps(inputs), Maps(rounded), Grid(PIXEL), ranges, last=Grid(PIXEL))
    return replace(stage, decoder=decoder)


@torch.no_grad()
def quantise_cascade(stages: Stages, contents: Sequence[Tensor], styles: Sequence[Tensor], ranges: Ranges = "mse") -> WctFile:
    """The engine's model of ``stages``, its card empty, fitted to pictures uint8 [1, 3, H, W] with sides of whole strides.

    Raises:
        ValueError: a layer could overflow the engine's arithmetic.
    """
    quantised: dict[int, Stage] = {}
    pictures = list(contents)
    for number, pair in sorted(stages.pairs.items(), reverse=True):
        seen = [*pictures, *styles, *(contents if quantised else [])]
        encoder, scale = quantise_encoder(pair.encoder, seen, ranges)
        given = scale.numpy().astype(np.float32)
        looks = [run_layers(style, encoder) for style in styles]
        maps = [(run_layers(picture, encoder), look) for picture, look in zip(pictures, looks, strict=True)]
        # A level may be run without those before it.
        alone = zip(contents[::2], looks[::2], strict=True) if quantised else ()
        fitted = [*maps, *((run_layers(content, encoder), look) for content, look in alone)]
        stage = quantise_decoder(pair.decoder, fitted, Stage(encoder, [], given, given, given), ranges)
        quantised[number] = stage
        pictures = [cascade_step(stage, *both) for both in maps]
    return WctFile({}, quantised)


def cascade_step(stage: Stage, content: Tensor, style: Tensor) -> Tensor:
    """The 8-bit picture that a stage makes of two 8-bit maps of its encoder."""
    scale = torch.from_numpy(stage.feature_scale).double()
    transform = wct_transform(content, simulate_look(style, scale), scale, 1.0)
    return run_layers(simulate_wct(content, transform, stage).round().to(torch.uint8), stage.decoder)
