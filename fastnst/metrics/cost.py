"""What a network costs: parameters, live ones among them, and multiply-accumulates, counted on the modules themselves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


def parameters(network: nn.Module) -> int:
    """All numbers that the network carries, frozen ones included."""
    return sum(p.numel() for p in network.parameters())


@torch.no_grad()
def macs(network: nn.Module, *inputs: Tensor, transposed_at_output: bool = False) -> int:
    """Multiply-accumulates of all convolutions and linear layers in one pass over ``inputs``; biases and the rest not counted.

    Counted on what really runs: shapes are those that the layers see.

    Args:
        transposed_at_output: count a transposed convolution's kernel at every output as papers on GANs do, not at every input
            where it is applied: with stride 2 four times as much.
    """
    total = 0

    def convolution(layer: nn.Module, _inputs: object, output: Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, Tensor)
        if isinstance(layer, nn.ConvTranspose2d):
            assert isinstance(_inputs, tuple)
            places = output if transposed_at_output else _inputs[0]
            total += weight.numel() * (places.numel() // places.shape[1])
        else:
            total += weight[0].numel() * output.numel()

    kinds = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    hooks = [layer.register_forward_hook(convolution) for layer in network.modules() if isinstance(layer, kinds)]
    try:
        network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return total


class LiveParameters:
    """Counts the parameters of a chain of convolutions without those of dead channels, from what it computes while in use.

    A channel is dead if ReLU makes it zero everywhere in every picture: it, and what reads it, could be removed.

    Args:
        layers: in the order in which they run, each reading the output of the one before; the last one writes the picture,
            whose channels all count.
    """

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        self.layers = layers
        self.alive = [torch.zeros(layer.out_channels, dtype=torch.bool) for layer in layers]
        self.hooks: list[RemovableHandle] = []

    def __enter__(self) -> LiveParameters:
        """Begin to watch."""

        def watch(alive: Tensor, output: Tensor) -> None:
            alive |= (output > 0).any(-1).any(-1).any(0)

        for layer, alive in zip(self.layers, self.alive, strict=True):
            self.hooks.append(layer.register_forward_hook(lambda _layer, _inputs, output, alive=alive: watch(alive, output)))
        return self

    def __exit__(self, *_: object) -> None:
        """Watch no longer."""
        while self.hooks:
            self.hooks.pop().remove()

    def count(self) -> int:
        """Weights between live channels, and their biases, by all that was seen so far."""
        alive = [*(int(each.sum()) for each in self.alive[:-1]), self.layers[-1].out_channels]
        total = 0
        for layer, inputs, outputs in zip(self.layers, (self.layers[0].in_channels, *alive), alive, strict=False):
            total += outputs * (inputs * layer.weight[0, 0].numel() + 1)
        return total
