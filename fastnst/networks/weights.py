"""Files of weights: safetensors, and where they are welcome PyTorch's own; everything else is told apart in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from fastnst.format.kinds import described, is_pytorch, is_safetensors, require_weights
from fastnst.networks.checkpoints import read_checkpoint, without_prefixes


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A safetensors file, as ``safe_open`` gives it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is something else, which one line names, or damaged.
    """
    require_weights(path)
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, json.JSONDecodeError, UnicodeDecodeError) as error:
        other = None if is_safetensors(path) else described(path, "a safetensors file")
        raise ValueError(f"{path}: {other or 'a damaged safetensors file'}: {error}") from None


def read(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file as they are; errors as of :func:`opened`."""
    with opened(Path(path)) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict


def metadata(file: Any) -> dict[str, Any]:
    """What an opened file says of itself: what a recipe of fastnst wrote (``facts``), and ``source`` and ``licence`` by the
    names that others use for them."""
    told: dict[str, str] = file.metadata() or {}
    facts = json.loads(told.get("facts", "{}"))
    found = facts if isinstance(facts, dict) else {}
    for name, aliases in ALIASES.items():
        given = next((told[alias] for alias in aliases if told.get(alias, "").strip()), None)
        if given is not None:
            found.setdefault(name, given.strip())
    return found


ALIASES = {
    "source": ("source", "modelspec.author", "author"),
    "licence": ("licence", "license", "modelspec.license"),
    "distilled_from": ("distilled_from",),
    "training_data": ("training_data",),
}
"""Names of a safetensors file's metadata; those with a dot are ModelSpec's."""


def read_any(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of one of PyTorch's (:mod:`.checkpoints`), in float32.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds something else; one line.
    """
    return {name: value.float() for name, value in read_with_facts(Path(path))[0].items()}


def read_with_facts(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """As :func:`read_any`, tensors in their own types, and what a safetensors file says of itself."""
    require_weights(path)
    if is_pytorch(path):
        return read_checkpoint(path), {}
    with opened(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        return without_prefixes(tensors, path), metadata(file)
