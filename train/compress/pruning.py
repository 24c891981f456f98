"""Makes a generator's graph narrower: channels that hang together are found by Torch-Pruning (Fang et al., "DepGraph", CVPR
2023), and those that count least are removed.

How much a channel counts: of each convolution that reads it, the share of the energy of all products, its weights' squares
times the mean square of what it holds over some pictures (that of Sun et al., "Wanda", ICLR 2024, for whole channels), summed
over the convolutions that read it. The size of the filters that make a channel says nothing here, for the instance norm
behind them undoes it.

Every group of channels keeps about the same share, such that the whole has as many multiply-accumulates as wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from fastnst.convert.graph import FloatConv, FloatNode
from fastnst.convert.trained_generator import TrainedGenerator

from ..graph import PICTURE, GraphNetwork, Norm, Phases, renewed

SIDE = 4
"""Of the picture that a graph is traced with, in pixels of its smallest map: enough to reflect the edges of 7x7 and 9x9."""
LEAST = 8
"""Steps of width that a group has at least before any is removed: narrower ones have smaller steps."""


@dataclass(frozen=True)
class Coupled:
    """Channels that can only be removed together: of ``root``'s outputs and all that hangs on them.

    Attributes:
        root: the name of a convolution.
        channels: how many there are.
        step: that widths are multiples of.
        score: how much each counts, [channels].
    """

    root: str
    channels: int
    step: int
    score: Tensor

    def width(self, share: float) -> int:
        """The width that is this share of the present one, in whole steps and at least one."""
        return min(self.channels, max(self.step, int(share * self.channels / self.step + 1e-9) * self.step))

    def removed(self, width: int) -> list[int]:
        """The channels to remove to come to a width."""
        return sorted(self.score.argsort(stable=True)[: self.channels - width].tolist())


@dataclass
class Cost:
    """Multiply-accumulates of a convolution, all its channels present, and which groups they belong to: its outputs, if to
    any, and so many of its inputs."""

    macs: float
    inputs: int
    outputs: int | None = None
    read: dict[int, int] = field(default_factory=dict)

    def at(self, shares: Sequence[float]) -> float:
        """What is left of it if these shares of the groups are."""
        macs = self.macs if self.outputs is None else self.macs * shares[self.outputs]
        return macs * (1 - sum(count * (1 - shares[group]) for group, count in self.read.items()) / self.inputs)


class Pruner:
    """Cuts a network.

    Args:
        trained: a generator.
        energies: see :func:`energies_of`.
        multiple: widths are multiples of it where there are channels enough; the engine computes 16 at a time.

    Raises:
        ModuleNotFoundError: of ``torch_pruning``.
    """

    def __init__(self, trained: TrainedGenerator, energies: dict[str, Tensor], multiple: int) -> None:
        self.trained, self.energies, self.multiple = trained, energies, multiple
        self.network = GraphNetwork(trained.nodes)
        self.costs = {
            f"layers.{place}": Cost(macs, node.weight.shape[1] - node.gap)
            for place, (node, macs) in trained.macs_per_pixel_by_node.items()
        }
        self.coupled: list[Coupled] = []
        with traced(self.network, trained.step) as self.graph:
            self._find_groups()

    def at(self, ratio: float) -> list[FloatNode]:
        """The graph with at most this share of its multiply-accumulates, and as near to it as whole steps of width come.

        Raises:
            ValueError: not even the narrowest graph has so few.
        """
        whole, share, high = self.cost([group.channels for group in self.coupled]), 0.0, 1.0
        if (least := self.cost(self._widths(0.0))) > ratio * whole:
            raise ValueError(f"ratio: expected at least {least / whole:.3g} for this network, got {ratio:g}")
        for _ in range(40):
            middle = (share + high) / 2
            share, high = (middle, high) if self.cost(self._widths(middle)) <= ratio * whole else (share, middle)
        widths = self._filled(self._widths(share), share, ratio * whole)
        for group, width in zip(self.coupled, widths, strict=True):
            if removed := group.removed(width):
                root = self.network.get_submodule(group.root)
                self.graph.get_pruning_group(root, self.graph.get_pruner_of_module(root).prune_out_channels, removed).prune()
        return renewed(self.trained.nodes, self.network.state_dict())

    def cost(self, widths: Sequence[int]) -> float:
        """Multiply-accumulates for one pixel of the picture with these widths of the groups."""
        shares = [width / group.channels for width, group in zip(widths, self.coupled, strict=True)]
        return sum(each.at(shares) for each in self.costs.values())

    def _widths(self, share: float) -> list[int]:
        return [group.width(share) for group in self.coupled]

    def _filled(self, widths: list[int], share: float, wanted: float) -> list[int]:
        """``widths`` with a further step for each group that has room for it, those first that rounding has cut most."""

        def missing(place: int) -> float:
            return share - widths[place] / self.coupled[place].channels

        for place in sorted(range(len(widths)), key=missing, reverse=True):
            wider = min(widths[place] + self.coupled[place].step, self.coupled[place].channels)
            tried = [*widths[:place], wider, *widths[place + 1 :]]
            if self.cost(tried) <= wanted:
                widths = tried
        return widths

    def _find_groups(self) -> None:
        names = {module: name for name, module in self.network.named_modules()}
        fixed = [self.network.layers[place] for place in _fixed(self.trained.nodes)]
        convs = (nn.Conv2d, nn.ConvTranspose2d)
        for group in self.graph.get_all_groups(ignored_layers=fixed, root_module_types=convs):
            number, channels = len(self.coupled), len(group[0].idxs)
            if channels <= PICTURE:  # they are one, on its way to the end
                continue
            score = torch.zeros(channels, dtype=torch.float64)
            for item in group:
                module = item.dep.target.module
                if not isinstance(module, convs):
                    continue
                cost = self.costs[names[module]]
                if module.groups > 1 or self.graph.is_out_channel_pruning_fn(item.dep.handler):
                    cost.outputs = number
                else:
                    cost.read[number] = len(item.idxs)
                    score.index_add_(0, torch.tensor(item.root_idxs), self._shares(names[module], module)[item.idxs])
            step = self.multiple
            while step > 1 and channels < LEAST * step:
                step //= 2
            self.coupled.append(Coupled(names[group[0].dep.target.module], channels, step, score))

    def _shares(self, name: str, conv: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
        """The part of each input channel in the energy of a convolution's products."""
        dims = (1, 2, 3) if isinstance(conv, nn.ConvTranspose2d) else (0, 2, 3)
        products = conv.weight.detach().double().square().sum(dims) * self.energies[name]
        return products / products.sum().clamp(min=1e-30)


