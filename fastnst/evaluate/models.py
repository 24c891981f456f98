"""The rows of the tables: models, those of the engine among them, and pictures that others have made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from fastnst.engine.palette import Palette
from fastnst.stylize import Stylizer

from .pictures import Pair, Pixels, load, made_for

SIDE = 512
"""Multiply-accumulates are counted for content, style and result of this side."""


@dataclass(frozen=True)
class Prepared:
    """A pair, read.

    Attributes:
        pair: its files.
        content, style: what they hold, at the size of the evaluation.
        palette: the palette step that follows a model.
    """

    pair: Pair
    content: Pixels
    style: Pixels
    palette: Palette


class Row(ABC):
    """A row of the tables.

    Attributes:
        name: of the row, no other's.
        path: the file, or the folder of pictures.
        what: in words.
        parameters: numbers that stylization needs, dead ones included; None where that is not known.
        macs: multiply-accumulates of a picture of 512 x 512 as the network is defined, the style's encoding included; None
            where that is not known.
    """

    name: str
    path: Path
    what: str
    parameters: int | None = None
    macs: int | None = None

    @abstractmethod
    def picture(self, of: Prepared) -> Pixels:
        """What is scored of a pair, of the content's size."""

    def watched(self) -> AbstractContextManager[object]:
        """Within it, :attr:`live_parameters` learns from what the model computes."""
        return nullcontext()

    @property
    def live_parameters(self) -> int | None:
        """Parameters without those of channels that were zero in all that was watched; None where that is not known."""
        return None


class Model(Row):
    """Something that stylizes."""

    @abstractmethod
    def __call__(self, content: Pixels, style: Pixels) -> Pixels:
        """``content`` in the style of ``style``, of the content's size, as the network makes it: without the palette step."""

    @abstractmethod
    def reconstructions(self, content: Pixels) -> dict[int, Pixels]:
        """What each stage's decoder makes of its encoder's features of ``content``, where the stage can be run alone."""

    def picture(self, of: Prepared) -> Pixels:
        made = self(of.content, of.style)
        of.palette.apply(made, 1)
        return made


class FinishedPictures(Row):
    """A folder with a picture of each pair, made by whatever software; each is scored as it is.

    Raises:
        ValueError: one line: the folder lacks the picture of a pair, or has several.
    """

    what = "finished pictures"

    def __init__(self, name: str, path: Path, pairs: Sequence[Pair]) -> None:
        self.name, self.path = name, path
        self.files = {pair: made_for(pair, path) for pair in pairs}

    def picture(self, of: Prepared) -> Pixels:
        """That of the folder, resized like every picture.

        Raises:
            ImageError: it cannot be read.
            ValueError: it has other proportions than the content.
        """
        (height, width, _), file = of.content.shape, self.files[of.pair]
        made = load(file, min(height, width))
        if made.shape != of.content.shape:
            got, wanted = f"{made.shape[1]} x {made.shape[0]}", f"{width} x {height}"
            raise ValueError(f"{file}: {got} pixels at this size, expected {wanted} as {of.pair.content} has")
        return made


class EngineModel(Model):
    """A ``.fnst`` file in the engine."""

    def __init__(self, name: str, path: Path, threads: int) -> None:
        self.name, self.path = name, path
        self.stylizer = Stylizer(path, threads)
        card = self.stylizer.engine.card
        self.kind = card.get("kind")
        self.what = f"int8 {self.kind or 'model'}"
        self.parameters = card.get("parameters")
        parts = card.get("macs_per_pixel_by_part", {})
        # The parts of the model, or of each of its levels.
        pairs = [part for part in (parts, *parts.values()) if isinstance(part, dict) and "encoder" in part]
        self.macs = SIDE**2 * sum(2 * pair["encoder"] + pair["decoder"] for pair in pairs) if pairs else None

    def __call__(self, content: Pixels, style: Pixels) -> Pixels:
        return self.stylizer(content, style, palette=0.0)

    def reconstructions(self, content: Pixels) -> dict[int, Pixels]:
        levels = self.stylizer.engine.levels
        if not levels:
            return {4: self.stylizer(content, content, alpha=0.0)}
        return {level: self.stylizer(content, content, alpha=0.0, levels=(level,)) for level in sorted(levels)}
