"""The tensors of a trained network while a layout takes them, one after another, by the names that it knows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fastnst.networks.weights import read_with_facts
from fastnst.system.digest import file_digest


class LayoutError(ValueError):
    """Tensors that are not those of a layout: one line, without the file's name."""


class Tensors:
    """Named tensors of which each is taken once."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._left = dict(tensors)
        self.parameters = 0
        """How many numbers were taken as weights and biases."""

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, *shape: int | None) -> Tensor:
        """The tensor of this name, float64, in a shape of which None may be any number.

        Raises:
            LayoutError: there is none, or it has another shape.
        """
        if name not in self._left:
            raise LayoutError(f"tensor {name} is missing")
        tensor = self._left.pop(name)
        fits = tensor.ndim == len(shape) and all(b in (None, a) for a, b in zip(tensor.shape, shape, strict=True))
        if not fits or not tensor.numel():
            wanted = ", ".join("any" if side is None else str(side) for side in shape)
            raise LayoutError(f"{name} has shape {list(tensor.shape)}, expected [{wanted}]")
        self.parameters += tensor.numel()
        return tensor.double()

    def add(self, name: str, tensor: Tensor) -> None:
        """Put in a tensor that is to be taken."""
        self._left[name] = tensor

    def rank(self, name: str) -> int:
        """How many dimensions a tensor has; 0 if there is none."""
        return self._left[name].ndim if name in self._left else 0

    def drop(self, names: Iterable[str]) -> None:
        """Leave out what is not used."""
        for name in names:
            self._left.pop(name, None)

    def count(self, pattern: str) -> int:
        """How many different numbers stand where the pattern's group is, in names that begin so: layers of a chain."""
        return len({match[1] for name in self._left if (match := re.match(pattern, name))})

    def word(self, pattern: str) -> str | None:
        """What stands where the pattern's group is, in the first of the names that begin so."""
        return next((match[1] for name in sorted(self._left) if (match := re.match(pattern, name))), None)

    def finish(self) -> None:
        """Raise LayoutError if anything is left."""
        if self._left:
            raise LayoutError(f"unexpected tensor {min(self._left)}")


@dataclass(frozen=True)
class Source:
    """A file of trained weights.

    Attributes:
        tensors: in the file's types, all finite.
        facts: what it says of itself.
        sha256: of its bytes.
    """

    path: Path
    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    sha256: str


def read_source(path: Path) -> Source:
    """A file of trained weights, ``.safetensors`` or one of PyTorch's, whatever it is called.

    Raises:
        OSError: it cannot be read.
        ValueError: one line about what is wrong with it.
    """
    tensors, facts = read_with_facts(path)
    for name in sorted(tensors):
        if not tensors[name].isfinite().all():
            raise ValueError(f"{path}: {name} holds NaN or infinity")
    return Source(path, tensors, facts, file_digest(path))


def only(sources: Sequence[Source]) -> Source:
    """The one file of a network that has one; LayoutError otherwise."""
    if len(sources) != 1:
        raise LayoutError(f"it is one file, {len(sources)} are given")
    return sources[0]
