"""How pictures and videos are stylized: one set of options, which everything passes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastnst.engine import Look


@dataclass(frozen=True)
class Options:
    """Arguments of :class:`fastnst.Stylizer` and options of ``fastnst stylize``.

    Raises:
        ValueError: ``alpha`` or ``palette`` is not in 0..1.
    """

    styles: Sequence[Path] = ()
    """Pictures of the style; none for a generator."""
    weights: Sequence[float] | None = None
    """One for each style, taken relative to their sum; None = equal parts."""
    style_size: int | None = None
    """Short side of the styles in pixels; 0 = as they are; None shrinks what is larger than usual."""
    look: Look | None = None
    """What the model made of the styles; None before that, and for a generator."""
    levels: Sequence[int] | None = None
    """Of a WCT model; None = all."""
    alpha: float = 1.0
    """0 = content, 1 = full style."""
    colors: str = "palette"
    """A mode of :mod:`fastnst.color`: whose colours the result has."""
    palette: float | None = None
    """Of the mode ``palette``: how far the colours go to the style's, 0..1; None = all the way."""
    size: int = 0
    """Short side of the content in pixels; 0 = as it is."""
    smoothing: float | None = None
    """Of videos, 0..1: see :mod:`fastnst.video.stability`; None = the usual of the kind of model."""
    video_quality: int | None = None
    """The encoder's number, 0 = best; None = its usual one."""

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must lie in 0..1, not {self.alpha}")
        if self.palette is not None and not 0 <= self.palette <= 1:
            raise ValueError(f"palette must lie in 0..1, not {self.palette}")
        for name in ("styles", "weights", "levels"):
            values = getattr(self, name)
            object.__setattr__(self, name, None if values is None else tuple(values))

    @property
    def about_style(self) -> bool:
        """Whether something is asked for that only models with a style have."""
        given = (self.weights, self.style_size, self.look, self.levels, self.palette, self.smoothing)
        return bool(self.styles) or self.alpha != 1 or any(each is not None for each in given)
