"""A generator's model as a network that can be trained: the forward pass computes the engine's numbers, node by node.

Weights and what convolutions read have 8 bits, their sums and the stream of residual blocks 16. Instance norms take their
statistics of whole numbers. Gradients ignore the roundings, as in :mod:`.fake`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from fastnst.convert.generator import MIDDLE, MOST_REACHED
from fastnst.convert.graph import FloatAffine, FloatConv, FloatNode, FloatPaint, biased, bordered, convolve, keep, last_reads
from fastnst.convert.graph_arithmetic import bound_of, coefficients, simulate_paint, weights_of
from fastnst.format.graphfile import Affine, Convolution, Node, Paint

from .fake import STRETCH, straight, whole

WIDE = 128.0
"""Steps of 16 bits that are to a learning rate what one step of a byte is: both are about that share of what maps hold."""


class FakeConvolution(nn.Module):
    """A convolution; ``shape`` says how its windows lie."""

    def __init__(self, node: Convolution, shape: FloatConv) -> None:
        super().__init__()
        self.node, self.shape = node, shape
        bias = torch.from_numpy(node.bias.T.copy()).double()
        self.weight = nn.Parameter(weights_of(node).float())  # in steps of each output's scale
        self.shift = nn.Parameter(torch.zeros(bias.shape))  # of the bias, in WIDE steps of the sums
        self.stretch = nn.Parameter(torch.zeros(node.outputs))  # of the multiplier, as a logarithm, in STRETCH
        self.bias: Tensor
        self.multiplier: Tensor
        self.register_buffer("bias", bias)
        self.register_buffer("multiplier", torch.from_numpy(node.multiplier.copy()))

    def numbers(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weights [O, I, k, k] and biases [O], or [O, 4] of phases, as whole numbers; multipliers [O], which are kept so small
        that no picture could overflow a sum."""
        weight = whole(self.weight.clamp(-127, 127))
        multiplier = self.multiplier * (STRETCH * self.stretch).exp()
        each = multiplier.detach().reshape(-1, *[1] * (self.bias.ndim - 1))
        bias = whole(self.bias + (WIDE * self.shift / each).double())
        most = 255 * weight.detach().double().abs().sum((1, 2, 3)) + bias.detach().abs().reshape(len(bias), -1).amax(1)
        return weight, bias, torch.minimum(multiplier, (MOST_REACHED / most.clamp(min=1)).float())

    def forward(self, q: Tensor) -> Tensor:
        """Bytes [N, I, H, W] to numbers of 16 bits, both as float32. Sums are exact below 2^24, and seldom exceed that."""
        weight, bias, multiplier = self.numbers()
        sums = biased(convolve(bordered(q, self.shape, float(self.node.outside)), self.shape, weight), bias.float())
        return whole(sums * multiplier[:, None, None]).clamp(-32768, 32767)

    def exported(self) -> Convolution:
        """The node for a model file.

        Raises:
            ValueError: it could overflow the engine's arithmetic.
        """
        weight, bias, multiplier = (each.detach().cpu() for each in self.numbers())
        weights = np.ascontiguousarray(weight.permute(0, 2, 3, 1).numpy().astype(np.int8))
        made = replace(
            self.node,
            weights=weights[..., 0] if self.node.form == "depthwise" else weights,
            bias=np.ascontiguousarray(bias.numpy().T.astype(np.int32)),
            multiplier=multiplier.numpy(),
        )
        if bound_of(made).max() >= 2**31:
            raise ValueError("weights that could overflow the 32-bit accumulator")
        return made


