"""Trained AdaIN pair in, engine model out: 8-bit quantisation with a folder of pictures as calibration.

The float network is first rewritten without changing what it computes: ``conv0`` is folded into ``conv1_1``, each convolution
that follows an upsampling becomes the four phase convolutions of :mod:`fastnst.modelfile`, and channels are rescaled so that no
channel wastes the range of its map (:func:`equalise`; Nagel et al., ICCV 2019; the balance of Xiao et al., ICML 2023).

Then every layer is quantised front to back, on the maps that the quantised layers before it really produce: the range of its
output with the least squared error, and weights and bias that bring its sums closest to the float network's
(:func:`quantise_layer`). Fitting the bias is the usual bias correction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageOps
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fastnst.images import READ_SUFFIXES, atomic_output, open_picture
from fastnst.modelfile import Layer, Model, to_bytes
from fastnst.networks.adain import LAYERS, POOL_AFTER
from fastnst.reference.adain import calc_mean_std, renormalize

Ranges = Literal["mse", "percentile"]
T = TypeVar("T")

PICTURES = 32
"""Content and style pictures used at most, of each: about a minute and 1.6 GB for the small pair."""
SHORT_SIDE = 256
LONGEST = 512
STRIDE = 8
PIXEL = float(np.float32(1 / 255))


@dataclass(frozen=True)
class Conv:
    """One float convolution in the engine's form.

    Attributes:
        weight: float64 [P, O, I, k, k]; P = 4 phases of 2x2 after an upsampling, otherwise 1.
        bias: float64 [O].
    """

    weight: Tensor
    bias: Tensor
    relu: bool = True
    upsample: bool = False
    pool: str = "none"


@dataclass(frozen=True)
class Pair:
    """A trained pair, and what its file says about its making."""

    encoder: list[Conv]
    decoder: list[Conv]
    parameters: int
    facts: dict[str, Any]

    @property
    def widths(self) -> list[int]:
        return [conv.weight.shape[1] for conv in self.encoder]


@dataclass(frozen=True)
class Grid:
    """What 8-bit values of a map mean: ``scale * (q - zero)``; the scale is a float32 value."""

    scale: float
    zero: int = 0

    def real(self, q: Tensor) -> Tensor:
        return (q - self.zero) * self.scale


# --- the trained pair -------------------------------------------------------------------------------------------------------


def expected_shapes(widths: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors of a pair with these nine encoder widths."""
    shapes: dict[str, tuple[int, ...]] = {"encoder.conv0.weight": (3, 3, 1, 1), "encoder.conv0.bias": (3,)}
    for name, inner, outer in zip(LAYERS, (3, *widths[:-1]), widths, strict=True):
        shapes |= {f"encoder.{name}.weight": (outer, inner, 3, 3), f"encoder.{name}.bias": (outer,)}
        shapes |= {f"decoder.{name}.weight": (inner, outer, 3, 3), f"decoder.{name}.bias": (inner,)}
    return shapes


