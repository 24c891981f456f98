"""Cutting channels out of an encoder and its decoder, given as one state dict of ``encoder.*`` and ``decoder.*``.

Two ways to choose them: the published one by the norm of a channel's filter (``train.prune``), and here those that are dead:
behind the ReLU they are zero for every picture tried, so what they feed can do without them, and nothing else changes. About
half of the channels of the published small WCT networks are (An et al., arXiv 2006.09029, found the same elsewhere).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from fastnst.networks.state import encoder_widths, part_of
from fastnst.networks.vgg import layers_of, stage_of

State = dict[str, Tensor]


def cut_outputs(state: State, layer: str, kept: Tensor, readers: Sequence[str]) -> None:
    """Keep the output channels ``kept`` of ``layer``, its biases too, and the same inputs of the layers that read it."""
    for kind in ("weight", "bias"):
        state[f"{layer}.{kind}"] = state[f"{layer}.{kind}"][kept].contiguous()
    for reader in readers:
        state[f"{reader}.weight"] = state[f"{reader}.weight"][:, kept].contiguous()


def readers_of(state: Mapping[str, Tensor], layer: str) -> list[str]:
    """Who reads the output of ``layer`` (``encoder.conv2_1``): the layer that follows, and its embedding where there is one."""
    part, name = layer.split(".")
    names = layers_of(stage_in(state))
    at = names.index(name)
    if part == "decoder":
        return [f"decoder.{names[at - 1]}"] if at > 0 else []
    following = f"encoder.{names[at + 1]}" if at + 1 < len(names) else f"decoder.{name}"
    return [following, *([f"heads.{name}"] if f"heads.{name}.weight" in state else [])]


def stage_in(state: Mapping[str, Tensor]) -> int:
    """The stage that the encoder ends with."""
    return stage_of(encoder_widths(part_of(state, "encoder")))


@torch.no_grad()
def peaks(networks: nn.Module, run: Callable[[], object]) -> dict[str, Tensor]:
    """The largest output of every channel of every convolution of ``networks``, before the ReLU, during ``run()``."""
    found: dict[str, Tensor] = {}

    def note(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            peak = output.amax((0, 2, 3))
            found[name] = torch.maximum(found[name], peak) if name in found else peak

        return hook

    hooks = [m.register_forward_hook(note(name)) for name, m in networks.named_modules() if isinstance(m, nn.Conv2d)]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def without_dead(state: Mapping[str, Tensor], peak: Mapping[str, Tensor], share: float = 0.0) -> State:
    """``state`` without the channels whose :func:`peaks` are not above zero: the same outputs for the pictures tried.

    A layer that is dead altogether keeps its first channel. ``conv0`` and the picture's three channels stay.

    Args:
        state: ``encoder.*`` and ``decoder.*``, perhaps ``heads.*`` (1x1 layers that read encoder layers).
        peak: of every layer, under its name in ``state``; of networks with ReLU behind each of them.
        share: also what never comes above this share of the layer's largest peak, which changes outputs a little.
    """
    cut = dict(state)
    for part in ("encoder", "decoder"):
        for name in layers_of(stage_in(state)):
            layer = f"{part}.{name}"
            readers = readers_of(state, layer)
            kept = (peak[layer] > share * peak[layer].amax().clamp(min=0)).nonzero().flatten()
            if readers and len(kept) < len(peak[layer]):
                cut_outputs(cut, layer, kept if len(kept) else torch.zeros(1, dtype=torch.long), readers)
    return cut