class FakeAffine(nn.Module):
    """An affine node, in all its styles."""

    def __init__(self, node: Affine) -> None:
        super().__init__()
        self.node = node
        self.stretch = nn.Parameter(torch.zeros(node.slope.shape))  # of the slope, as a logarithm, in STRETCH
        self.shift = nn.Parameter(torch.zeros(node.offset.shape))  # of the offset, in steps, or in WIDE of them
        self.slope: Tensor
        self.offset: Tensor
        self.epsilon: Tensor | None
        self.register_buffer("slope", torch.from_numpy(node.slope.copy()))
        self.register_buffer("offset", torch.from_numpy(node.offset.copy()))
        self.register_buffer("epsilon", None if node.epsilon is None else torch.from_numpy(node.epsilon.copy()))

    def numbers(self) -> tuple[Tensor, Tensor]:
        """Slopes and offsets, [C] or [styles, C]."""
        steps = WIDE if self.node.wide else 1.0
        return self.slope * (STRETCH * self.stretch).exp(), self.offset + steps * self.shift

    def forward(self, r: Tensor, addend: Tensor | None, style: int) -> Tensor:
        """Numbers of 16 bits [N, C, H, W] to such numbers, or to bytes, all as float32."""
        node = self.node
        slope, offset = (each[style] if each.ndim > 1 else each for each in self.numbers())
        a, b = coefficients(r, slope, offset, self.epsilon)
        t = r * a + b
        t = torch.maximum(t, t * node.negative)
        if not node.wide:
            return (whole(t) + node.zero).clamp(0, 255)
        rounded = whole(t.clamp(-65536, 65536))
        return (rounded if addend is None else rounded + addend).clamp(-32768, 32767)

    def exported(self) -> Affine:
        """The node for a model file."""
        slope, offset = (each.detach().cpu().numpy() for each in self.numbers())
        return replace(self.node, slope=slope, offset=offset)


class FakePaint(nn.Module):
    """The last node, which nothing is trained of; ``shape`` says along which curve gradients pass."""

    def __init__(self, node: Paint, shape: FloatPaint) -> None:
        super().__init__()
        self.node, self.shape = node, shape
        # What a step of the numbers is worth is not in the file, but the curve has its thresholds where so many steps reach.
        with np.errstate(divide="ignore"):
            edges = shape.inverse((np.arange(1.0, 256.0) - 0.5) / MIDDLE - 1)
        reached = node.thresholds.astype(np.float64)
        held = np.isfinite(edges) & (np.abs(reached) < 32767)
        self.step = float(np.ptp(edges[held]) / max(1.0, np.ptp(reached[held]))) if held.any() else 0.0

    def forward(self, r: Tensor) -> Tensor:
        """Numbers of 16 bits [N, 3, H, W] to the picture, -1..1 in steps of a byte."""
        exact = simulate_paint(r.detach(), self.node).to(r) / MIDDLE - 1
        return straight(self.shape.of(r * self.step), exact)


class FakeGraph(nn.Module):
    """A whole generator in 8 bits.

    Args:
        nodes: of the model's file.
        shapes: the float nodes that they came from.
    """

    def __init__(self, nodes: Sequence[Node], shapes: Sequence[FloatNode]) -> None:
        super().__init__()
        self.shapes, self.last = list(shapes), last_reads(shapes)
        self.layers = nn.ModuleList(_fake(node, shape) for node, shape in zip(nodes, shapes, strict=True))

    def forward(self, picture: Tensor, style: int = 0) -> Tensor:
        """A picture [N, 3, H, W], RGB -1..1, with sides that the graph can halve, to another of the same shape."""
        maps = {0: whole((picture + 1) * MIDDLE)}
        for place, (node, layer) in enumerate(zip(self.shapes, self.layers, strict=True)):
            x = maps[node.source]
            if isinstance(node, FloatAffine):
                made: Tensor = layer(x, maps[node.addend] if node.addend else None, style)
            else:
                made = layer(x)
            if isinstance(node, FloatPaint):
                return made
            keep(node, made, maps)
            maps = {number: each for number, each in maps.items() if self.last.get(number, 0) > place}
        raise AssertionError("a graph that paints nothing")

    def exported(self) -> list[Node]:
        """The nodes for a model file, whose pictures the engine computes as ``forward`` does; a byte in thousands is off by one
        where sums exceed 2^24.

        Raises:
            ValueError: one could overflow the engine's arithmetic.
        """
        return [each.node if isinstance(each, FakePaint) else each.exported() for each in self.layers]  # type: ignore[operator]


def _fake(node: Node, shape: FloatNode) -> FakeConvolution | FakeAffine | FakePaint:
    if isinstance(node, Convolution):
        assert isinstance(shape, FloatConv)
        return FakeConvolution(node, shape)
    if isinstance(node, Affine):
        return FakeAffine(node)
    assert isinstance(shape, FloatPaint)
    return FakePaint(node, shape)
