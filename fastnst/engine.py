"""Thin Python face of the C++ engine: load, encode, decode, translate. Arrays in, arrays out; no files but the model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnst import _engine
from fastnst._engine import ColorSums, Features, Passage, Tiling
from fastnst.format.kinds import described, require_weights
from fastnst.palette import Colors, Palette, colors_of

Image = NDArray[np.uint8]

Read: TypeAlias = Callable[[int, Image], object]
"""Fills [n, W, 3] with the rows of a picture from ``first`` on. Rows are asked for in ascending order, and anew from 0."""
Write: TypeAlias = Callable[[Image], object]
"""Takes the next rows, [n, W, 3], which are gone when it returns."""
Tell: TypeAlias = Callable[[float], object]
"""Is told how far it is, from 0 to 1."""


class ModelError(ValueError):
    """A model file that is broken, of an unknown version, or not a model at all."""


@dataclass(frozen=True)
class Look:
    """What AdaIN keeps of a style: mean and standard deviation of each feature channel, float64 [C], and the colours."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    colors: Colors | None = None  # for the palette step, which is left out without them

    @staticmethod
    def mix(looks: Sequence[Look], weights: Sequence[float]) -> Look:
        """The weighted sum of several looks; weights are taken as they are (normalise them first)."""
        mean = _weighted([look.mean for look in looks], weights)
        return Look(mean, _weighted([look.std for look in looks], weights), _mixed_colors(looks, weights))


@dataclass(frozen=True)
class Coloring:
    """What WCT keeps of a style at one level: mean, float64 [C], and symmetric root of the covariance, float64 [C, C]."""

    mean: NDArray[np.float64]
    root: NDArray[np.float64]


@dataclass(frozen=True)
class WctLook:
    """What WCT keeps of a style at every level that it was encoded at, and the colours."""

    levels: Mapping[int, Coloring]
    colors: Colors | None = None  # for the palette step, which is left out without them

    @staticmethod
    def mix(looks: Sequence[WctLook], weights: Sequence[float]) -> WctLook:
        """The weighted sum of several looks, weights as they are: what blending the coloured features would give.

        Raises:
            ValueError: the looks are not of the same levels.
        """
        if any(look.levels.keys() != looks[0].levels.keys() for look in looks):
            raise ValueError("looks of different levels cannot be mixed")
        return WctLook(
            {
                level: Coloring(
                    _weighted([look.levels[level].mean for look in looks], weights),
                    _weighted([look.levels[level].root for look in looks], weights),
                )
                for level in looks[0].levels
            },
            _mixed_colors(looks, weights),
        )


AnyLook: TypeAlias = Look | WctLook


def _mixed_colors(looks: Sequence[AnyLook], weights: Sequence[float]) -> Colors | None:
    """None where a look has none."""
    colors = [look.colors for look in looks if look.colors is not None]
    return Colors.mix(colors, weights) if len(colors) == len(looks) else None


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


def _weighted(arrays: Sequence[NDArray[np.float64]], weights: Sequence[float]) -> NDArray[np.float64]:
    terms = (array * weight for array, weight in zip(arrays, weights, strict=True))
    return np.asarray(sum(terms, start=np.float64(0)))


_Levels: TypeAlias = list[tuple[int, NDArray[np.float64], NDArray[np.float64]]]


def _levels_of(look: AnyLook) -> _Levels:
    """A look as the engine has it: what there is at each level, of which an AdaIN model has one, number 0."""
    if isinstance(look, Look):
        return [(0, look.mean, look.std)]
    return [(level, coloring.mean, coloring.root) for level, coloring in look.levels.items()]


def _look_of(levels: _Levels, colors: Colors) -> AnyLook:
    if levels[0][0] == 0:
        return Look(levels[0][1], levels[0][2], colors)
    return WctLook({level: Coloring(mean, root) for level, mean, root in levels}, colors)


def _nowhere(_: object) -> None:
    """Where nothing goes: a look has no rows to write."""


def default_threads() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _what_else(path: Path, error: Exception) -> str:
    """Of a file that the engine refused with ``error``: what it is, if it is no model at all."""
    if "not a fastnst model" not in str(error):
        return str(error)
    try:
        require_weights(path)
    except ValueError as told:
        return str(told).removeprefix(f"{path}: ")
    return described(path, "a fastnst model")


