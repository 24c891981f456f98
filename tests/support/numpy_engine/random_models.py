"""Random models of either kind, whose pictures vary with what goes in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastnst.format.modelfile import AdainFile, Layer, Stage, WctFile
from fastnst.format.winograd import centre

from .layers import Map, crossed, framed, renormalise, run_layer, slide, statistics
from .lcg import Lcg


def random_picture(lcg: Lcg, height: int, width: int) -> Map:
    """Noise over the whole range of bytes."""
    return lcg.integers(0, 256, (height, width, 3)).astype(np.uint8)


def random_layer(
    lcg: Lcg, probe: Map, outputs: int, kernel: int = 3, *, upsample: bool = False, pool: str = "none", zero: int = 0
) -> Layer:
    """A layer of random weights that passes on what it sees.

    Its sums over ``probe`` [H, W, I] are brought to the middle of the range and to its width; otherwise every picture would
    give the same output after a few layers, and comparing outputs would compare nothing. Whole numbers all the way, so that
    the layer is the same everywhere.
    """
    phases, taps = ((4,), 2) if upsample else ((), kernel)
    weights = lcg.integers(-127, 128, (*phases, outputs, taps, taps, probe.shape[2])).astype(np.int8)
    frame = probe if kernel == 1 else framed(probe, upsample)
    biases, multipliers = [], []
    for kernels in weights.reshape(-1, *weights.shape[-4:]):
        sums = slide(frame, kernels, np.zeros(outputs, np.int32)).astype(np.int64).reshape(-1, outputs)
        mean = sums.sum(0) // len(sums)
        usual = np.array([max(math.isqrt(int(square)), 16) for square in ((sums - mean) ** 2).sum(0) // len(sums)])
        biases.append((lcg.integers(32, 128, (outputs,)) - zero) * usual // 64 - mean)
        multipliers.append(lcg.integers(48, 80, (outputs,)).astype(np.float32) / usual.astype(np.float32))
    bias, multiplier = (np.stack(rows).reshape(*phases, outputs) for rows in (biases, multipliers))
    return Layer(weights, bias.astype(np.int32), multiplier, zero, upsample, pool)


def random_winograd_layer(
    lcg: Lcg, probe: Map, outputs: int, *, upsample: bool = False, pool: str = "none", zero: int = 0
) -> Layer:
    """The same of Winograd's form; most, but not all, of what becomes of ``probe`` passes unclamped."""
    shown = probe.repeat(2, 0).repeat(2, 1) if upsample else probe
    layer = random_layer(lcg, shown, outputs, pool=pool, zero=zero)
    rows = crossed(0, framed(probe, upsample).astype(np.int64), upsample)
    most = [max(int(np.abs(part).max()), 1) for row in rows for part in crossed(1, row, upsample)]
    limits = [255 if i == centre(upsample) else 127 for i in range(len(most))]
    scales = [min(32767, 32768 * limit * (9 + lcg.below(4)) // (10 * top)) for limit, top in zip(limits, most, strict=True)]
    side = math.isqrt(len(scales))
    return replace(layer, upsample=upsample, scales=np.array(scales, np.int16).reshape(side, side))


@dataclass(frozen=True)
class Shape:
    """What a layer is, before it has weights."""

    outputs: int
    kernel: int = 3
    resizes: bool = False
    ceil: bool = False
    zero: int = 0
    winograd: bool = False

    def layer(self, lcg: Lcg, probe: Map, *, upsample: bool = False, pool: str = "none") -> Layer:
        if self.winograd:
            return random_winograd_layer(lcg, probe, self.outputs, upsample=upsample, pool=pool, zero=self.zero)
        return random_layer(lcg, probe, self.outputs, self.kernel, upsample=upsample, pool=pool, zero=self.zero)


def model_of(lcg: Lcg, encoder: Sequence[Shape], decoder: Sequence[Shape]) -> AdainFile:
    """A random model of a given structure: encoder layers that resize pool, decoder layers that do upsample."""
    probe = random_picture(lcg, 24, 32)
    layers: list[Layer] = []
    for shape in encoder:
        pool = ("none", "floor", "ceil")[shape.resizes + (shape.resizes and shape.ceil)]
        layers.append(shape.layer(lcg, probe, pool=pool))
        probe = run_layer(probe, layers[-1])
    feature_scale, decoder_scale, zero = (1 + lcg.below(1000)) / 4096, 0.0, lcg.below(64)
    decoder_scale = feature_scale * (16 + lcg.below(16)) / 16
    model = AdainFile({"name": "random"}, layers, [], feature_scale, decoder_scale, zero)
    probe = renormalise(model, probe, *statistics(model, probe), alpha=0.0)
    tail: list[Layer] = []
    for shape in decoder:
        tail.append(shape.layer(lcg, probe, upsample=shape.resizes))
        probe = run_layer(probe, tail[-1])
    return AdainFile(model.card, layers, tail, feature_scale, decoder_scale, zero)


def random_model(lcg: Lcg, widest: int = 40, winograd: bool = False) -> AdainFile:
    """A model of random structure: up to three pools and as many upsamplings among layers of kernel 1 and 3.

    Args:
        winograd: give that form to all layers that can have it.
    """

    def shapes(count: int, encoder: bool) -> list[Shape]:
        places = list(range(count))
        resizing = {places.pop(lcg.below(len(places))) for _ in range(halvings)}
        drawn = [
            Shape(
                outputs=1 + lcg.below(widest) if encoder or i + 1 < count else 3,
                kernel=3 if i in resizing and not encoder else (1, 3, 3)[lcg.below(3)],
                resizes=i in resizing,
                ceil=lcg.below(2) == 1,
                zero=(0, 0, 0, 100, 255)[lcg.below(5)],
            )
            for i in range(count)
        ]
        inner = range(1, count) if encoder else range(count - 1)
        return [replace(shape, winograd=winograd and shape.kernel == 3 and i in inner) for i, shape in enumerate(drawn)]

    encoders, decoders = 1 + lcg.below(4), 1 + lcg.below(4)
    halvings = lcg.below(1 + min(3, encoders, decoders))
    return model_of(lcg, shapes(encoders, encoder=True), shapes(decoders, encoder=False))


def random_stage(lcg: Lcg, widest: int = 40) -> Stage:
    """The networks of a random AdaIN model with scales of their own for every channel."""
    model = random_model(lcg, widest)
    count = (model.encoder[-1].outputs,)

    def between(low: int, high: int) -> NDArray[np.float32]:
        return (lcg.integers(low, high, count) / 4096).astype(np.float32)

    return Stage(model.encoder, model.decoder, between(40, 400), between(40, 400), between(0, 4096 * 128))


def random_cascade(lcg: Lcg, widest: int = 40) -> WctFile:
    """A WCT model of one to three random stages."""
    numbers = {1 + lcg.below(5) for _ in range(3)}
    return WctFile({"name": "random", "kind": "wct"}, {number: random_stage(lcg, widest) for number in sorted(numbers)})


def stage_of(lcg: Lcg, channels: int, halvings: int = 1) -> Stage:
    """A stage with so many channels to whiten."""
    resizes = halvings == 1
    model = model_of(lcg, [Shape(7), Shape(channels, resizes=resizes)], [Shape(9, resizes=resizes), Shape(3)])
    arrays = [lcg.integers(*limits, (channels,)).astype(np.float32) for limits in ((40, 400), (40, 400), (0, 128))]
    return Stage(model.encoder, model.decoder, arrays[0] / 4096, arrays[1] / 4096, arrays[2])


def three_levels() -> WctFile:
    """Levels 4, 2 and 1, of 37, 16 and 20 channels, whose pictures vary with content and style."""
    lcg = Lcg(3)
    card = {"name": "three", "kind": "wct", "parameters": 12345, "macs_per_pixel": 678.9}
    return WctFile(card, {4: stage_of(lcg, 37), 2: stage_of(lcg, 16), 1: stage_of(lcg, 20, 0)})


def pair_like(seed: int, widths: Sequence[int] = (16, 16, 32, 20, 37, 48)) -> AdainFile:
    """An AdaIN-shaped model: a pool after layers 2, 4 and 5 of six, the decoder its mirror."""
    pools = (False, True, False, True, True, False)
    encoder = [Shape(width, resizes=pool, ceil=i == 4) for i, (width, pool) in enumerate(zip(widths, pools, strict=True))]
    decoder = [Shape(width, resizes=pool) for width, pool in zip((3, *widths[:-1]), pools, strict=True)]
    return model_of(Lcg(seed), encoder, decoder[::-1])
