"""What the three engines have in common: the types that go in and out, and what a kind of model has to offer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnst._engine import AdainFeatures, Passage, Tiling, WctFeatures
from fastnst.engine.palette import Colors

Pixels: TypeAlias = NDArray[np.uint8]  # [H, W, 3], sRGB
Array: TypeAlias = NDArray[np.float64]
Features: TypeAlias = AdainFeatures | WctFeatures
PaletteStep: TypeAlias = tuple[Colors, float]
"""The colours that a picture is mapped to, and how far."""

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
    """One kind of model, loaded. Arguments are those of :class:`fastnst.engine.Engine`, complete and checked there.

    Attributes:
        name: in messages.
        takes_style: or else translates pictures by itself.
        tileable: whether it can be run in tiles.
        smoothable: whether the statistics that it normalises the content by can be given (see ``decode``).
        levels: those that it runs, the deepest first.
    """

    name: str
    takes_style = True
    tileable = True
    smoothable = False
    levels: tuple[int, ...] = ()

    @abstractmethod
    def with_levels(self, levels: Sequence[int]) -> Kind: ...

    @abstractmethod
    def working_bytes(self, height: int, width: int, threads: int) -> int: ...

    @abstractmethod
    def tiling(self, height: int, width: int, threads: int, budget: int, decodes: bool) -> Tiling: ...

    @abstractmethod
    def translate(self, image: Pixels, threads: int) -> Pixels: ...

    @abstractmethod
    def encode(self, image: Pixels, threads: int) -> Features: ...

    @abstractmethod
    def look(self, image: Pixels, threads: int, colors: Callable[[], Colors]) -> Look: ...

    @abstractmethod
    def decode(self, content: Features, look: Look, alpha: float, threads: int, normalised_by: Statistics | None) -> Pixels: ...

    @abstractmethod
    def stylize_tiled(
        self, passage: Passage, look: Look, alpha: float, tiling: Tiling, folder: bytes, palette: PaletteStep | None
    ) -> None: ...

    @abstractmethod
    def look_tiled(self, passage: Passage, tiling: Tiling, colors: Callable[[], Colors]) -> Look: ...

    @abstractmethod
    def layer_times(self, height: int, width: int, threads: int, repeats: int) -> list[LayerTime]: ...

    def no_levels(self, *_: Any, **__: Any) -> NoReturn:
        """Stands for ``with_levels`` of a kind that has none."""
        raise ValueError(f"levels are WCT's to choose; this is {self.name}")

    def not_timed(self, *_: Any, **__: Any) -> NoReturn:
        """Stands for ``layer_times`` of a kind whose layers do not run one after the other."""
        raise ValueError(f"this is {self.name}: layers are timed of AdaIN models alone")

    def needs_style(self, *_: Any, **__: Any) -> NoReturn:
        """Stands for ``translate`` of a kind that takes a style."""
        raise ValueError(f"this is {self.name}: it needs a style")
