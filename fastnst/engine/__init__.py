"""A thin Python interface to the C++ engine: load, encode, decode, translate. The model is a file, all else are arrays."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastnst import _engine
from fastnst._engine import ColorSums, Features, RowIO, Tiling
from fastnst.engine.adain import AdainLook
from fastnst.engine.base import (
    LayerTime,
    Look,
    ModelError,
    Parts,
    Pixels,
    Plan,
    Read,
    Statistics,
    Tell,
    Write,
)
from fastnst.engine.kinds import kind_of, look_of
from fastnst.engine.palette import Colors, Palette, RegionPalette, colors_of
from fastnst.engine.regions import Regions
from fastnst.engine.shipped import is_shipped, shipped_model
from fastnst.format.lookfile import LookError, from_bytes
from fastnst.system.threads import default_threads

__all__ = [
    "AdainLook",
    "ColorSums",
    "Engine",
    "Features",
    "LayerTime",
    "Look",
    "LookError",
    "ModelError",
    "Pixels",
    "Plan",
    "Read",
    "Regions",
    "Statistics",
    "Tell",
    "Write",
    "default_threads",
    "instruction_set",
    "instruction_sets",
    "load_look",
]


def _nowhere(_: object) -> None:
    """Where nothing goes: a look has no rows to write."""


def _what_else(path: Path, error: Exception) -> str:
    """Of a file that the engine refused with ``error``: what it is, if it is no model at all."""
    if "not a fastnst model" not in str(error):
        return str(error)
    from fastnst.format.kinds import described, require_weights

    try:
        require_weights(path)
    except ValueError as told:
        return str(told).removeprefix(f"{path}: ")
    return described(path, "a fastnst model")


def _digest(data: bytes) -> str:
    """SHA-256 of a model file, by the engine: Python's would load OpenSSL, which takes as long as the engine itself."""
    return _engine.sha256(data, portable=False).hex()


