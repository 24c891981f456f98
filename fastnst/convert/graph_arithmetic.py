"""The nodes of a generator bit for bit as the engine computes them, in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from fastnst.convert.graph import FloatAffine, FloatConv, biased, bordered, convolve
from fastnst.format.graphfile import Affine, Convolution, Paint


def weights_of(node: Convolution) -> Tensor:
    """float64 [O, I, k, k]."""
    weights = node.weights[..., None] if node.form == "depthwise" else node.weights
    return torch.from_numpy(np.ascontiguousarray(weights.transpose(0, 3, 1, 2))).double()


def bound_of(node: Convolution) -> Tensor:
    """The largest |sum| that each output channel can reach on any input; exact, in float64 [O]."""
    bias = torch.from_numpy(np.abs(np.atleast_2d(node.bias).astype(np.float64)).max(0))
    most: Tensor = 255 * weights_of(node).abs().sum((1, 2, 3)) + bias
    return most


def simulate_sums(q: Tensor, node: Convolution, shape: FloatConv) -> Tensor:
    """The accumulators, whole numbers, of bytes [1, I, H, W]; ``shape`` says how windows lie."""
    # Whole numbers below 2^24 are exact in float32 in any order of summation, those below 2^53 in float64.
    exact = torch.float32 if bound_of(node).max() < 2**24 else torch.float64
    sums = convolve(bordered(q.to(exact), shape, float(node.outside)), shape, weights_of(node).to(exact))
    return biased(sums, torch.from_numpy(node.bias.T).to(exact))


def simulate_convolution(q: Tensor, node: Convolution, shape: FloatConv) -> Tensor:
    """Numbers of 16 bits, as float32 [1, O, H, W]."""
    scaled = simulate_sums(q, node, shape).float() * torch.from_numpy(node.multiplier)[:, None, None]
    return scaled.round().clamp(-32768, 32767)


def _coefficients(r: Tensor, node: Affine) -> tuple[Tensor, Tensor]:
    slope, offset = torch.from_numpy(node.slope), torch.from_numpy(node.offset)
    if node.epsilon is None:
        return slope, offset
    values = r[0].flatten(1).double()
    count = float(values.shape[1])
    total, squares = values.sum(1), values.square().sum(1)
    variance = (count * squares - total * total) / (count * count) + torch.from_numpy(node.epsilon).double()
    gain = slope.double() / variance.sqrt()
    return gain.float(), (offset.double() - (total / count) * gain).float()


def simulate_affine(r: Tensor, addend: Tensor | None, node: Affine) -> Tensor:
    """Bytes as uint8, or numbers of 16 bits as float32 [1, C, H, W].

    Sums of squares are exact below 2^53: for maps of fewer than 2^22 pixels, as those of calibration are.
    """
    a, b = _coefficients(r, node)
    t = r * a[:, None, None] + b[:, None, None]
    t = torch.maximum(t, t * node.negative)
    if not node.wide:
        return (t.round() + node.zero).clamp(0, 255).to(torch.uint8)
    rounded = t.clamp(-65536, 65536).round()
    return (rounded if addend is None else rounded + addend).clamp(-32768, 32767)


def simulate_paint(r: Tensor, node: Paint) -> Tensor:
    """The picture, uint8 [1, 3, H, W]."""
    painted = torch.searchsorted(torch.from_numpy(node.thresholds.astype(np.float32)), r.contiguous(), right=True)
    return painted.to(torch.uint8)


def simulate_node(
    node: Convolution | Affine | Paint, shape: FloatConv | FloatAffine | object, maps: Mapping[int, Tensor], style: int = 0
) -> Tensor:
    """What a node makes of ``maps`` in one style; ``shape`` is the float node that it came from."""
    x = maps[node.source]
    if isinstance(node, Paint):
        return simulate_paint(x, node)
    if isinstance(node, Affine):
        return simulate_affine(x, maps[node.addend] if node.addend else None, node.of_style(style))
    assert isinstance(shape, FloatConv)
    return simulate_convolution(x, node, shape)
