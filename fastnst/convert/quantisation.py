"""Layer after layer into 8 bits, each fitted on the maps that the 8-bit layers before it really produce."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from fastnst.convert.arithmetic import (
    Grid,
    behind,
    float_sums,
    layer_bound,
    simulate_adain,
    simulate_layer,
    simulate_statistics,
    views,
)
from fastnst.convert.equalisation import equalise, float_adain, paired
from fastnst.convert.maps import Maps
from fastnst.convert.pair import Conv, Pair
from fastnst.format.modelfile import AdainFile, Layer
from fastnst.format.winograd import positions_of

Ranges = Literal["mse", "percentile"]
PIXEL = float(np.float32(1 / 255))


POSITIONS = 2000
"""Positions per picture and phase from which weights and biases are fitted; the bias then strays by well under one step."""
SAMPLES = 8192
"""Values per picture from which ranges are chosen."""
DAMPING = 0.01
"""Share of the mean input energy by which a fit is kept near the trained weights; 0.01 as in Frantar et al., ICLR 2023."""
ROUNDED_TOGETHER = 64
"""Weights after which the errors are handed on to all the rest, in one product of matrices."""
NOTHING_TO_FIT = (
    "the inputs of a layer hardly vary in any calibration picture: the network is all but dead, and nothing can be fitted"
)
SHRINKS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6)
"""Weight ranges to try, relative to the largest weight."""


def grid_of(low: float, high: float) -> Grid:
    """The grid that covers ``low`` <= 0 to ``high`` > 0 and holds 0 exactly."""
    scale = float(np.float32((high - low) / 255))
    return Grid(scale, int(np.clip(round(-low / scale), 0, 255)))


class Range:
    """The least, the largest and some of the values of maps, from which the grid of all of them is chosen."""

    def __init__(self) -> None:
        self.low, self.high = 0.0, 1e-6
        self.values: list[Tensor] = []

    def add(self, x: Tensor) -> None:
        """Count the map ``x`` [1, C, H, W] in."""
        self.low, self.high = min(self.low, x.min().item()), max(self.high, x.max().item())
        self.values.append(x.flatten()[torch.linspace(0, x.numel() - 1, SAMPLES).long()])

    def best(self, relu: bool, ranges: Ranges) -> Grid:
        """The 8-bit grid for the values, after a ReLU if ``relu``.

        ``mse`` takes, among many shrinkings of the whole range, the one with the least squared error relative to each picture's
        energy, averaged over pictures. Without the division a single picture with a few huge values would set the range:
        measured on a pair of our own, 28.5 dB instead of 35.8. ``percentile`` leaves out one value in 10,000 at each end.
        """
        values, low, high = torch.stack(self.values), self.low, self.high
        if relu:
            values, low = values.clamp(min=0), 0.0
        if ranges == "percentile":
            ends = np.quantile(values.numpy(), (1e-4, 1 - 1e-4))
            return grid_of(min(0.0, float(ends[0])), max(1e-6, float(ends[1])))
        energy = (values - (0.0 if relu else values.mean(1, keepdim=True))).square().mean(1) + 1e-12 * high**2

        def loss(grid: Grid) -> float:
            q = (values / grid.scale).round_().add_(grid.zero).clamp_(0, 255)
            return (grid.real(q).sub_(values).square_().mean(1) / energy).mean().item()

        shrinks = np.geomspace(0.01, 1, 40 if low == 0 else 24)
        return min((grid_of(a * low, b * high) for a in (shrinks if low < 0 else [1.0]) for b in shrinks), key=loss)


def best_grid(maps: Iterable[Tensor], relu: bool, ranges: Ranges) -> Grid:
    """The 8-bit grid for the values of ``maps`` [1, C, H, W]; see :meth:`Range.best`."""
    seen = Range()
    for x in maps:
        seen.add(x)
    return seen.best(relu, ranges)


class Moments:
    """Means and covariances of a phase's real inputs x [K], and of them with the float network's sums y [O].

    Or, of a depthwise convolution, those of each channel: x [C, K] and y [C, 1].
    """

    def __init__(self) -> None:
        self.count = 0
        self.x: Tensor = torch.zeros(())
        self.y: Tensor = torch.zeros(())
        self.xx: Tensor = torch.zeros(())
        self.xy: Tensor = torch.zeros(())

    def add(self, x: Tensor, y: Tensor) -> None:
        """Count ``x`` [..., K, n] and ``y`` [..., O, n] in."""
        # In float64 from the start: what is left of a sum of squares once the mean is taken off may be a millionth of it.
        x, y = x.double(), y.double()
        self.count += x.shape[-1]
        self.x, self.y = self.x + x.sum(-1), self.y + y.sum(-1)
        self.xx, self.xy = self.xx + x @ x.mT, self.xy + x @ y.mT

    def means(self) -> tuple[Tensor, Tensor]:
        return self.x / self.count, self.y / self.count

    def covariances(self) -> tuple[Tensor, Tensor]:
        x, y = self.means()
        return self.xx / self.count - x[..., None] * x[..., None, :], self.xy / self.count - x[..., None] * y[..., None, :]


def windows(view: Tensor, kernel: int, step: int) -> Tensor:
    """Every ``step``-th of the places of ``view`` [1, I, H, W] over which a kernel slides: [I x kernel x kernel, n]."""
    width = view.shape[3] - kernel + 1
    places, taps = torch.arange(0, (view.shape[2] - kernel + 1) * width, step), torch.arange(kernel)
    rows, columns = places // width + taps[:, None, None], places % width + taps[:, None]
    return view[0][:, rows, columns].flatten(0, 2)


class Fit:
    """What a layer is fitted to, counted picture by picture: the moments of every phase over samples."""

    def __init__(self, conv: Conv, inputs: Grid) -> None:
        self.conv, self.inputs = conv, inputs
        self.moments = [Moments() for _ in conv.weight]

    def add(self, q: Tensor, y: Tensor) -> None:
        """Count in what the 8-bit network reads of a picture, ``q`` [1, I, h, w], and the float network's sums ``y``."""
        upsample, kernel = self.conv.upsample, self.conv.weight.shape[-1]
        parts = [y[..., p // 2 :: 2, p % 2 :: 2] for p in range(4)] if upsample else [y]
        for moments, view, part in zip(self.moments, views(q.float(), kernel, upsample), parts, strict=True):
            step = part[0, 0].numel() // POSITIONS | 1  # odd, so that all columns of the picture are met
            moments.add(self.inputs.real(windows(view, kernel, step)), part[0].flatten(1)[:, ::step])

    def layer(self, outputs: Grid) -> Layer:
        """The layer that writes 8-bit maps of grid ``outputs``; ValueError if it could overflow the engine's arithmetic."""
        return quantise_layer(self.conv, self.moments, self.inputs, outputs)


def ridge(xx: Tensor) -> Tensor:
    """What is added to covariances [..., K, K] so that they can be inverted."""
    size = (DAMPING * xx.diagonal(dim1=-2, dim2=-1).mean(-1)).clamp(min=1e-12)
    return size[..., None, None] * torch.eye(xx.shape[-1], dtype=xx.dtype)


def refit(weight: Tensor, xx: Tensor, xy: Tensor) -> Tensor:
    """``weight`` [..., O, K] moved to where the quantised inputs predict the float network's sums best (ridge regression)."""
    fitted: Tensor
    fitted, failed = torch.linalg.solve_ex(xx + ridge(xx), xy + ridge(xx) @ weight.mT)
    require_regular(failed)
    return fitted.mT


def require_regular(failed: Tensor) -> None:
    """Raise ValueError if a factorization ``failed``: anything but zeros."""
    if failed.any():
        raise ValueError(NOTHING_TO_FIT)


def cholesky(matrix: Tensor, upper: bool = False) -> Tensor:
    """The factor of ``matrix`` [..., K, K]; ValueError, one line, if it has none."""
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(matrix, upper=upper)
    require_regular(failed)
    return factor


def feedback(xx: Tensor) -> Tensor:
    """Upper triangle [..., K, K]: how later weights make up for the rounding of earlier ones (Frantar et al., 2023)."""
    return cholesky(torch.cholesky_inverse(cholesky(xx + ridge(xx))), upper=True)


def round_weights(weight: Tensor, scale: Tensor, upper: Tensor) -> Tensor:
    """``weight`` [O, K] in whole steps of ``scale`` [O], -127..127, each error handed on to the weights still to come.

    Args:
        upper: [K, K], or for at most :data:`ROUNDED_TOGETHER` weights one for each output [O, K, K].
    """
    left, q = weight.clone(), torch.zeros_like(weight)
    for begin in range(0, weight.shape[1], ROUNDED_TOGETHER):
        end = min(begin + ROUNDED_TOGETHER, weight.shape[1])
        errors = torch.zeros_like(left[:, begin:end])
        for k in range(begin, end):
            q[:, k] = (left[:, k] / scale).round().clamp(-127, 127)
            errors[:, k - begin] = error = (left[:, k] - q[:, k] * scale) / upper[..., k, k]
            left[:, k:end] -= error[:, None] * upper[..., k, k:end]
        if end < weight.shape[1]:
            left[:, end:] -= errors @ upper[begin:end, end:]
    return q


def quantise_weights(weights: Sequence[Tensor], least: Tensor, xxs: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
    """8-bit weights [O, K] and their scales [O], no scale below ``least``: the best range of :data:`SHRINKS` per output.

    Args:
        weights: several parts of each output's weights, which share its scale.
        xxs: covariances of what each part weighs, [K, K] or [O, K, K].
    """
    uppers = [feedback(xx) for xx in xxs]
    top = torch.stack([weight.abs().amax(1) for weight in weights]).amax(0) / 127
    best_error = torch.full_like(top, torch.inf)
    best_q, best_scale = [torch.zeros_like(weight) for weight in weights], top
    for shrink in SHRINKS:
        scale = torch.maximum(top * shrink, least)
        qs = [round_weights(weight, scale, upper) for weight, upper in zip(weights, uppers, strict=True)]
        error = torch.zeros_like(top)
        for q, weight, xx in zip(qs, weights, xxs, strict=True):
            rest = q * scale[:, None] - weight
            spent = rest @ xx if xx.ndim == 2 else (rest[:, None] @ xx)[:, 0]
            error += (spent * rest).sum(1)
        better = error < best_error
        best_error = torch.where(better, error, best_error)
        best_scale = torch.where(better, scale, best_scale)
        best_q = [torch.where(better[:, None], q, before) for q, before in zip(qs, best_q, strict=True)]
    return best_q, best_scale


def quantise_layer(conv: Conv, moments: Sequence[Moments], inputs: Grid, outputs: Grid) -> Layer:
    """``conv`` from 8-bit maps of grid ``inputs`` to 8-bit maps of grid ``outputs``.

    Raises:
        ValueError: the layer could overflow the engine's arithmetic.
    """
    weights, biases, multipliers = [], [], []
    for kernel, seen in zip(conv.weight, moments, strict=True):
        (mean_x, mean_y), (xx, xy) = seen.means(), seen.covariances()
        # Weights too small for these scales change no output by half a step; a bias in smaller units could leave 32 bits.
        least = torch.maximum(mean_y.abs() / (inputs.scale * 2**30), torch.tensor(outputs.scale / inputs.scale * 2**-30))
        (q,), scale = quantise_weights([refit(kernel.flatten(1), xx, xy)], least, [xx])
        unit = inputs.scale * scale
        bias = mean_y - (q * scale[:, None]) @ mean_x  # equal means: the bias correction
        biases.append((bias / unit - inputs.zero * q.sum(1)).round())
        weights.append(q.reshape(kernel.shape).permute(0, 2, 3, 1))
        multipliers.append(unit / outputs.scale)
    stored = slice(None) if conv.upsample else 0
    w, b, m = (torch.stack(parts)[stored].numpy() for parts in (weights, biases, multipliers))
    if np.abs(b).max() >= 2**31:
        raise ValueError("a bias does not fit 32 bits")
    arrays = w.astype(np.int8), b.astype(np.int32), m.astype(np.float32)
    layer = Layer(*arrays, outputs.zero, conv.upsample, conv.pool)
    prove_safe(layer)
    return layer


def prove_safe(layer: Layer) -> None:
    """Raise ValueError if some picture could overflow the engine's sums, or what they become; the engine would refuse it."""
    if layer.scales is None:
        bound, multiplier = layer_bound(layer), np.atleast_2d(layer.multiplier)
    else:
        numbers = positions_of(layer)
        bound = 255.0 * np.abs(numbers.weights.astype(np.float64)).sum(2) + np.abs(numbers.start)
        multiplier = numbers.multiplier
    if bound.max() >= 2**31:
        raise ValueError("weights that could overflow the 32-bit accumulator")
    products = bound * multiplier
    if (products if layer.scales is None else products.sum(0)).max() >= 2**30:
        raise ValueError("a multiplier that could overflow the output")


class Choose(Protocol):
    """Decides the form of one layer after another."""

    def begin(self, conv: Conv, inputs: Grid) -> None:
        """The next layer is ``conv``, which reads maps of grid ``inputs``."""

    def add(self, q: Tensor, y: Tensor) -> None:
        """As :meth:`Fit.add`, of every picture."""

    def choose(self, direct: Layer, qs: Maps, reals: Maps, outputs: Grid) -> Layer:
        """The layer in the form that it shall have.

        Args:
            direct: as it is when direct.
            qs: the 8-bit maps that it reads.
            reals: what the float network makes of the layer, ReLU and pool included.
            outputs: the grid of what it writes.
        """


def quantise_chain(
    convs: Sequence[Conv],
    reals: Maps,
    qs: Maps,
    grid: Grid,
    ranges: Ranges,
    last: Grid | None = None,
    choose: Choose | None = None,
) -> tuple[list[Layer], Grid]:
    """Quantise layer after layer, taking the maps along; returns the layers and the grid of their output.

    Args:
        reals, qs: what the float network and the 8-bit one have made of every picture so far.
        grid: of ``qs``.
        last: the grid that the last layer must write, if it may not be chosen; its own maps are then left out, nobody reads a
            picture further.
        choose: the layers' forms; without it all are direct.
    """
    layers = []
    for i, conv in enumerate(convs):
        fixed = last if i + 1 == len(convs) else None
        fit, values = Fit(conv, grid), Range()
        if choose:
            choose.begin(conv, grid)
        for q, y in zip(qs, reals.through(partial(float_sums, conv=conv), partial(behind, conv=conv)), strict=True):
            fit.add(q, y)
            values.add(y)
            if choose:
                choose.add(q, y)
        output = fixed or values.best(conv.relu, ranges)
        direct = fit.layer(output)
        layers.append(choose.choose(direct, qs, reals, output) if choose else direct)
        if not fixed:
            qs.advance(partial(simulate_layer, layer=layers[-1]))
        grid = output
    return layers, grid


@torch.no_grad()
def quantise(
    pair: Pair,
    contents: Sequence[Tensor],
    styles: Sequence[Tensor],
    ranges: Ranges = "mse",
    choose: Choose | None = None,
) -> AdainFile:
    """The engine's model of ``pair``, its card empty, fitted to pictures uint8 [1, 3, H, W] with sides of whole strides."""
    pictures = [*contents, *styles]
    unit = [picture.float() / 255 for picture in pictures]
    pair = equalise(pair, unit[: len(contents)], unit[len(contents) :])
    reals, qs = Maps(unit), Maps(pictures)
    del unit  # as large as any layer's maps, and soon replaced
    encoder, features = quantise_chain(pair.encoder, reals, qs, Grid(PIXEL), ranges, choose=choose)
    mixed = Maps([float_adain(content, style) for content, style in paired(reals)])
    middle = best_grid(mixed, False, ranges)
    looks = ((q, simulate_statistics(style, features.scale)) for q, style in paired(qs))
    stylised = Maps([simulate_adain(q, look, features.scale, middle).round().to(torch.uint8) for q, look in looks])
    decoder, _ = quantise_chain(pair.decoder, mixed, stylised, middle, ranges, last=Grid(PIXEL), choose=choose)
    return AdainFile({}, encoder, decoder, features.scale, middle.scale, middle.zero)