class Engine:
    """A model ready to run. One engine may be used from many threads at once; every method releases the GIL.

    It may be pickled: one that ships by its name, any other with the bytes of its file, which need not be there again.

    Args:
        model: a ``.fnst`` file, or its content.

    Attributes:
        card: what the file says about itself.
        identity: SHA-256 of the file, and the name on its card: of which model a look is.

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
            raise ModelError(f"{name}: the model card is not a JSON object")
        self.card: dict[str, Any] = card
        self.identity = _digest(data), str(card.get("name", Path(name).stem))
        self._file = Path(name).stem if not isinstance(model, bytes) and is_shipped(Path(model)) else data
        self._kind, self._levels = kind_of(self._model.kind), tuple(self._model.levels)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_model"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        data = self._file if isinstance(self._file, bytes) else shipped_model(self._file).read_bytes()
        if _digest(data) != self.identity[0]:
            raise ModelError(f"{self.identity[1]}: the fastnst here ships another model of this name than the one pickled")
        self._model = _engine.load(data)

    @property
    def _run(self) -> tuple[int, ...] | None:
        """The levels as the compiled engine takes them."""
        return self._levels or None

    @property
    def takes_style(self) -> bool:
        """Whether it has encoding and decoding, or else :meth:`translate`."""
        return self._kind.takes_style

    @property
    def smoothable(self) -> bool:
        """Whether :meth:`decode` takes ``normalised_by``."""
        return self._kind.smoothable

    @property
    def usual_bytes(self) -> int:
        """Bytes of working memory for each pixel that a picture may take where nobody says how many."""
        return self._model.usual_bytes

    @property
    def region_bytes(self) -> int:
        """What each region of a picture takes, at most."""
        return self._kind.region_bytes

    @property
    def levels(self) -> tuple[int, ...]:
        """Those of a WCT model that are run, the deepest first; empty for others."""
        return self._levels

    def with_levels(self, levels: Sequence[int] | None) -> Engine:
        """The same model running some of its levels alone, from the deepest to the first in whatever order they are given;
        None stands for all.

        Raises:
            ValueError: the model has no such levels, or none at all.
        """
        if levels is None:
            return self
        self._model.working_bytes(1, 1, list(levels), 1)  # says what is wrong with them
        chosen = copy.copy(self)
        chosen._levels = tuple(sorted(levels, reverse=True))
        return chosen

    @property
    def styles(self) -> int:
        """How many styles a generator has, to choose and mix; 0 if it has one look, and of other models."""
        return self._model.styles

    def translate(self, image: Pixels, threads: int | None = None, *, styles: Sequence[float] | None = None) -> Pixels:
        """What a generator makes of ``image``, uint8 [H, W, 3], of any size from 1 x 1: the same shape.

        Sides that the network cannot halve are extended by reflection, and what came of the extension is cut off.

        Args:
            styles: the part of each of the generator's styles, 0..1, taken as they are; without it, the first style alone.

        Raises:
            ValueError: the model is no generator, or ``styles`` are not the parts of its styles.
        """
        return self._model.translate(image, list(styles or ()), threads or default_threads())

    def encode(self, image: Pixels, threads: int | None = None) -> Features:
        """Features of ``image``, uint8 [H, W, 3], of any size from 1 x 1; those of the deepest level.

        Sides that are not a multiple of the network's stride are extended by repeating the last row and column.
        """
        return self._model.encode(image, self._run, threads or default_threads())

    def look(self, image: Pixels, threads: int | None = None) -> Look:
        """The style statistics of ``image``, uint8 [H, W, 3], at each level, and its colours."""
        threads = threads or default_threads()
        return self._kind.look_of(self._model.look(image, self._run, threads), colors_of(image, threads), self.identity)

    def decode(
        self,
        content: Features,
        look: Look | None,
        alpha: float = 1.0,
        threads: int | None = None,
        *,
        normalised_by: Statistics | None = None,
        regions: Regions | None = None,
    ) -> Pixels:
        """The picture of ``content`` with its features blended ``alpha`` of the way to ``look``: uint8 [H, W, 3].

        As the network makes it: the palette step is the caller's (:class:`fastnst.engine.palette.Palette`).
        WCT goes on through the levels that ``content`` was encoded for, each with the same ``alpha``.

        Args:
            look: of what no region covers; None = it is not painted.
            normalised_by: the statistics that AdaIN normalises the features by, instead of their own.
            regions: each with a look of its own, to which its own statistics are moved. What is not painted is made of the
                content's features as they are; :meth:`Regions.kept` puts the content itself there.

        Raises:
            ValueError: the content or a look is another model's, a level is missing, a number is out of range, or
                ``normalised_by`` is given with regions, or to a model that is not :attr:`smoothable`.
        """
        parts, compiled, looks = self._painting(look, regions)
        if normalised_by is not None:
            if look is None or regions is not None:
                raise ValueError("regions are normalised by their own statistics alone")
            parts = self._kind.steadied(look, Statistics(*content.statistics()), normalised_by).parts()
        return self._model.decode(content, parts, alpha, threads or default_threads(), compiled, looks)

    def _painting(self, look: Look | None, regions: Regions | None) -> tuple[Parts, _engine.Regions | None, list[Parts]]:
        """Looks and regions as the compiled engine has them, once they are known to be this model's."""
        looks = regions.looks if regions is not None else ()
        for each in (look, *looks):
            if each is not None:
                self.check_look(each)
        compiled = None if regions is None else regions.compiled
        return [] if look is None else look.parts(), compiled, [each.parts() for each in looks]

    def check_look(self, look: Look) -> None:
        """Raise LookError, a ValueError, if the look says that it is of another model."""
        if look.model is not None and look.model[0] != self.identity[0]:
            mine, other = self.identity[1], look.model[1]
            which = f"another {mine} than this one" if mine == other else f"{other}, and this is {mine}"
            raise LookError(f"the look is of the model {which}")

    def layer_times(self, height: int, width: int, threads: int | None = None, repeats: int = 5) -> list[LayerTime]:
        """The layers of an AdaIN model, encoder's first, each run alone ``repeats`` times for a picture of this size.

        Raises:
            ValueError: the model is of another kind, or the size is none.
        """
        return [LayerTime(*each) for each in self._model.layer_times(height, width, threads or default_threads(), repeats)]

    def working_bytes(self, height: int, width: int, threads: int | None = None) -> int:
        """Bytes the engine allocates to stylize a picture of this size whole: features included, weights not."""
        return self._model.working_bytes(height, width, self._run, threads or default_threads())

    def plan(
        self,
        size: tuple[int, int],
        budget: int,
        threads: int | None = None,
        *,
        beside: int | None = 0,
        beside_tiles: int = 0,
        decodes: bool = True,
    ) -> Plan:
        """Whether a picture of ``size`` (height, width) is done whole or in tiles, so that it takes at most ``budget`` bytes.

        Args:
            beside: bytes of other things if it is done whole; None if it has to be done in tiles.
            beside_tiles: bytes of other things if it is done in tiles.
            decodes: whether a picture is made, or else a look.

        Raises:
            ValueError: the budget is too small, says how much it takes.
        """
        threads = threads or default_threads()
        whole = self.working_bytes(*size, threads)
        if beside is not None and whole + beside <= budget:
            return Plan(None, whole, beside)
        tiling = self.tiling(size, max(0, budget - beside_tiles), threads, decodes=decodes)
        return Plan(tiling, tiling.bytes, beside_tiles)

    def tiling(self, size: tuple[int, int], budget: int, threads: int | None = None, *, decodes: bool = True) -> Tiling:
        """How a picture of ``size`` (height, width) is best cut into tiles, within ``budget`` bytes of working memory.

        Its ``height`` and ``width`` are a tile's, its ``bytes`` what will be allocated, the rows that are read and written
        included; ``in_memory`` says whether what is put aside between two passes is kept there, or in files. A generator's are
        as wide as the picture.

        Args:
            decodes: whether it is for :meth:`stylize_tiled`, or else :meth:`look_tiled`.

        Raises:
            ValueError: the budget is too small, says how much it takes; or ``decodes`` is false and the model has no looks.
        """
        return self._model.tiling(*size, self._run, threads or default_threads(), budget, decodes)

    def stylize_tiled(
        self,
        size: tuple[int, int],
        read: Read,
        write: Write,
        look: Look | None,
        alpha: float,
        tiling: Tiling,
        folder: str,
        threads: int | None = None,
        tell: Tell = lambda _: None,
        palette: Palette | RegionPalette | None = None,
        regions: Regions | None = None,
        styles: Sequence[float] | None = None,
    ) -> None:
        """Encode and decode, or translate, a picture of ``size`` (height, width) tile by tile, with the pixels of the whole at
        once.

        All rows are read, once and in order, before the first is written; a generator that normalises nothing writes sooner.

        Args:
            look, regions: as for :meth:`decode`.
            styles: as for :meth:`translate`.
            palette: the palette step that follows. It has to see the whole picture first, which is put aside in ``folder``
                until then: 3 bytes for each pixel.
            folder: where what is put aside between two passes lies, in files without names, unless the tiling keeps it in
                memory.

        Raises:
            ValueError: as :meth:`decode` or :meth:`translate`.
            RuntimeError: the disk is full or fails; names ``folder``.
        """
        parts, compiled, looks = self._painting(look, regions)
        row_io = RowIO(*size, read, write, tell, threads or default_threads())
        steps = [] if palette is None else palette.steps()
        of = palette.regions if isinstance(palette, RegionPalette) else None
        how = os.fsencode(folder), steps, of, compiled, looks, list(styles or ())
        self._model.stylize_tiled(row_io, self._run, parts, alpha, tiling, *how)

    def look_tiled(self, size: tuple[int, int], read: Read, tiling: Tiling, threads: int | None = None) -> Look:
        """As :meth:`look`, tile by tile; WCT reads the picture once for each level."""
        threads, sums, seen = threads or default_threads(), ColorSums(), 0

        def read_and_sum(first: int, rows: Pixels) -> None:
            nonlocal seen
            read(first, rows)
            new = rows[max(0, seen - first) :]  # of the first pass
            if len(new):
                sums.add(new, threads)
            seen = max(seen, first + len(rows))

        row_io = RowIO(*size, read_and_sum, _nowhere, _nowhere, threads)
        return self._kind.look_of(self._model.look_tiled(row_io, self._run, tiling), Colors(*sums.colors()), self.identity)

    @staticmethod
    def mix(looks: Sequence[Look], weights: Sequence[float]) -> Look:
        """The weighted sum of several looks of one kind of model; weights are taken as they are (normalise them first).

        Raises:
            ValueError: looks of different kinds, or of different levels.
        """
        return looks[0].mixed(looks[1:], weights)


def load_look(path: str | Path) -> Look:
    """The look that :meth:`Look.save` or ``fastnst look`` wrote.

    Raises:
        LookError: it is not one, or is damaged; a ValueError.
        OSError: the file cannot be read.
    """
    try:
        return look_of(from_bytes(Path(path).read_bytes()))
    except LookError as error:
        raise LookError(f"{path}: {error}") from None


def instruction_sets() -> list[tuple[str, bool]]:
    """Every compiled instruction-set path in order of priority, and whether this processor can run it."""
    return _engine.instruction_sets()


def instruction_set() -> str:
    """The path in use: the first that can run, or the one ``FASTNST_ISA`` names.

    Raises:
        RuntimeError: ``FASTNST_ISA`` names a path that is unknown or cannot run here.
    """
    return _engine.instruction_set()
