"""Loads the teacher of an earlier run of the recipe ``crd``, so that several students can have the same teacher."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from ..checkpoints import load_checkpoint

PLACES = (("best.generator.", "best.judge."), ("teacher.AtoB.", "discriminator.B."))
"""The prefixes of a teacher and its discriminator in a checkpoint: the best ones, or else the last."""


def load_teacher(path: Path, teacher: nn.Module, judge: nn.Module) -> None:
    """Fill ``teacher`` and ``judge`` from a ``last.safetensors``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds no teacher, or one of another shape.
    """
    tensors, _ = load_checkpoint(path)
    state = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    place = next((each for each in PLACES if any(name.startswith(each[0]) for name in state)), None)
    if place is None:
        raise ValueError(f"{path}: no teacher in it; expected last.safetensors of recipe crd")
    for network, prefix in zip((teacher, judge), place, strict=True):
        part: dict[str, Tensor] = {n.removeprefix(prefix): value for n, value in state.items() if n.startswith(prefix)}
        own = network.state_dict()
        if {name: value.shape for name, value in part.items()} != {name: value.shape for name, value in own.items()}:
            raise ValueError(f"{path}: {prefix.rstrip('.')} is of another kind or width than these settings ask for")
        network.load_state_dict(part)
