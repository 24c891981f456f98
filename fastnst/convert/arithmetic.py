"""One layer, one statistic, one picture: in floating point, and bit for bit as the engine computes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fastnst.convert.pair import Conv
from fastnst.convert.winograd import winograd_sums
from fastnst.format.modelfile import AdainFile, Layer, Stage, WctFile


@dataclass(frozen=True)
class Grid:
    """What 8-bit values of a map mean: ``scale * (q - zero)``; the scale is a float32 value."""

    scale: float
    zero: int = 0

    def real(self, q: Tensor) -> Tensor:
        return (q - self.zero) * self.scale


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


def behind(sums: Tensor, conv: Conv) -> Tensor:
    """What the float network makes of a layer's sums: ReLU and pool."""
    x = pooled(sums, conv.pool)  # first, for it leaves less to do and the same numbers
    return F.relu(x) if conv.relu else x


def file_to_torch(layer: Layer) -> tuple[Tensor, Tensor, Tensor]:
    """A layer's weights [P, O, I, k, k], bias and multiplier [P, O] as float64."""
    weights = layer.weights if layer.upsample else layer.weights[None]
    arrays = (weights.transpose(0, 1, 4, 2, 3), np.atleast_2d(layer.bias), np.atleast_2d(layer.multiplier))
    weight, bias, multiplier = (torch.from_numpy(np.ascontiguousarray(array)).double() for array in arrays)
    return weight, bias, multiplier


def layer_bound(layer: Layer) -> NDArray[np.float64]:
    """The largest |sum| each output channel [P, O] of a direct layer can reach on any input; exact, in float64."""
    weights = layer.weights if layer.upsample else layer.weights[None]
    sums: NDArray[np.float64] = np.abs(weights.astype(np.float64)).sum((2, 3, 4))
    return 255 * sums + np.abs(np.atleast_2d(layer.bias).astype(np.float64))


