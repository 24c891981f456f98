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
    return torch.from_numpy(weights.transpose(0, 3, 1, 2).astype(np.float64, order="C"))


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


def coefficients(r: Tensor, slope: Tensor, offset: Tensor, epsilon: Tensor | None) -> tuple[Tensor, Tensor]:
    """What a map [N, C, H, W] of 16 bits is multiplied by, and what is then added, float32 [N or 1, C, 1, 1]; gradients pass.

    Sums of squares are exact below 2^53: for maps of fewer than 2^22 pixels, as those of calibration are.

    Args:
        slope, offset, epsilon: of the node, float32 [C]; None of one that does not normalise.
    """
    if epsilon is None:
        return slope[None, :, None, None], offset[None, :, None, None]
    values = r.flatten(2).double()
    count = float(values.shape[2])
    total, squares = values.sum(2), values.square().sum(2)
    variance = (count * squares - total * total) / (count * count) + epsilon.double()
    gain = slope.double() / variance.sqrt()
    a, b = gain.float(), (offset.double() - (total / count) * gain).float()
    return a[..., None, None], b[..., None, None]


def simulate_affine(r: Tensor, addend: Tensor | None, node: Affine) -> Tensor:
    """Bytes as uint8, or numbers of 16 bits as float32 [1, C, H, W]."""
    epsilon = None if node.epsilon is None else torch.from_numpy(node.epsilon)
    a, b = coefficients(r, torch.from_numpy(node.slope), torch.from_numpy(node.offset), epsilon)
    t = r * a + b
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
