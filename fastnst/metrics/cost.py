"""What a network costs: parameters, live channels and multiply-accumulates, counted on the modules themselves."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


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


@torch.no_grad()
def live_channels(maps: Callable[[Tensor], list[Tensor]], images: list[Tensor]) -> list[int]:
    """For each map that ``maps`` gives of an image [1, 3, H, W], how many channels are not zero for all ``images``."""
    alive: list[Tensor] | None = None
    for image in images:
        seen = [(x != 0).any(-1).any(-1).any(0) for x in maps(image)]
        alive = seen if alive is None else [a | b for a, b in zip(alive, seen, strict=True)]
    return [int(each.sum()) for each in alive or []]
