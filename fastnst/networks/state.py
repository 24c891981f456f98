"""Tensors of checkpoints, by name: parts of them, the widths that they tell, and networks filled with them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from fastnst.networks.vgg import ALL_LAYERS, stage_of

State = Mapping[str, Tensor]


def part_of(state: State, part: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``part.``, without that."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): x for name, x in state.items() if name.startswith(prefix)}


def encoder_widths(encoder: State) -> tuple[int, ...]:
    """Output channels of an encoder's layers.

    Raises:
        ValueError: no stage has as many layers.
    """
    return _widths(encoder, 0)


def decoder_widths(decoder: State) -> tuple[int, ...]:
    """Input channels of a decoder's layers, in the encoder's order; ``ValueError`` as above."""
    return _widths(decoder, 1)


def _widths(tensors: State, axis: int) -> tuple[int, ...]:
    weights = (tensors.get(f"{name}.weight") for name in ALL_LAYERS)
    widths = tuple(weight.shape[axis] for weight in weights if weight is not None and weight.ndim == 4)
    stage_of(widths)
    return widths


def fill(network: nn.Module, tensors: State, whose: str) -> None:
    """Put ``tensors`` into ``network``.

    Args:
        whose: what the tensors are called where something is wrong with them: a file, or a side of one.

    Raises:
        ValueError: one is missing, left over or of another shape; one line.
    """
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in wanted:
            raise ValueError(f"{whose}: unexpected tensor {name}")
        if name not in tensors:
            raise ValueError(f"{whose}: tensor {name} is missing")
        if tuple(tensors[name].shape) != wanted[name]:
            raise ValueError(f"{whose}: {name} has shape {list(tensors[name].shape)}, expected {list(wanted[name])}")
    network.load_state_dict(dict(tensors))
