"""What the three engines have in common: the types that go in and out, and the interface of a kind of model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnst._engine import Tiling
from fastnst.engine.palette import Colors

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
        colors: for the palette step, which is left out without them.
    """

    colors: Colors | None

    @abstractmethod
    def parts(self) -> Parts:
        """As the compiled engine has it."""

    @abstractmethod
    def arrays(self) -> list[NDArray[np.generic]]:
        """All that the network made of the style, in an order of its own: what a digest is taken of."""

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


@dataclass(frozen=True)
class Plan:
    """How a picture is done: whole, or in tiles.

    Attributes:
        tiling: None = whole. Its ``height`` and ``width`` are a tile's; ``in_memory`` says whether features are kept there
            between encoding and decoding, or in a file.
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
        tileable: whether it can be run in tiles.
        smoothable: whether the statistics that it normalises the content by can be given.
    """

    takes_style = True
    tileable = True
    smoothable = False

    @abstractmethod
    def look_of(self, parts: Parts, colors: Colors) -> Look:
        """The look that the compiled engine made."""

    @abstractmethod
    def steadied(self, look: Look, content: Statistics, normalised_by: Statistics) -> Look:
        """The look that makes the engine normalise a content by other statistics than its own, which are ``content``.

        Raises:
            ValueError: the kind is not smoothable.
        """