class Engine:
    """A model ready to run. One engine may be used from many threads at once; every method releases the GIL.

    Args:
        model: a ``.fnst`` file, or its content.

    Attributes:
        card: what the file says about itself.
        levels: those that a WCT model has, the deepest first; empty for others. Methods take any of them as ``levels``, in any
            order, and run them from the deepest to the first; ``None`` stands for all.
        translates: whether it is a generator, which takes no style: it has :meth:`translate` instead of encoding and decoding.

    Raises:
        ModelError: not a model this version understands; says what is wrong.
        FileNotFoundError: no such file.
    """

    def __init__(self, model: str | Path | bytes) -> None:
        name = "model" if isinstance(model, bytes) else str(model)
        data = model if isinstance(model, bytes) else Path(model).read_bytes()
        try:
            self._model = _engine.load(data)
            card = json.loads(self._model.card)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{name}: {error if isinstance(model, bytes) else _what_else(Path(model), error)}") from None
        if not isinstance(card, dict):
            raise ModelError(f"{name}: the model card is no JSON object")
        self.card: dict[str, Any] = card
        self.levels = tuple(self._model.levels)
        self.translates = self._model.kind == "generator"

    def translate(self, image: Image, threads: int | None = None) -> Image:
        """What a generator makes of ``image``, uint8 [H, W, 3], of any size from 1 x 1: the same shape.

        Sides that the network cannot halve are extended by reflection, and what came of the extension is cut off.

        Raises:
            ValueError: the model is no generator.
        """
        return self._model.translate(image, threads or default_threads())

    def encode(self, image: Image, threads: int | None = None, levels: Sequence[int] | None = None) -> Features:
        """Features of ``image``, uint8 [H, W, 3], of any size from 1 x 1; those of the deepest of ``levels``.

        Sides that are not a multiple of the network's stride are extended by repeating the last row and column.
        """
        return self._model.encode(image, levels, threads or default_threads())

    def look(self, image: Image, threads: int | None = None, levels: Sequence[int] | None = None) -> AnyLook:
        """The style statistics of ``image``, uint8 [H, W, 3], at each of ``levels``, and its colours."""
        threads = threads or default_threads()
        return _look_of(self._model.look(image, levels, threads), colors_of(image, threads))

    def decode(self, content: Features, look: AnyLook, alpha: float = 1.0, threads: int | None = None) -> Image:
        """The picture of ``content`` with its features blended ``alpha`` of the way to ``look``: uint8 [H, W, 3].

        As the network makes it: the palette step is the caller's (:class:`fastnst.palette.Palette`).
        WCT goes on through the levels that ``content`` was encoded for, each with the same ``alpha``.

        Raises:
            ValueError: the content or the look is another model's, a level is missing, or a number is out of range.
        """
        return self._model.decode(content, _levels_of(look), alpha, threads or default_threads())

    def layer_times(self, height: int, width: int, threads: int | None = None, repeats: int = 5) -> list[LayerTime]:
        """The layers of an AdaIN model, encoder's first, each run alone ``repeats`` times for a picture of this size.

        Raises:
            ValueError: the model is of another kind, or the size is none.
        """
        return [LayerTime(*each) for each in self._model.layer_times(height, width, threads or default_threads(), repeats)]

    def working_bytes(self, height: int, width: int, levels: Sequence[int] | None = None, threads: int | None = 1) -> int:
        """Bytes the engine allocates to stylize a picture of this size: its plan, features included, weights not."""
        return self._model.working_bytes(height, width, levels, threads or default_threads())

    def tiling(
        self,
        size: tuple[int, int],
        budget: int,
        threads: int | None = None,
        levels: Sequence[int] | None = None,
        *,
        decodes: bool = True,
    ) -> Tiling:
        """How a picture of ``size`` (height, width) is best cut into tiles, within ``budget`` bytes of working memory.

        Its ``height`` and ``width`` are a tile's, its ``bytes`` what will be allocated, the rows that are read and written
        included; ``in_memory`` says whether features are kept there between encoding and decoding, or in a file.

        Args:
            decodes: whether it is for :meth:`stylize_tiled`, or else :meth:`look_tiled`.

        Raises:
            ValueError: the budget is too small, says how much it takes; or the model cannot be run in tiles: generators
                normalise by statistics of every layer's map.
        """
        return self._model.tiling(*size, levels, threads or default_threads(), budget, decodes)

    def stylize_tiled(
        self,
        size: tuple[int, int],
        read: Read,
        write: Write,
        look: AnyLook,
        alpha: float,
        tiling: Tiling,
        folder: str,
        threads: int | None = None,
        levels: Sequence[int] | None = None,
        tell: Tell = lambda _: None,
        palette: Palette | None = None,
    ) -> None:
        """Encode and decode a picture of ``size`` (height, width) tile by tile, with the pixels of the whole at once.

        Args:
            palette: the palette step that follows. It has to see the whole picture first, which is put aside in ``folder``
                until then: 3 bytes for each pixel.
            folder: where features lie between the two passes, in a file without a name, unless the tiling keeps them in memory.

        Raises:
            ValueError: as :meth:`decode`.
            RuntimeError: the disk is full or fails; names ``folder``.
        """
        passage = Passage(*size, read, write, tell, threads or default_threads())
        step = (palette.colors, palette.strength) if palette is not None and palette.strength else None
        self._model.stylize_tiled(passage, levels, _levels_of(look), alpha, tiling, os.fsencode(folder), step)

    def look_tiled(
        self,
        size: tuple[int, int],
        read: Read,
        tiling: Tiling,
        threads: int | None = None,
        levels: Sequence[int] | None = None,
    ) -> AnyLook:
        """As :meth:`look`, tile by tile; WCT reads the picture once for each level."""
        threads, sums, seen = threads or default_threads(), ColorSums(), 0

        def read_and_sum(first: int, rows: Image) -> None:
            nonlocal seen
            read(first, rows)
            new = rows[max(0, seen - first) :]  # of the first pass
            if len(new):
                sums.add(new, threads)
            seen = max(seen, first + len(rows))

        passage = Passage(*size, read_and_sum, _nowhere, _nowhere, threads)
        return _look_of(self._model.look_tiled(passage, levels, tiling), Colors(*sums.colors()))

    @staticmethod
    def mix(looks: Sequence[AnyLook], weights: Sequence[float]) -> AnyLook:
        """The weighted sum of several looks of one kind of model; see their own ``mix``.

        Raises:
            ValueError: looks of both kinds.
        """
        adain = [look for look in looks if isinstance(look, Look)]
        wct = [look for look in looks if isinstance(look, WctLook)]
        if adain and wct:
            raise ValueError("looks of an AdaIN and of a WCT model cannot be mixed")
        return Look.mix(adain, weights) if adain else WctLook.mix(wct, weights)


def instruction_sets() -> list[tuple[str, bool]]:
    """Every compiled instruction-set path in order of priority, and whether this processor can run it."""
    return _engine.instruction_sets()


def instruction_set() -> str:
    """The path in use: the first that can run, or the one ``FASTNST_ISA`` names.

    Raises:
        RuntimeError: ``FASTNST_ISA`` names a path that is unknown or cannot run here.
    """
    return _engine.instruction_set()