@torch.no_grad()
def energies_of(network: GraphNetwork, pictures: Tensor) -> dict[str, Tensor]:
    """The mean squares of the channels that each convolution reads, float64 [C] by its name, over pictures [N, 3, H, W]; in all
    styles, one after another."""
    sums: dict[str, Tensor] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            energy = inputs[0].double().square().mean((0, 2, 3))
            sums[name] = sums.get(name, torch.zeros_like(energy)) + energy

        return hook

    convs = {name: each for name, each in network.named_modules() if isinstance(each, nn.Conv2d | nn.ConvTranspose2d)}
    hooks = [each.register_forward_pre_hook(note(name)) for name, each in convs.items()]
    try:
        for i in range(max(len(pictures), network.styles)):
            network(pictures[i % len(pictures)][None], i % max(1, network.styles))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: each.cpu() for name, each in sums.items()}


def pruned(trained: TrainedGenerator, ratio: float, multiple: int, pictures: Tensor) -> list[FloatNode]:
    """A generator's graph at this share of its multiply-accumulates; see the module.

    Args:
        ratio: above 0, at most 1.
        multiple: of channels; see :class:`Pruner`.
        pictures: [N, 3, H, W], -1..1, with sides that the graph can halve.

    Raises:
        ValueError: the ratio is too small for the network.
        ModuleNotFoundError: of ``torch_pruning``.
    """
    energies = energies_of(GraphNetwork(trained.nodes).eval(), pictures)
    return Pruner(trained, energies, multiple).at(ratio)


def _fixed(nodes: Sequence[FloatNode]) -> list[int]:
    """The places of convolutions whose channels are those of a picture: the one that paints, and those of each channel of the
    picture that is translated."""
    painted = nodes[-1].source
    return [
        place
        for place, node in enumerate(nodes)
        if isinstance(node, FloatConv) and (node.target == painted or (node.form == "depthwise" and node.source == 0))
    ]


def _of_itself(x: Tensor, style: int) -> Tensor:  # noqa: ARG001
    return x * 1.0


@contextmanager
def traced(network: GraphNetwork, step: int) -> Iterator[Any]:
    """Which channels of a network hang together, as Torch-Pruning's graph of dependencies.

    Norms couple each channel with itself. PyTorch computes them through views of other shapes, which would be taken for
    couplings of other channels, so for the trace they multiply by 1.

    Args:
        step: what the sides of its pictures are multiples of.
    """
    import torch_pruning

    class OfChannels(torch_pruning.pruner.function.BasePruningFunc):  # type: ignore[misc]
        """Cuts what has its channels in the last dimension but for :class:`Phases`, where it is the first."""

        def prune_out_channels(self, layer: nn.Module, idxs: Sequence[int]) -> nn.Module:
            for name, value in list(layer.named_parameters(recurse=False)):
                axis = 0 if isinstance(layer, Phases) else value.ndim - 1
                kept = torch.tensor(sorted(set(range(value.shape[axis])) - set(idxs)))
                setattr(layer, name, nn.Parameter(value.detach().index_select(axis, kept)))
            if isinstance(layer, Norm):
                layer.channels -= len(idxs)
            return layer

        prune_in_channels = prune_out_channels

        def get_out_channels(self, layer: nn.Module) -> int:
            return layer.channels if isinstance(layer, Norm) else len(layer.bias)  # type: ignore[arg-type]

        get_in_channels = get_out_channels

    norms = [each for each in network.modules() if isinstance(each, Norm)]
    for norm in norms:
        norm.forward = _of_itself  # type: ignore[method-assign]
    of_channels = OfChannels()
    picture = torch.zeros(1, PICTURE, SIDE * step, SIDE * step)
    graph = torch_pruning.DependencyGraph()
    with torch.enable_grad():
        graph.build_dependency(network, picture, customized_pruners={Norm: of_channels, Phases: of_channels}, verbose=False)
    try:
        yield graph
    finally:
        for norm in norms:
            del norm.forward
