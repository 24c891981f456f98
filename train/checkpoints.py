"""Checkpoints as one safetensors file: complete or absent, and never code."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


def save_checkpoint(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write ``tensors`` and the JSON-able ``facts`` to ``path``, replacing it only once everything is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    save_file({name: value.contiguous() for name, value in tensors.items()}, partial, {"facts": json.dumps(facts)})
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What :func:`save_checkpoint` wrote."""
    with safe_open(path, framework="pt") as file:
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}, json.loads(file.metadata()["facts"])


def flatten_adam(optimizer: torch.optim.Adam, names: list[str]) -> dict[str, Tensor]:
    """Adam's moments and step counts as named tensors, parameters in the order of ``names``."""
    state = optimizer.state_dict()["state"]
    return {f"adam.{name}.{key}": value for i, name in enumerate(names) for key, value in state.get(i, {}).items()}


def restore_adam(optimizer: torch.optim.Adam, names: list[str], tensors: dict[str, Tensor]) -> None:
    """Put back what :func:`flatten_adam` took."""
    state = optimizer.state_dict()
    keys = ("step", "exp_avg", "exp_avg_sq")
    state["state"] = {
        i: {key: tensors[f"adam.{name}.{key}"] for key in keys}
        for i, name in enumerate(names)
        if f"adam.{name}.step" in tensors
    }
    optimizer.load_state_dict(state)