def read_tensors(source: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a safetensors file in float64, and its ``facts``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a safetensors file, or not a finished AdaIN pair.
    """
    try:
        with safe_open(source, framework="pt") as file:
            tensors = {name: file.get_tensor(name).double() for name in file.keys()}  # noqa: SIM118 - not a dict
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
    except (SafetensorError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{source}: not a safetensors file: {error}") from None
    firsts = [f"encoder.{name}.weight" for name in LAYERS]
    for name in firsts:
        if name not in tensors or tensors[name].ndim != 4:
            raise ValueError(f"{source}: not a trained AdaIN pair: no 4-dimensional tensor {name}")
    shapes = expected_shapes([tensors[name].shape[0] for name in firsts])
    for name in sorted(shapes.keys() | tensors.keys()):
        if name not in shapes:
            raise ValueError(f"{source}: unexpected tensor {name}")
        if name not in tensors:
            raise ValueError(f"{source}: tensor {name} is missing")
        if tuple(tensors[name].shape) != shapes[name]:
            raise ValueError(f"{source}: {name} has shape {list(tensors[name].shape)}, expected {list(shapes[name])}")
        if not tensors[name].isfinite().all():
            raise ValueError(f"{source}: {name} holds NaN or infinity")
    return tensors, facts if isinstance(facts, dict) else {}


def load_pair(source: Path) -> Pair:
    """Read a pair as ``fastnst train adain`` leaves it in ``final.safetensors``; see :func:`read_tensors` for errors."""
    tensors, facts = read_tensors(source)
    parameters = sum(tensor.numel() for tensor in tensors.values())
    conv0, bias0 = tensors["encoder.conv0.weight"][:, :, 0, 0], tensors["encoder.conv0.bias"]
    first = tensors["encoder.conv1_1.weight"]
    # A 1x1 layer commutes with reflection padding, so its bias passes through all nine taps everywhere.
    tensors["encoder.conv1_1.bias"] += torch.einsum("oikl,i->o", first, bias0)
    tensors["encoder.conv1_1.weight"] = torch.einsum("oikl,ij->ojkl", first, conv0)

    def conv(side: str, name: str) -> Conv:
        weight, bias = tensors[f"{side}.{name}.weight"], tensors[f"{side}.{name}.bias"]
        if side == "encoder":
            return Conv(weight[None], bias, pool="floor" if name in POOL_AFTER else "none")
        upsample = name in POOL_AFTER
        return Conv(phases_of(weight) if upsample else weight[None], bias, relu=name != LAYERS[0], upsample=upsample)

    encoder = [conv("encoder", name) for name in LAYERS]
    decoder = [conv("decoder", name) for name in reversed(LAYERS)]
    return Pair(encoder, decoder, parameters, facts)


def phases_of(weight: Tensor) -> Tensor:
    """The four 2x2 kernels [4, O, I, 2, 2] that equal ``weight`` [O, I, 3, 3] after nearest x2 upsampling."""

    def fold(kernel: Tensor, dim: int, parity: int) -> Tensor:
        a, b, c = kernel.unbind(dim)
        return torch.stack((a, b + c) if parity == 0 else (a + b, c), dim)

    return torch.stack([fold(fold(weight, 2, row), 3, column) for row in (0, 1) for column in (0, 1)])


# --- convolution, in floating point and as the engine does it ---------------------------------------------------------------


def framed(x: Tensor, upsample: bool) -> Tensor:
    """``x`` with the border of one pixel that a layer sees: repetition before an upsampling, otherwise reflection."""
    if upsample:
        return F.pad(x, (1, 1, 1, 1), mode="replicate")
    for dim, pad in ((2, (0, 0, 1, 1)), (3, (1, 1, 0, 0))):
        x = F.pad(x, pad, mode="reflect" if x.shape[dim] > 1 else "replicate")
    return x


def views(x: Tensor, kernel: int, upsample: bool) -> list[Tensor]:
    """For each phase, the framed part of ``x`` over which its kernel slides without padding."""
    if kernel == 1:
        return [x]
    frame = framed(x, upsample)
    if not upsample:
        return [frame]
    height, width = x.shape[2:]
    return [frame[..., row : row + height + 1, column : column + width + 1] for row in (0, 1) for column in (0, 1)]


def convolve(x: Tensor, weight: Tensor, bias: Tensor, upsample: bool) -> Tensor:
    """Sums of one layer: ``x`` [N, I, h, w], ``weight`` [P, O, I, k, k], ``bias`` [P, O] -> [N, O, h, w] or [N, O, 2h, 2w]."""
    parts = [F.conv2d(view, w, b) for view, w, b in zip(views(x, weight.shape[-1], upsample), weight, bias, strict=True)]
    return F.pixel_shuffle(torch.stack(parts, 2).flatten(1, 2), 2) if upsample else parts[0]


def pooled(x: Tensor, pool: str) -> Tensor:
    """2x2 maximum with stride 2, or ``x`` itself."""
    return x if pool == "none" else F.max_pool2d(x, 2, 2, ceil_mode=pool == "ceil")


def float_sums(x: Tensor, conv: Conv) -> Tensor:
    """The float network's sums before ReLU and pool, in the type of ``x``."""
    weight, bias = conv.weight.to(x.dtype), conv.bias.to(x.dtype)
    return convolve(x, weight, bias.expand(len(weight), -1), conv.upsample)


def file_to_torch(layer: Layer) -> tuple[Tensor, Tensor, Tensor]:
    """A layer's weights [P, O, I, k, k], bias and multiplier [P, O] as float64."""
    weights = layer.weights if layer.upsample else layer.weights[None]
    arrays = (weights.transpose(0, 1, 4, 2, 3), np.atleast_2d(layer.bias), np.atleast_2d(layer.multiplier))
    weight, bias, multiplier = (torch.from_numpy(np.ascontiguousarray(array)).double() for array in arrays)
    return weight, bias, multiplier


def layer_bound(layer: Layer) -> NDArray[np.float64]:
    """The largest |sum| each output channel [P, O] can reach on any input; exact, in float64."""
    weights = layer.weights if layer.upsample else layer.weights[None]
    sums: NDArray[np.float64] = np.abs(weights.astype(np.float64)).sum((2, 3, 4))
    return 255 * sums + np.abs(np.atleast_2d(layer.bias).astype(np.float64))


def spread(values: Tensor, upsample: bool, shape: torch.Size) -> Tensor:
    """Per-phase channel values [P, O] laid over a map of ``shape`` [N, O, H, W]."""
    if not upsample:
        return values.reshape(1, -1, 1, 1)
    return values.T.reshape(1, -1, 2, 2).repeat(1, 1, shape[2] // 2, shape[3] // 2)


def simulate_layer(q: Tensor, layer: Layer) -> Tensor:
    """One layer bit for bit as the engine computes it: uint8 [N, I, H, W] in, uint8 out."""
    weight, bias, multiplier = file_to_torch(layer)
    # Whole numbers below 2^24 are exact in float32 in any order of summation, those below 2^53 in float64.
    exact = torch.float32 if layer_bound(layer).max() < 2**24 else torch.float64
    acc = convolve(q.to(exact), weight.to(exact), bias.to(exact), layer.upsample).float()
    out = (acc * spread(multiplier.float(), layer.upsample, acc.shape)).round() + layer.zero
    return pooled(out.clamp(0, 255), layer.pool).to(torch.uint8)


def simulate_statistics(q: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel of ``q`` [1, C, H, W] in the engine's own order: two float64 [C]."""
    values = q.double()
    count = values.shape[2] * values.shape[3]
    total, squares = values.sum((0, 2, 3)), values.square().sum((0, 2, 3))
    variance = (scale * scale) * ((count * squares - total * total) / (float(count) * float(max(count - 1, 1)))) + 1e-5
    return (scale * total) / count, variance.sqrt()


def simulate_adain(q: Tensor, look: tuple[Tensor, Tensor], feature_scale: float, decoder: Grid, alpha: float = 1.0) -> Tensor:
    """The engine's AdaIN: encoder output ``q`` [1, C, H, W] moved to the mean and deviation [C] of ``look``."""
    mean, std = look
    own_mean, own_std = simulate_statistics(q, feature_scale)
    slope = alpha * (std / own_std) + (1 - alpha)
    offset = alpha * (mean - own_mean * (std / own_std))
    a = (slope * feature_scale / decoder.scale).float().reshape(1, -1, 1, 1)
    b = (offset / decoder.scale + decoder.zero).float().reshape(1, -1, 1, 1)
    return ((a * q.float()) + b).clamp(0, 255).round().to(torch.uint8)


def simulate(model: Model, content: Tensor, style: Tensor, alpha: float = 1.0) -> Tensor:
    """A whole stylisation bit for bit as the engine does it, of pictures uint8 [1, 3, H, W] with sides of whole strides."""
    features = [content, style]
    for layer in model.encoder:
        features = [simulate_layer(q, layer) for q in features]
    look = simulate_statistics(features[1], model.feature_scale)
    q = simulate_adain(features[0], look, model.feature_scale, Grid(model.decoder_scale, model.decoder_zero), alpha)
    for layer in model.decoder:
        q = simulate_layer(q, layer)
    return q


# --- calibration pictures ---------------------------------------------------------------------------------------------------


def evenly(items: Sequence[Path], count: int) -> list[Path]:
    """At most ``count`` of ``items``, evenly spaced."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def read_picture(path: Path) -> Tensor:
    """A picture as uint8 [1, 3, H, W]: short side 256, cropped around the middle to whole strides."""
    rgb = open_picture(path).flattened()
    factor = SHORT_SIDE / min(rgb.size)
    width, height = (min(round(side * factor), LONGEST) // STRIDE * STRIDE for side in rgb.size)
    fitted = ImageOps.fit(rgb, (width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(fitted)).permute(2, 0, 1)[None]


def find_pictures(folder: Path) -> list[Path]:
    """The picture files of ``folder``, sorted by name.

    Raises:
        ValueError: there are none.
    """
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in READ_SUFFIXES and path.is_file())
    if not found:
        raise ValueError(f"{folder}: no pictures here to calibrate with")
    return found


def calibration_pairs(folder: Path) -> tuple[list[Tensor], list[Tensor]]:
    """As many content as style pictures from ``folder/content`` and ``folder/style``, or all from ``folder`` itself.

    Raises:
        NotADirectoryError, FileNotFoundError: no such folder.
        ValueError: no pictures.
        ImageError: one that cannot be read.
    """
    if (folder / "content").is_dir() and (folder / "style").is_dir():
        contents, styles = (evenly(find_pictures(folder / kind), PICTURES) for kind in ("content", "style"))
    else:
        contents = evenly(find_pictures(folder), PICTURES)
        styles = contents[len(contents) // 2 :] + contents[: len(contents) // 2]
    count = max(len(contents), len(styles))
    content, style = ([read_picture(paths[i % len(paths)]) for i in range(count)] for paths in (contents, styles))
    return content, style


# --- equalisation -----------------------------------------------------------------------------------------------------------

BALANCE = 0.6
"""How much of the difference between channels moves from activations (0: nothing) into the following weights (1: all of it).
Measured with a published 16x pair on 24 test pairs: 0.25, 0.5, 0.6, 0.75, 1 give 38.3, 39.1, 39.3, 39.6, 39.4 dB on average,
and 31.6, 32.2, 32.4, 31.2, 30.7 dB for the worst pair."""


def float_adain(content: Tensor, style: Tensor) -> Tensor:
    return renormalize(content, *calc_mean_std(style))


def float_layer(x: Tensor, conv: Conv) -> Tensor:
    """One layer of the float network with its ReLU and pool."""
    sums = float_sums(x, conv)
    return pooled(F.relu(sums) if conv.relu else sums, conv.pool)


def channel_peaks(maps: Iterable[Tensor]) -> Tensor:
    """What the values of each channel of ``maps`` [1, C, H, W] seldom exceed, root mean square over pictures: float64 [C]."""
    samples = (x[0].flatten(1)[:, :: x[0, 0].numel() // 4096 + 1] for x in maps)
    peaks = torch.stack([torch.quantile(sample.abs(), 0.999, 1) for sample in samples])
    return peaks.square().mean(0).sqrt().double()


def balancing_factors(peaks: Tensor, following: Conv) -> Tensor:
    """What to divide channels of these ``peaks`` [C] by, so that they share the trouble with the weights that read them."""
    weights = following.weight.abs().amax((0, 1, 3, 4))
    # A channel that is all but dead must not be blown up without limit.
    peaks, weights = (values.clamp(min=1e-3 * values.max().clamp(min=1e-30)) for values in (peaks, weights))
    factors = peaks**BALANCE / weights ** (1 - BALANCE)
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
    chain = [*pair.encoder, *pair.decoder]
    maps = [*contents, *styles]
    balanced, before = [], torch.ones(3, dtype=torch.float64)
    for i, conv in enumerate(chain):
        maps = [float_layer(x, conv) for x in maps]
        ranged = maps
        if i + 1 == len(pair.encoder):
            maps = [float_adain(content, style) for content, style in paired(maps)]
            ranged = [*ranged, *maps]  # the factors serve both sides of AdaIN
        after = torch.ones(3, dtype=torch.float64)
        if i + 1 < len(chain):
            after = balancing_factors(channel_peaks(ranged), chain[i + 1])
        weight = conv.weight * before[:, None, None] / after[:, None, None, None]
        balanced.append(replace(conv, weight=weight, bias=conv.bias / after))
        before = after
    count = len(pair.encoder)
    return replace(pair, encoder=balanced[:count], decoder=balanced[count:])


# --- quantisation -----------------------------------------------------------------------------------------------------------

POSITIONS = 2000
"""Positions per picture and phase from which weights and biases are fitted; the bias then strays by well under one step."""
SAMPLES = 8192
"""Values per picture from which ranges are chosen."""
DAMPING = 0.01
"""Share of the mean input energy by which a fit is held to the trained weights; 0.01 as in Frantar et al., ICLR 2023."""
SHRINKS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6)
"""Weight ranges to try, relative to the largest weight."""


@dataclass
class Stream:
    """One calibration picture on its way through both networks: its float map, and its 8-bit map."""

    real: Tensor
    q: Tensor


def grid_of(low: float, high: float) -> Grid:
    """The grid that covers ``low`` <= 0 to ``high`` > 0 and holds 0 exactly."""
    scale = float(np.float32((high - low) / 255))
    return Grid(scale, int(np.clip(round(-low / scale), 0, 255)))


def best_grid(maps: Sequence[Tensor], relu: bool, ranges: Ranges) -> Grid:
    """The 8-bit grid for values of ``maps`` [1, C, H, W], after a ReLU if ``relu``.

    ``mse`` takes, among many shrinkings of the whole range, the one with the least squared error relative to each picture's
    energy, averaged over pictures. Without the division a single picture with a few huge values would set the range: measured
    on a pair of our own, 28.5 dB instead of 35.8. ``percentile`` leaves out one value in 10,000 at each end.
    """
    maps = [x.clamp(min=0) for x in maps] if relu else maps
    low = min(0.0, *(x.min().item() for x in maps))
    high = max(1e-6, *(x.max().item() for x in maps))
    values = torch.stack([x.flatten()[torch.linspace(0, x.numel() - 1, SAMPLES).long()] for x in maps])
    if ranges == "percentile":
        ends = np.quantile(values.numpy(), (1e-4, 1 - 1e-4))
        return grid_of(min(0.0, float(ends[0])), max(1e-6, float(ends[1])))
    energy = (values - (0.0 if relu else values.mean(1, keepdim=True))).square().mean(1) + 1e-12 * high**2

    def loss(grid: Grid) -> float:
        q = (values / grid.scale).round().add(grid.zero).clamp(0, 255)
        return ((grid.real(q) - values).square().mean(1) / energy).mean().item()

    shrinks = np.geomspace(0.01, 1, 40 if low == 0 else 24)
    return min((grid_of(a * low, b * high) for a in (shrinks if low < 0 else [1.0]) for b in shrinks), key=loss)


class Moments:
    """Means and covariances of a phase's real inputs x [K], and of them with the float network's sums y [O]."""

    def __init__(self) -> None:
        self.count = 0
        self.x: Tensor = torch.zeros(())
        self.y: Tensor = torch.zeros(())
        self.xx: Tensor = torch.zeros(())
        self.xy: Tensor = torch.zeros(())

    def add(self, x: Tensor, y: Tensor) -> None:
        """Count ``x`` [K, n] and ``y`` [O, n] in."""
        self.count += x.shape[1]
        self.x, self.y = self.x + x.sum(1).double(), self.y + y.sum(1).double()
        self.xx, self.xy = self.xx + (x @ x.T).double(), self.xy + (x @ y.T).double()

    def means(self) -> tuple[Tensor, Tensor]:
        return self.x / self.count, self.y / self.count

    def covariances(self) -> tuple[Tensor, Tensor]:
        x, y = self.means()
        return self.xx / self.count - x[:, None] * x, self.xy / self.count - x[:, None] * y


def gather(streams: Sequence[Stream], sums: Sequence[Tensor], conv: Conv, grid: Grid) -> list[Moments]:
    """The moments of each phase of ``conv`` over samples of all pictures; ``sums`` are the float network's."""
    kernel = conv.weight.shape[-1]
    result = [Moments() for _ in conv.weight]
    for stream, y in zip(streams, sums, strict=True):
        parts = [y[..., p // 2 :: 2, p % 2 :: 2] for p in range(4)] if conv.upsample else [y]
        seen = views(grid.real(stream.q.float()), kernel, conv.upsample)
        for moments, view, part in zip(result, seen, parts, strict=True):
            step = part[0, 0].numel() // POSITIONS | 1  # odd, so that all columns of the picture are met
            moments.add(F.unfold(view, kernel)[0, :, ::step], part[0].flatten(1)[:, ::step])
    return result


def refit(weight: Tensor, xx: Tensor, xy: Tensor) -> Tensor:
    """``weight`` [O, K] moved to where the quantised inputs predict the float network's sums best (ridge regression)."""
    ridge = (DAMPING * xx.diagonal().mean()).clamp(min=1e-12) * torch.eye(len(xx), dtype=xx.dtype)
    fitted: Tensor = torch.linalg.solve(xx + ridge, xy + ridge @ weight.T)
    return fitted.T


def feedback(xx: Tensor) -> Tensor:
    """Upper triangle [K, K] that says how later weights make up for the rounding of earlier ones (Frantar et al., 2023)."""
    damped = xx + (DAMPING * xx.diagonal().mean()).clamp(min=1e-12) * torch.eye(len(xx), dtype=xx.dtype)
    upper: Tensor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(damped)), upper=True)
    return upper


def round_weights(weight: Tensor, scale: Tensor, upper: Tensor) -> Tensor:
    """``weight`` [O, K] in whole steps of ``scale`` [O], -127..127, each error handed on to the weights still to come."""
    left, q = weight.clone(), torch.zeros_like(weight)
    for k in range(weight.shape[1]):
        q[:, k] = (left[:, k] / scale).round().clamp(-127, 127)
        error = (left[:, k] - q[:, k] * scale) / upper[k, k]
        left[:, k:] -= error[:, None] * upper[k, k:]
    return q


def quantise_weights(weight: Tensor, least: Tensor, xx: Tensor) -> tuple[Tensor, Tensor]:
    """8-bit weights [O, K] and their scales [O], no scale below ``least``: the best range of :data:`SHRINKS` per output."""
    upper = feedback(xx)
    top = weight.abs().amax(1) / 127
    best_error = torch.full_like(top, torch.inf)
    best_q, best_scale = torch.zeros_like(weight), top
    for shrink in SHRINKS:
        scale = torch.maximum(top * shrink, least)
        q = round_weights(weight, scale, upper)
        rest = q * scale[:, None] - weight
        error = ((rest @ xx) * rest).sum(1)
        better = error < best_error
        best_error = torch.where(better, error, best_error)
        best_scale = torch.where(better, scale, best_scale)
        best_q = torch.where(better[:, None], q, best_q)
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
        q, scale = quantise_weights(refit(kernel.flatten(1), xx, xy), least, xx)
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
    bound = layer_bound(layer)
    if bound.max() >= 2**31:
        raise ValueError("weights that could overflow the 32-bit accumulator")
    if (bound * np.atleast_2d(layer.multiplier)).max() >= 2**30:
        raise ValueError("a multiplier that could overflow the output")


def quantise_chain(
    convs: Sequence[Conv], streams: Sequence[Stream], grid: Grid, ranges: Ranges, last: Grid | None = None
) -> tuple[list[Layer], Grid]:
    """Quantise layer after layer, taking ``streams`` along; returns the layers and the grid of their output.

    Args:
        grid: of the 8-bit maps that the first layer reads.
        last: the grid that the last layer must write, if it may not be chosen.
    """
    layers = []
    for i, conv in enumerate(convs):
        sums = [float_sums(stream.real, conv) for stream in streams]
        fixed = last if i + 1 == len(convs) else None
        output = fixed or best_grid(sums, conv.relu, ranges)
        layers.append(quantise_layer(conv, gather(streams, sums, conv, grid), grid, output))
        for stream, y in zip(streams, sums, strict=True):
            stream.real = pooled(F.relu(y) if conv.relu else y, conv.pool)
            stream.q = simulate_layer(stream.q, layers[-1])
        grid = output
    return layers, grid


@torch.no_grad()
def quantise(pair: Pair, contents: Sequence[Tensor], styles: Sequence[Tensor], ranges: Ranges = "mse") -> Model:
    """The engine's model of ``pair``, its card empty, fitted to pictures uint8 [1, 3, H, W] with sides of whole strides."""
    pictures = [*contents, *styles]
    unit = [picture.float() / 255 for picture in pictures]
    pair = equalise(pair, unit[: len(contents)], unit[len(contents) :])
    streams = [Stream(real, q) for real, q in zip(unit, pictures, strict=True)]
    encoder, features = quantise_chain(pair.encoder, streams, Grid(PIXEL), ranges)
    mixed = [float_adain(content.real, style.real) for content, style in paired(streams)]
    middle = best_grid(mixed, False, ranges)
    stylised = [
        Stream(real, simulate_adain(content.q, simulate_statistics(style.q, features.scale), features.scale, middle))
        for real, (content, style) in zip(mixed, paired(streams), strict=True)
    ]
    decoder, _ = quantise_chain(pair.decoder, stylised, middle, ranges, last=Grid(PIXEL))
    return Model({}, encoder, decoder, features.scale, middle.scale, middle.zero)


# --- the command ------------------------------------------------------------------------------------------------------------


def macs_per_pixel(widths: Sequence[int]) -> tuple[int, int]:
    """Multiply-accumulates of the trained encoder (``conv0`` included) and decoder for one pixel of the picture, rounded."""
    area, inner, total = 1.0, 3, 0.0
    for name, outer in zip(LAYERS, widths, strict=True):
        total += 9 * inner * outer * area
        inner = outer
        area = area / 4 if name in POOL_AFTER else area
    return round(total + 9), round(total)


def card_of(pair: Pair, name: str, pictures: int) -> dict[str, Any]:
    """What the file says about itself; ``facts`` of the trained file may name another source and licence."""
    encoder, decoder = macs_per_pixel(pair.widths)
    card = {
        "name": name,
        "kind": "adain",
        "widths": {"encoder": pair.widths},
        "parameters": pair.parameters,
        "macs_per_pixel": encoder + decoder,
        "macs_per_pixel_by_part": {"encoder": encoder, "decoder": decoder},
        "bits": {"weights": 8, "activations": 8},
        "calibration": pictures,
        "source": "trained by fastnst's own recipe `adain`",
        "licence": "MIT",
    }
    training = {key: pair.facts[key] for key in ("step", "seconds", "settings") if key in pair.facts}
    told = ("source", "licence", "distilled_from", "training_data")
    own = {key: pair.facts[key] for key in told if isinstance(pair.facts.get(key), str)}
    return card | own | ({"trained_with": training} if training else {})


def convert(
    source: Path,
    calibration: Path,
    output: Path,
    *,
    name: str | None = None,
    overwrite: bool = False,
    ranges: Ranges = "mse",
) -> dict[str, Any]:
    """Quantise the trained pair in ``source`` on the pictures of ``calibration`` and write the engine's model to ``output``.

    Args:
        source: safetensors file with the tensors of :func:`expected_shapes`, as ``fastnst train adain`` leaves it.
        calibration: folder of pictures, or of two folders ``content`` and ``style``.
        output: complete or absent, whatever happens.
        name: for the card; without it the file's.
        ranges: see :func:`best_grid`.

    Returns:
        The card.

    Raises:
        FileExistsError: ``output`` exists and may not be overwritten.
        ValueError: one line about what is wrong with the weights or the pictures.
        OSError: a file cannot be read or written.
    """
    if output.exists() and not overwrite:
        raise FileExistsError(f"{output} exists")
    pair = load_pair(source)
    contents, styles = calibration_pairs(calibration)
    try:
        model = quantise(pair, contents, styles, ranges)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    model = replace(model, card=card_of(pair, name or output.stem, len(contents) + len(styles)))
    with atomic_output(output) as file:
        file.write(to_bytes(model))
    return model.card