def phases(x: Tensor, upsample: bool) -> Tensor:
    """A map [N, O, H, W] seen as what its phases wrote, [N, O, h, 2, w, 2]; without an upsampling itself."""
    count, channels, height, width = x.shape
    return x.view(count, channels, height // 2, 2, width // 2, 2) if upsample else x


def per_phase(values: Tensor, upsample: bool) -> Tensor:
    """Channels' values [P, O] of each phase, to be multiplied with :func:`phases` of a map."""
    return values.T.reshape(1, -1, 1, 2, 1, 2) if upsample else values.reshape(1, -1, 1, 1)


def simulate_layer(q: Tensor, layer: Layer) -> Tensor:
    """One layer bit for bit as the engine computes it: uint8 [N, I, H, W] in, uint8 out."""
    if layer.scales is not None:
        sums = winograd_sums(framed(q.float(), layer.upsample), layer)
        return pooled((sums.round() + layer.zero).clamp(0, 255), layer.pool).to(torch.uint8)
    weight, bias, multiplier = file_to_torch(layer)
    # Whole numbers below 2^24 are exact in float32 in any order of summation, those below 2^53 in float64.
    exact = torch.float32 if layer_bound(layer).max() < 2**24 else torch.float64
    acc = convolve(q.to(exact), weight.to(exact), bias.to(exact), layer.upsample).float()
    phases(acc, layer.upsample).mul_(per_phase(multiplier.float(), layer.upsample))
    return pooled(acc.round_().add_(layer.zero).clamp_(0, 255), layer.pool).to(torch.uint8)


def simulate_statistics(q: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel of whole numbers [N, C, H, W] in the engine's own order: two float64 [N, C, 1, 1]."""
    values = q.double()
    count = values.shape[2] * values.shape[3]
    total, squares = values.sum((2, 3), keepdim=True), values.square().sum((2, 3), keepdim=True)
    variance = (scale * scale) * ((count * squares - total * total) / (float(count) * float(max(count - 1, 1)))) + 1e-5
    return (scale * total) / count, variance.sqrt()


def simulate_adain(q: Tensor, look: tuple[Tensor, Tensor], feature_scale: float, decoder: Grid, alpha: float = 1.0) -> Tensor:
    """The engine's AdaIN: encoder output ``q`` [N, C, H, W] moved to the mean and deviation of ``look``; before rounding."""
    mean, std = look
    own_mean, own_std = simulate_statistics(q, feature_scale)
    slope = alpha * (std / own_std) + (1 - alpha)
    offset = alpha * (mean - own_mean * (std / own_std))
    a, b = (slope * feature_scale / decoder.scale).float(), (offset / decoder.scale + decoder.zero).float()
    return ((a * q.float()) + b).clamp(0, 255)


def simulate(model: AdainFile, content: Tensor, style: Tensor, alpha: float = 1.0) -> Tensor:
    """A whole stylisation bit for bit as the engine does it, of pictures uint8 [1, 3, H, W] with sides of whole strides."""
    features = [content, style]
    for layer in model.encoder:
        features = [simulate_layer(q, layer) for q in features]
    look = simulate_statistics(features[1], model.feature_scale)
    middle = Grid(model.decoder_scale, model.decoder_zero)
    q = simulate_adain(features[0], look, model.feature_scale, middle, alpha).round().to(torch.uint8)
    for layer in model.decoder:
        q = simulate_layer(q, layer)
    return q


def simulate_moments(q: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [C] and covariance [C, C] of whole numbers [1, C, H, W] of real steps ``scale`` [C]: exact before their scales."""
    values = q[0].double().flatten(1)
    count, total = values.shape[1], values.sum(1)
    spread = count * (values @ values.T) - total[:, None] * total
    return (scale * total) / count, (scale[:, None] * scale) * (spread / (float(count) * float(max(count - 1, 1))))


def simulate_root(covariance: Tensor, scale: Tensor, inverse: bool = False) -> Tensor:
    """The (inverse) root of a covariance [C, C] without directions below 1e-5 or not above what rounding to ``scale`` makes."""
    values, vectors = torch.linalg.eigh(covariance)
    kept = (values >= 1e-5) & (values > (vectors * scale[:, None]).square().sum(0) / 12)
    roots = values.clamp(min=1e-30).sqrt()
    gains = torch.where(kept, 1 / roots if inverse else roots, torch.zeros_like(roots))
    root: Tensor = (vectors * gains) @ vectors.T
    return root


def simulate_look(q: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """What a stage takes from a style: mean [C] and root [C, C] of whole numbers [1, C, H, W]."""
    mean, covariance = simulate_moments(q, scale)
    return mean, simulate_root(covariance, scale)


@dataclass(frozen=True)
class Transform:
    """What WCT does with one picture's features x in real units: ``matrix`` (x - ``centre``) + ``target``."""

    matrix: Tensor  # [C, C]
    centre: Tensor  # [C]
    target: Tensor  # [C]

    def __call__(self, x: Tensor) -> Tensor:
        """Features [1, C, H, W] transformed, in float64."""
        centred = x.double() - self.centre[:, None, None]
        return torch.einsum("oi,nihw->nohw", self.matrix, centred) + self.target[:, None, None]


def wct_transform(q: Tensor, look: tuple[Tensor, Tensor], scale: Tensor, alpha: float) -> Transform:
    """The transform of whole numbers [1, C, H, W] of real steps ``scale`` [C] towards the mean and the root of ``look``."""
    mean, covariance = simulate_moments(q, scale)
    identity = torch.eye(len(mean), dtype=torch.float64)
    matrix = alpha * look[1] @ simulate_root(covariance, scale, inverse=True) + (1 - alpha) * identity
    return Transform(matrix, mean, alpha * look[0] + (1 - alpha) * mean)


def simulate_wct(q: Tensor, transform: Transform, stage: Stage) -> Tensor:
    """The engine's 1x1 convolution for a transform: encoder output ``q`` [1, C, H, W] to decoder input, before rounding.

    As the engine computes it but for the last bits of the eigendecomposition.
    """
    given, taken, zero = (torch.from_numpy(x).double() for x in (stage.feature_scale, stage.decoder_scale, stage.decoder_zero))
    steps = transform.matrix * given / taken[:, None]
    most = (2**31 - 1) // 255 - len(given)  # of a row's absolute weights, rounded ones: their sums must fit 32 bits
    unit = torch.maximum(steps.abs().amax(1) / 32767, steps.abs().sum(1) / most).clamp(min=1e-30).float().double()
    weights = (steps / unit[:, None]).round().clamp(-32767, 32767)
    offset = (transform.target / taken - (weights * unit[:, None]) @ (transform.centre / given) + zero).float()
    sums = torch.einsum("oi,nihw->nohw", weights, q.double()).float()
    return (sums * unit.float()[:, None, None] + offset[:, None, None]).clamp(0, 255)


def simulate_cascade(model: WctFile, content: Tensor, style: Tensor, alpha: float = 1.0) -> Tensor:
    """All stages of ``model`` on pictures uint8 [1, 3, H, W] with sides of whole strides."""
    picture = content
    for _, stage in sorted(model.stages.items(), reverse=True):
        features = [picture, style]
        for layer in stage.encoder:
            features = [simulate_layer(q, layer) for q in features]
        scale = torch.from_numpy(stage.feature_scale).double()
        transform = wct_transform(features[0], simulate_look(features[1], scale), scale, alpha)
        picture = simulate_wct(features[0], transform, stage).round().to(torch.uint8)
        for layer in stage.decoder:
            picture = simulate_layer(picture, layer)
    return picture
