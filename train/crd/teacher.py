"""Teachers that are trained already: that of an earlier run of the recipe ``crd``, so that several students can have the same
one, or a generator that somebody else has trained."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from fastnst.format.kinds import is_safetensors, require_weights
from fastnst.networks.weights import opened

from ..checkpoints import load_checkpoint
from ..graph import GraphNetwork, network_in
from .settings import CrdSettings

PLACES = (("best.generator.", "best.judge."), ("teacher.AtoB.", "discriminator.B."))
"""The prefixes of a teacher and its discriminator in a checkpoint: the best ones, or else the last."""
RUNS = tuple(f"model.{part}." for part in ("best", "teacher", "student"))
"""How names in a checkpoint of a run begin, whose generators have names of their own there."""


def foreign_teacher(settings: CrdSettings) -> GraphNetwork | None:
    """The generator in ``settings.teacher``, of any layout that ``fastnst convert`` knows; None if there is no such file, or if
    it is of a run of this recipe, which :func:`load_teacher` reads.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no generator, or one that the settings do not fit.
    """
    if not settings.teacher:
        return None
    path = Path(settings.teacher)
    require_weights(path)
    if is_safetensors(path):
        with opened(path) as file:
            if any(name.startswith(RUNS) for name in file.keys()):  # noqa: SIM118 - not a dict
                return None
    network = network_in(path)
    if settings.size % network.step:
        raise ValueError(f"{path}: takes pictures of multiples of {network.step} pixels, not of --size {settings.size}")
    if settings.channel_weight:
        raise ValueError(f"{path}: is no run of recipe crd, whose teachers alone show the maps that --channel-weight compares")
    if settings.adversarial_weight and settings.discriminator not in {"always", "none"}:
        raise ValueError(
            f"{path}: holds no discriminator; --discriminator always trains one beside the student, none needs none"
        )
    return network


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
