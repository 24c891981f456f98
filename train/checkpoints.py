"""Checkpoints in one safetensors file: complete or absent, with a checksum, and without code."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from fastnst.networks.weights import opened
from fastnst.system.atomic import atomic_output, remove_stale_partials


class CheckpointError(ValueError):
    """A checkpoint that is damaged, or no checkpoint; the message is one line that names the file."""


def save_checkpoint(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write ``tensors`` and ``facts``, which JSON can hold, to ``path``. A file there is replaced once all is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_stale_partials(path.parent)
    whole, text = {name: value.contiguous() for name, value in tensors.items()}, json.dumps(facts)
    data = save(whole, {"facts": text, "sha256": _digest(whole, text)})
    with atomic_output(path) as file:
        file.write(data)


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts that :func:`save_checkpoint` wrote.

    Raises:
        CheckpointError: the file is no checkpoint, or a single bit of it has changed.
    """
    try:
        with opened(path) as file:
            names = file.keys()
            tensors, metadata = {name: file.get_tensor(name) for name in names}, file.metadata()
    except (OSError, ValueError, RuntimeError) as error:
        told = str(error)
        raise CheckpointError(told if told.startswith(str(path)) else f"{path}: {told}") from None
    metadata = metadata or {}
    if "sha256" not in metadata:
        raise CheckpointError(f"{path}: has no checksum: not a checkpoint, or one of an earlier version")
    text = metadata.get("facts", "")
    if metadata["sha256"] != _digest(tensors, text):
        raise CheckpointError(f"{path}: the checksum does not match: damaged")
    return tensors, json.loads(text)


def _digest(tensors: dict[str, Tensor], text: str) -> str:
    whole = hashlib.sha256(text.encode())
    for name, value in sorted(tensors.items()):
        whole.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        whole.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return whole.hexdigest()


def link_over(source: Path, target: Path) -> None:
    """Make ``target`` a link to the content of ``source``, atomically."""
    link = target.with_name(f"{target.name}.{os.getpid()}.link")
    link.unlink(missing_ok=True)
    link.hardlink_to(source)
    link.replace(target)


def flatten_adam(optimizer: torch.optim.Adam, names: list[str]) -> dict[str, Tensor]:
    """Adam's moments and step counts as named tensors; ``names`` are those of the parameters, in their order."""
    state = optimizer.state_dict()["state"]
    return {f"adam.{name}.{key}": value for i, name in enumerate(names) for key, value in state.get(i, {}).items()}


def restore_adam(optimizer: torch.optim.Adam, names: list[str], tensors: dict[str, Tensor]) -> None:
    """Restore the state that :func:`flatten_adam` returned."""
    state = optimizer.state_dict()
    keys = ("step", "exp_avg", "exp_avg_sq")
    state["state"] = {
        i: {key: tensors[f"adam.{name}.{key}"] for key in keys}
        for i, name in enumerate(names)
        if f"adam.{name}.step" in tensors
    }
    optimizer.load_state_dict(state)
