"""Trained generators as graphs of the engine's nodes, in floating point: what they are, and what they make of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastnst.format.graphfile import STEP
from fastnst.networks.gan import Generator, Residual, ResnetGenerator, Separable

EPSILON = 1e-5
"""Added to variances by instance norms."""


@dataclass(frozen=True)
class FloatConv:
    """A convolution of map ``source`` to the new map ``target``.

    Attributes:
        weight: float64 [O, I, k, k], of form ``depthwise`` [C, 1, k, k]; ``transposed`` by PyTorch's rule, but [O, I, k, k].
        bias: float64 [O].
        gap: how many of the I channels are no one's; see :func:`joined`.
    """

    source: int
    target: int
    weight: Tensor
    bias: Tensor
    stride: int = 1
    form: str = "full"
    reflects: bool = False
    gap: int = 0

    @property
    def reach(self) -> int:
        """Pixels that windows go beyond the edges of the source."""
        return 1 if self.form == "transposed" else (self.weight.shape[-1] - 1) // 2


@dataclass(frozen=True)
class FloatAffine:
    """Instance norm or nothing, a (leaky) ReLU or nothing, and the addition of another map.

    Attributes:
        wide: whether the engine keeps the result in 16 bits.
        addend: number of the map that is added; 0 for none.
    """

    source: int
    target: int
    normalises: bool = False
    negative: float = 1.0
    wide: bool = False
    addend: int = 0


@dataclass(frozen=True)
class FloatPaint:
    """tanh, and the picture."""

    source: int


FloatNode: TypeAlias = FloatConv | FloatAffine | FloatPaint


def bordered(x: Tensor, conv: FloatConv, outside: float) -> Tensor:
    """``x`` with what windows see beyond its edges."""
    pad = (conv.reach,) * 4
    return F.pad(x, pad, mode="reflect") if conv.reflects and conv.reach else F.pad(x, pad, value=outside)


def convolve(frame: Tensor, conv: FloatConv, weight: Tensor) -> Tensor:
    """The sums of ``conv`` with this ``weight``, without bias, over a bordered map [N, I, H, W]."""
    if conv.form == "transposed":
        out = F.conv_transpose2d(frame, weight.transpose(0, 1), stride=2)
        height, width = (2 * (side - 2) for side in frame.shape[2:])
        return out[..., 3 : 3 + height, 3 : 3 + width]  # row i of the frame, i - 1 of the map, reaches rows 2 (i - 1) - 1 + k
    groups = len(weight) if conv.form == "depthwise" else 1
    return F.conv2d(frame, weight, stride=conv.stride, groups=groups)


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Maps [N, C, H, W] in one: each but the first begins at the next multiple of 16 channels."""
    result = parts[0]
    for part in parts[1:]:
        gap = result.new_zeros(len(result), -result.shape[1] % STEP, *result.shape[2:])
        result = torch.cat([result, gap, part], 1)
    return result


def float_node(node: FloatNode, maps: dict[int, Tensor]) -> Tensor:
    """What a node makes of float maps [N, C, H, W], the picture -1..1 as map 0."""
    x = maps[node.source]
    if isinstance(node, FloatConv):
        sums = convolve(bordered(x, node, 0.0), node, node.weight.to(x.dtype))
        return sums + node.bias.to(x.dtype)[:, None, None]
    if isinstance(node, FloatPaint):
        return torch.tanh(x)
    if node.normalises:
        x = F.instance_norm(x, eps=EPSILON)
    if node.negative < 1:
        x = F.leaky_relu(x, node.negative)
    return x + maps[node.addend] if node.addend else x


def keep(node: FloatConv | FloatAffine, made: Tensor, maps: dict[int, Tensor]) -> None:
    """Put what a node made where it belongs: into a new map, or behind what is there."""
    maps[node.target] = joined([maps[node.target], made]) if node.target in maps else made


def last_reads(nodes: Sequence[FloatNode]) -> dict[int, int]:
    """The last node, by its place, that reads each map."""
    last = {}
    for place, node in enumerate(nodes):
        last[node.source] = place
        if isinstance(node, FloatAffine) and node.addend:
            last[node.addend] = place
    return last


