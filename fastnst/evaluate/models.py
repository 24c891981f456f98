"""The models that are compared, and those of the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from fastnst.stylize import Stylizer

from .pictures import Pixels

SIDE = 512
"""Multiply-accumulates are counted for content, style and result of this side."""


class Model(ABC):
    """A row of the tables.

    Attributes:
        name: of the row, no other's.
        path: the file.
        what: in words.
        parameters: numbers that stylization needs, dead ones included; None where the file does not say.
        macs: multiply-accumulates of a picture of 512 x 512 as the network is defined, the style's encoding included.
    """

    name: str
    path: Path
    what: str
    parameters: int | None
    macs: int | None

    @abstractmethod
    def __call__(self, content: Pixels, style: Pixels) -> Pixels:
        """``content`` in the style of ``style``, of the content's size."""

    @abstractmethod
    def reconstructions(self, content: Pixels) -> dict[int, Pixels]:
        """What each stage's decoder makes of its encoder's features of ``content``, where the stage can be run alone."""

    def watched(self) -> AbstractContextManager[object]:
        """Within it, :attr:`live_parameters` learns from what the model computes."""
        return nullcontext()

    @property
    def live_parameters(self) -> int | None:
        """Parameters without those of channels that were zero in all that was watched; None where that is not known."""
        return None


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
        return self.stylizer(content, style)

    def reconstructions(self, content: Pixels) -> dict[int, Pixels]:
        levels = self.stylizer.engine.levels
        if not levels:
            return {4: self.stylizer(content, content, alpha=0.0)}
        return {level: self.stylizer(content, content, alpha=0.0, levels=(level,)) for level in sorted(levels)}
