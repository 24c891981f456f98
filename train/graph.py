"""Recognised generators as networks that can be trained: graphs (:mod:`fastnst.convert.graph`), whatever their layout was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from fastnst.convert.builder import with_gap
from fastnst.convert.graph import FloatAffine, FloatConv, FloatNode, FloatPaint, affine, bordered, last_reads, step_of
from fastnst.convert.recognition import Recognised, recognise
from fastnst.convert.trained_generator import TrainedGenerator
from fastnst.format.graphfile import STEP

PICTURE = 3
"""Channels of map 0."""


class Norm(nn.Module):
    """What a :class:`~fastnst.convert.graph.FloatAffine` does to its source, the addition of another map excepted."""

    def __init__(self, node: FloatAffine, channels: int) -> None:
        super().__init__()
        self.node, self.channels = node, channels
        self.gain, self.shift = (None if each is None else nn.Parameter(each.float()) for each in (node.gain, node.shift))

    def forward(self, x: Tensor, style: int) -> Tensor:
        """[N, C, H, W] to the same, in one of the styles."""
        node = self.node
        gain, shift = (each[style] if each is not None and each.ndim > 1 else each for each in (self.gain, self.shift))
        return affine(x, node, gain, shift)


class Phases(nn.Module):
    """A bias for each of the four phases of a transposed convolution, [C, 4] in the order of the file."""

    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(bias.float())

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, 2 H, 2 W] to the same."""
        return x + self.bias.reshape(1, -1, 2, 2).repeat(1, 1, x.shape[2] // 2, x.shape[3] // 2)


class GraphNetwork(nn.Module):
    """A generator's graph as modules of PyTorch, which compute what :func:`~fastnst.convert.graph.run_float` does.

    Args:
        nodes: of a trained generator. Their numbers become parameters, in float32.

    Attributes:
        step: what the sides of pictures are multiples of.

    Raises:
        ValueError: a node that is no convolution reads maps of several parts.
    """

    def __init__(self, nodes: Sequence[FloatNode]) -> None:
        super().__init__()
        self.nodes, self.last, self.step = list(nodes), last_reads(nodes), step_of(nodes)
        self.layers, self.phases = nn.ModuleList(), nn.ModuleDict()
        parts: dict[int, tuple[int, ...]] = {0: (PICTURE,)}
        for place, node in enumerate(nodes):
            own = parts[node.source]
            if len(own) > 1 and (not isinstance(node, FloatConv) or node.form == "depthwise"):
                raise ValueError("a network that reads several maps at once otherwise than by a convolution of them all")
            if isinstance(node, FloatConv):
                self.layers.append(_conv(node, own))
                if node.bias.ndim > 1:
                    self.phases[str(place)] = Phases(node.bias)
                parts[node.target] = (len(node.weight),)
            elif isinstance(node, FloatAffine):
                self.layers.append(Norm(node, own[0]))
                parts[node.target] = (*parts.get(node.target, ()), own[0])
            else:
                self.layers.append(nn.Identity())

    @property
    def styles(self) -> int:
        """How many can be chosen; 0 if it has one look."""
        return max((node.styles for node in self.nodes if isinstance(node, FloatAffine)), default=0)

    def forward(self, picture: Tensor, style: int = 0) -> Tensor:
        """A picture [N, 3, H, W], RGB -1..1, with sides that the graph can halve, to another of the same shape."""
        maps = {0: [picture]}
        for place, (node, layer) in enumerate(zip(self.nodes, self.layers, strict=True)):
            parts = maps[node.source]
            x = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
            if isinstance(node, FloatPaint):
                return node.of(x)
            if isinstance(node, FloatConv):
                made = [self._convolved(place, node, x)]
            else:
                x = layer(x, style)
                x = x + maps[node.addend][0] if node.addend else x
                made = [*maps.get(node.target, []), x]
            maps[node.target] = made
            maps = {number: each for number, each in maps.items() if self.last.get(number, 0) > place}
        raise AssertionError("a graph that paints nothing")

    def with_taps(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The picture, and no maps: those of a graph have no names."""
        return self(image), []

    def _convolved(self, place: int, node: FloatConv, x: Tensor) -> Tensor:
        layer = self.layers[place]
        framed = isinstance(layer, nn.ConvTranspose2d) and layer.padding == (1, 1)
        made: Tensor = layer(x if framed else bordered(x, node, node.outside))
        phases = str(place)
        return self.phases[phases](made) if phases in self.phases else made


def _conv(node: FloatConv, parts: Sequence[int]) -> nn.Module:
    """The module of a node that reads maps of so many channels; it pads nothing, but for zeros around transposed ones."""
    outputs, kernel, inputs = len(node.weight), node.weight.shape[-1], sum(parts)
    biased = node.bias.ndim == 1
    conv: nn.Conv2d | nn.ConvTranspose2d
    with torch.device("meta"):  # where no numbers are drawn that are not used
        if node.form == "transposed":
            # Of a frame of one pixel three are cut off on each side; without a frame of zeros one.
            padding = 1 if node.border == "constant" and not node.outside else 3
            conv = nn.ConvTranspose2d(inputs, outputs, kernel, 2, padding, 4 - kernel, bias=biased)
        else:
            groups = outputs if node.form == "depthwise" else 1
            conv = nn.Conv2d(inputs, outputs, kernel, node.stride, groups=groups, bias=biased)
    weight = node.weight if node.form == "depthwise" else node.weight[:, _columns(parts)]
    conv.weight = nn.Parameter((weight.transpose(0, 1) if node.form == "transposed" else weight).float().contiguous())
    if biased:
        conv.bias = nn.Parameter(node.bias.float())
    return conv


def _columns(parts: Sequence[int]) -> list[int]:
    """Where the channels of joined maps are, each part at a multiple of what the engine takes in one step."""
    places: list[int] = []
    for width in parts:
        start = -(-(places[-1] + 1) // STEP) * STEP if places else 0
        places += range(start, start + width)
    return places


def renewed(nodes: Sequence[FloatNode], state: Mapping[str, Tensor]) -> list[FloatNode]:
    """``nodes`` with the numbers of a :class:`GraphNetwork` of this graph, ``state`` its tensors: of any widths."""

    def taken(name: str) -> Tensor | None:
        return state[name].detach().double().cpu() if name in state else None

    parts: dict[int, tuple[int, ...]] = {0: (PICTURE,)}
    result: list[FloatNode] = []
    for place, node in enumerate(nodes):
        own = f"layers.{place}"
        if isinstance(node, FloatConv):
            weight, bias, gap = state[f"{own}.weight"].detach().double().cpu(), taken(f"{own}.bias"), 0
            weight = weight.transpose(0, 1) if node.form == "transposed" else weight
            parts[node.target] = (len(weight),)
            if len(parts[node.source]) > 1:
                weight, gap = with_gap(weight, parts[node.source])
            bias = taken(f"phases.{place}.bias") if bias is None else bias
            assert bias is not None
            result.append(replace(node, weight=weight, bias=bias, gap=gap))
        elif isinstance(node, FloatAffine):
            result.append(replace(node, gain=taken(f"{own}.gain"), shift=taken(f"{own}.shift")))
            parts[node.target] = (*parts.get(node.target, ()), sum(parts[node.source]))
        else:
            result.append(node)
    return result


def numbers_of(nodes: Sequence[FloatNode]) -> int:
    """How many numbers a graph carries: weights, biases, gains and shifts."""
    total = 0
    for node in nodes:
        if isinstance(node, FloatConv):
            outputs, inputs, *taps = node.weight.shape
            total += outputs * (inputs - node.gap) * taps[0] * taps[1] + node.bias.numel()
        elif isinstance(node, FloatAffine):
            total += sum(each.numel() for each in (node.gain, node.shift) if each is not None)
    return total


def generator_in(found: Recognised) -> TrainedGenerator:
    """The generator that was recognised.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(found.trained, TrainedGenerator):
        where = ", ".join(str(source.path) for source in found.sources)
        raise ValueError(f"{where}: {found.what}, which is not an image-to-image generator")
    return found.trained


def network_in(path: Path) -> GraphNetwork:
    """The generator in a checkpoint of any layout that ``fastnst convert`` knows, frozen.

    Raises:
        OSError, ValueError: as of :func:`~fastnst.convert.recognition.recognise`; or it is no generator.
    """
    network = GraphNetwork(generator_in(recognise([path])).nodes)
    return network.eval().requires_grad_(False)