class _Builder:
    def __init__(self) -> None:
        self.nodes: list[FloatNode] = []
        self.maps = 1

    def new(self) -> int:
        self.maps += 1
        return self.maps - 1

    def conv(self, source: int, module: object, *, reflects: bool = False, norm: object = None) -> int:
        assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        transposed = isinstance(module, nn.ConvTranspose2d)
        weight = module.weight.detach().double()
        weight = weight.transpose(0, 1) if transposed else weight
        bias = weight.new_zeros(len(weight)) if module.bias is None else module.bias.detach().double()
        if isinstance(norm, nn.BatchNorm2d):
            weight, bias = folded(weight, bias, norm)
        form = "transposed" if transposed else "depthwise" if module.groups > 1 else "full"
        self.nodes.append(FloatConv(source, self.new(), weight, bias, module.stride[0], form, reflects))
        return self.maps - 1

    def affine(self, source: int, target: int | None = None, **kinds: float | bool) -> int:
        number = self.new() if target is None else target
        self.nodes.append(FloatAffine(source, number, **kinds))  # type: ignore[arg-type]
        return number


def folded(weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the batch norm after it, as running statistics make it."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    return weight * gain[:, None, None, None], (bias - norm.running_mean.double()) * gain + norm.bias.detach().double()


def _resnet_graph(network: ResnetGenerator) -> list[FloatNode]:
    graph = _Builder()
    x = graph.conv(0, network.stem, reflects=True)
    for down in network.down:
        x = graph.conv(graph.affine(x, normalises=True, negative=0.0), down)
    stream = graph.affine(x, normalises=True, negative=0.0, wide=True)

    def half(source: int, module: nn.Module) -> int:
        if not isinstance(module, Separable):
            return graph.conv(source, module, reflects=True)
        raw = graph.conv(source, module.depthwise, reflects=True)
        return graph.conv(graph.affine(raw, normalises=True), module.pointwise)

    for block in network.blocks:
        assert isinstance(block, Residual)
        raw = half(graph.affine(stream), block.first)
        raw = half(graph.affine(raw, normalises=True, negative=0.0), block.second)
        stream = graph.affine(raw, normalises=True, wide=True, addend=stream)
    x = graph.affine(stream)
    for up in network.up:
        x = graph.affine(graph.conv(x, up), normalises=True, negative=0.0)
    graph.nodes.append(FloatPaint(graph.conv(x, network.head, reflects=True)))
    return graph.nodes


def _with_gap(conv: FloatConv, first: int) -> FloatConv:
    """``conv`` for a map in which the channels after the first ``first`` ones begin at a multiple of 16."""
    before, after = conv.weight[:, :first], conv.weight[:, first:]
    gap = conv.weight.new_zeros(len(before), -first % STEP, *before.shape[2:])
    return replace(conv, weight=torch.cat([before, gap, after], 1), gap=gap.shape[1])


def _unet_graph(network: Generator) -> list[FloatNode]:
    graph = _Builder()
    norms = [None, *network.down_norms, None]  # type: ignore[misc]

    def activated(raw: int, norm: object, negative: float, target: int | None = None) -> int:
        return graph.affine(raw, target, normalises=isinstance(norm, nn.InstanceNorm2d), negative=negative)

    raws: list[int] = []
    for level, conv in enumerate(network.down):
        source = activated(raws[-1], norms[level - 1], 0.2) if level else 0
        raws.append(graph.conv(source, conv, norm=norms[level]))
    x = activated(raws[-1], None, 0.0)
    for level in range(len(network.up) - 1, 0, -1):
        raw = graph.conv(x, network.up[level], norm=network.up_norms[level - 1])  # type: ignore[index]
        if level + 1 < len(network.up):
            graph.nodes[-1] = _with_gap(graph.nodes[-1], network.down[level].out_channels)  # type: ignore[arg-type]
        x = activated(raws[level - 1], norms[level - 1], 0.0)
        activated(raw, network.up_norms[level - 1], 0.0, x)  # type: ignore[index]
    raw = graph.conv(x, network.up[0])
    graph.nodes[-1] = _with_gap(graph.nodes[-1], network.down[0].out_channels)  # type: ignore[arg-type]
    graph.nodes.append(FloatPaint(raw))
    return graph.nodes


def graph_of(network: Generator) -> list[FloatNode]:
    """The engine's nodes for a generator, as it is used: batch norms with running statistics, folded into convolutions."""
    return _resnet_graph(network) if isinstance(network, ResnetGenerator) else _unet_graph(network)


def run_float(nodes: Sequence[FloatNode], picture: Tensor) -> Tensor:
    """The picture, -1..1, that a graph makes of another one [N, 3, H, W], -1..1."""
    maps, last = {0: picture}, last_reads(nodes)
    for place, node in enumerate(nodes):
        made = float_node(node, maps)
        if isinstance(node, FloatPaint):
            return made
        keep(node, made, maps)
        maps = {number: x for number, x in maps.items() if last.get(number, 0) > place}
    raise AssertionError("a graph that paints nothing")
