"""What the three engines have in common: the types that go in and out, and the interface of a kind of model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnst._engine import Tiling
from fastnst.engine.palette import Colors
from fastnst.format.lookfile import StoredLook, required, to_bytes
from fastnst.system.atomic import atomic_output

Pixels: TypeAlias = NDArray[np.uint8]  # [H, W, 3], sRGB
Array: TypeAlias = NDArray[np.float64]
Parts: TypeAlias = list[tuple[int, Array, Array]]
"""A look as the compiled engine has it: level (0 for AdaIN), mean and spread of each."""

Read: TypeAlias = Callable[[int, Pixels], object]
"""Fills [n, W, 3] with the rows of a picture from ``first`` on. Rows are asked for in ascending order, and anew from 0."""
Write: TypeAlias = Callable[[Pixels], object]
"""Takes the next rows, [n, W, 3], which are gone when it returns."""
Tell: TypeAlias = Callable[[float], object]
"""Is told how far it is, from 0 to 1."""


class ModelError(ValueError):
    """A model file that is broken, of an unknown version, or not a model at all."""


class Look(ABC):
    """What a model keeps of a style, and the colours of the style.

    Attributes:
        kind: of its model.
        colors: for the palette step, which is left out without them.
        model: SHA-256 of the model's file and its name; None where that is not known.
    """

    kind: ClassVar[str]
    colors: Colors | None
    model: tuple[str, str] | None

    @abstractmethod
    def named_arrays(self) -> dict[str, Array]:
        """All that the network made of the style, by names."""

    def save(self, path: str | Path) -> None:
        """Write the look to a file, complete or not at all (:mod:`fastnst.format.lookfile`); ``fastnst.load_look`` reads it.

        Raises:
            ValueError: it is not known which model it is of.
            OSError: the file cannot be written.
        """
        if self.model is None:
            raise ValueError("a look that no model made cannot be saved")
        arrays = self.named_arrays()
        if self.colors is not None:
            arrays |= {"colors.mean": self.colors.mean, "colors.covariance": self.colors.covariance}
        with atomic_output(Path(path)) as file:
            file.write(to_bytes(StoredLook(self.kind, *self.model, arrays)))

    @abstractmethod
    def parts(self) -> Parts:
        """As the compiled engine has it."""

    @abstractmethod
    def arrays(self) -> list[NDArray[np.generic]]:
        """All that the network made of the style, in an order of its own: what a digest is taken of."""

    @property
    def bytes(self) -> int:
        """What it takes in memory, about."""
        return sum(array.nbytes for array in self.named_arrays().values()) + 1024

    @abstractmethod
    def mixed(self, others: Sequence[Look], weights: Sequence[float]) -> Look:
        """The weighted sum of this look and others, weights as they are.

        Raises:
            ValueError: they cannot be mixed.
        """


def mixed_colors(looks: Sequence[Look], weights: Sequence[float]) -> Colors | None:
    """The weighted sum of the colours; None where a look has none."""
    colors = [look.colors for look in looks if look.colors is not None]
    return Colors.mix(colors, weights) if len(colors) == len(looks) else None


def mixed_models(looks: Sequence[Look]) -> tuple[str, str] | None:
    """The model that all looks are of; None where that is not known.

    Raises:
        ValueError: they are of different models.
    """
    models = {look.model for look in looks if look.model is not None}
    if len({digest for digest, _ in models}) > 1:
        raise ValueError(f"looks of different models cannot be mixed: {', '.join(sorted(name for _, name in models))}")
    return next(iter(models)) if all(look.model is not None for look in looks) else None


def stored_colors(stored: StoredLook) -> Colors | None:
    """Those of a file; None where it has none."""
    if "colors.mean" not in stored.arrays:
        return None
    return Colors(*required(stored, "colors.mean", "colors.covariance"))


def weighted(arrays: Sequence[Array], weights: Sequence[float]) -> Array:
    """The weighted sum of arrays of one shape."""
    terms = (array * weight for array, weight in zip(arrays, weights, strict=True))
    return np.asarray(sum(terms, start=np.float64(0)))


class Statistics(NamedTuple):
    """Mean and standard deviation of each feature channel, float64 [C]."""

    mean: Array
    std: Array


class LayerTime(NamedTuple):
    """A layer at work, and the fewest seconds that took; ``height`` x ``width`` is its map before pooling."""

    inputs: int
    outputs: int
    kernel: int
    upsample: bool
    pool: bool
    winograd: bool
    height: int
    width: int
    seconds: float

    @property
    def macs(self) -> int:
        """Multiply-adds of the direct convolution, of an upsampled map where there is one."""
        return self.inputs * self.outputs * self.kernel**2 * self.height * self.width

    @property
    def kind(self) -> str:
        """Kernel and what goes with it."""
        return f"{self.kernel}x{self.kernel}" + " up" * self.upsample + " pool" * self.pool


class Plan(NamedTuple):
    """How a picture is done: whole, or in tiles.

    Attributes:
        tiling: None = whole. Its ``height`` and ``width`` are a tile's; ``in_memory`` says whether what is put aside between
            two passes is kept there, or in files.
        working_bytes: what the engine will allocate.
        beside: bytes of whatever is in memory beside that.
    """

    tiling: Tiling | None
    working_bytes: int
    beside: int = 0

    @property
    def bytes(self) -> int:
        """All that is planned for."""
        return self.working_bytes + self.beside


class Kind(ABC):
    """What the face has to know of one kind of model beside the compiled engine.

    Attributes:
        takes_style: or else translates pictures by itself.
        smoothable: whether the statistics that it normalises the content by can be given.
        region_bytes: at most so many are taken by the sums of a region and by what its features are transformed by.
    """

    takes_style = True
    smoothable = False
    region_bytes = 0

    @abstractmethod
    def look_of(self, parts: Parts, colors: Colors, model: tuple[str, str]) -> Look:
        """The look that the compiled engine made."""

    @abstractmethod
    def steadied(self, look: Look, content: Statistics, normalised_by: Statistics) -> Look:
        """The look that makes the engine normalise a content by other statistics than its own, which are ``content``.

        Raises:
            ValueError: the kind is not smoothable.
        """
