"""How pictures and videos are stylized: one set of options, which everything passes on."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral, Real
from pathlib import Path
from typing import NamedTuple

from fastnst.engine import Look, Regions
from fastnst.pictures.masks import Mask, MaskClip

MIN_SCALE, MAX_SCALE = 0.25, 4.0


@dataclass(frozen=True)
class StyleScale:
    """How large a style is seen, and how much that counts.

    Args:
        factor: of its usual sides; None = as makes its short side that of the content.
        share: beside other scales, relative to their sum.

    Raises:
        ValueError: the factor is not in 0.25..4, or the share is below 0.
    """

    factor: float | None = 1.0
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.factor is not None and not MIN_SCALE <= self.factor <= MAX_SCALE:
            raise ValueError(f"a style's scale must lie in {MIN_SCALE}..{MAX_SCALE:g}, not {self.factor}")
        if not 0 <= self.share < math.inf:
            raise ValueError(f"the share of a style's scale must be at least 0, not {self.share}")

    @classmethod
    def of(cls, text: str) -> StyleScale:
        """From ``2``, ``2:0.5`` or ``auto:0.5``."""
        factor, _, share = text.partition(":")
        try:
            return cls(None if factor == "auto" else float(factor), float(share) if ":" in text else 1.0)
        except ValueError as error:
            if "must" in str(error):
                raise
            raise ValueError(f"{text!r} is no scale such as 2, auto or 2:0.5") from None

    def side(self, usual: int, content: int | None) -> int:
        """The short side in pixels of a style that usually has ``usual``; ``content`` is the short side of the content."""
        if self.factor is not None:
            return max(1, round(usual * self.factor))
        if content is None:
            raise ValueError("the style's scale can follow the content's size only where that is known")
        return max(1, min(max(content, round(usual * MIN_SCALE)), round(usual * MAX_SCALE)))


def style_scales(value: float | str | Sequence[StyleScale]) -> tuple[StyleScale, ...]:
    """From one number, from text such as ``auto`` or ``0.5:0.5,2:0.5``, or from several scales.

    Raises:
        ValueError: none of these, or all shares are 0.
    """
    if isinstance(value, str):
        found = tuple(StyleScale.of(part) for part in value.split(","))
    elif isinstance(value, int | float):
        found = (StyleScale(float(value)),)
    else:
        found = tuple(value)
    if not found or math.fsum(scale.share for scale in found) <= 0:
        raise ValueError("the shares of a style's scales must not all be 0")
    return found


def check_style_weights(pairs: Sequence[tuple[int, float]] | None) -> None:
    """Raise ValueError if these are no weights of styles that have numbers."""
    if pairs is None:
        return
    for number, _ in pairs:
        if not isinstance(number, Integral):
            raise ValueError(f"the number of a style must be a whole number, not {number!r}")
    weights = [weight for _, weight in pairs]
    if not all(isinstance(weight, Real) and 0 <= weight <= sys.float_info.max for weight in weights):
        raise ValueError(f"weights of styles must be numbers of at least 0: {weights}")
    if not 0 < sum(float(weight) for weight in weights) < math.inf:
        raise ValueError(f"weights of styles must not all be 0, nor too large to be summed: {weights}")
    if len({number for number, _ in pairs}) < len(pairs):
        raise ValueError("a style is given two weights")


class Region(NamedTuple):
    """A part of the content that has a style of its own.

    Args:
        mask: where it is, a file or as it was read, or one for each frame; or the number of an object in ``Options.labels``.
        styles, weights: as those of ``Options``.
        look: what the model made of the styles; None before that.
    """

    mask: Path | Mask | MaskClip | int
    styles: Sequence[Path] = ()
    weights: Sequence[float] | None = None
    look: Look | None = None


@dataclass(frozen=True)
class Clip:
    """What of a video is taken, and what it may need before.

    Raises:
        ValueError: the part has no length, or begins before the video does.
    """

    start: float = 0.0
    """Seconds from the video's beginning."""
    end: float | None = None
    """The same, of the first moment left out; None = to the end."""
    deinterlace: bool = False
    """Make whole frames of fields; without it interlaced video is refused."""
    tone_map: bool = False
    """Bring high dynamic range to the standard one; without it such video is refused."""
    rate: float | None = None
    """Pictures a second of a content of pictures with numbers; None = 25."""
    sound: Path | None = None
    """A file whose sound the output gets, where the content can have none."""

    def __post_init__(self) -> None:
        if not 0 <= self.start < math.inf:
            raise ValueError(f"a part of a video begins at 0 s or later, not at {self.start:g}")
        if self.end is not None and not self.start < self.end < math.inf:
            raise ValueError(f"a part of a video ends after it begins, at {self.start:g} s, and not at {self.end:g}")

        if self.rate is not None and not 0 < self.rate < math.inf:
            raise ValueError(f"a rate is above 0, not {self.rate:g}")

    @property
    def is_part(self) -> bool:
        """Whether not all of the video is taken."""
        return self.start > 0 or self.end is not None


@dataclass(frozen=True)
class Options:
    """Arguments of :class:`fastnst.Stylizer` and options of ``fastnst stylize``.

    Raises:
        ValueError: ``alpha`` or ``palette`` is not in 0..1, or ``style_weights`` are below 0 or all 0.
    """

    styles: Sequence[Path] = ()
    """Pictures of the style; none for a generator."""
    weights: Sequence[float] | None = None
    """One for each style, taken relative to their sum; None = equal parts."""
    style_size: int | None = None
    """Short side of the styles in pixels; 0 = as they are; None shrinks what is larger than usual."""
    style_scale: Sequence[StyleScale] | None = None
    """How large the styles are seen beside that; None = just so."""
    look: Look | None = None
    """What the model made of the styles; None before that, and for a generator."""
    style_weights: Sequence[tuple[int, float]] | None = None
    """Of a generator that has several styles: numbers of styles, the first is 0, and their weights, taken relative to their
    sum; None = the first alone."""
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
    crop: int = 0
    """Sides of the square in pixels that is cut out of the middle of the content after that; 0 = all of it."""
    smoothing: float | None = None
    """Of videos, 0..1: see :mod:`fastnst.video.stability`; None = the usual of the kind of model."""
    video_quality: int | None = None
    """The encoder's number, 0 = best; None = its usual one."""
    codec: str | None = None
    """Of videos: one of :data:`fastnst.video.encoder.CODECS`; None = the usual one of the output's suffix."""

    regions: Sequence[Region] = ()
    """What they cover takes their styles, and what none covers the other styles, or stays as it is if there are none."""
    alpha_map: Path | Mask | MaskClip | None = None
    """Strength by place, times ``alpha``."""
    labels: Path | None = None
    """A picture whose numbers are objects, which regions may name."""

    clip: Clip = Clip()
    """Of videos: which part is taken, and how it is read."""
    strip_metadata: bool = False
    """Pictures say nothing of what the content says beside its pixels."""

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must lie in 0..1, not {self.alpha}")
        if self.palette is not None and not 0 <= self.palette <= 1:
            raise ValueError(f"palette must lie in 0..1, not {self.palette}")
        check_style_weights(self.style_weights)
        for name in ("styles", "weights", "levels", "style_scale", "regions", "style_weights"):
            values = getattr(self, name)
            object.__setattr__(self, name, None if values is None else tuple(values))

    def style_parts(self, styles: int) -> list[float] | None:
        """The part of each of a generator's styles, with the sum 1; None = the first alone.

        Raises:
            ValueError: there is no style of such a number.
        """
        if self.style_weights is None:
            return None
        if not styles:
            raise ValueError("this model has no styles of its own to choose by number")
        parts, total = [0.0] * styles, math.fsum(weight for _, weight in self.style_weights)
        for number, weight in self.style_weights:
            if not 0 <= number < styles:
                raise ValueError(f"there is no style {number}: this model has {styles}, numbered 0 to {styles - 1}")
            parts[number] = weight / total
        return parts

    @cached_property
    def parted(self) -> Regions | None:
        """The regions as the engine takes them, once their masks and looks are there; None if the picture is one.

        Raises:
            ValueError: masks move.
        """
        self.check_still()
        strength = self.alpha_map if isinstance(self.alpha_map, Mask) else None
        if not self.regions and strength is None:
            return None
        masks = tuple(region.mask for region in self.regions if isinstance(region.mask, Mask))
        looks = tuple(region.look for region in self.regions if region.look is not None)
        return Regions(masks, looks, strength, self.look is not None)

    def check_still(self) -> None:
        """Raise ValueError if masks move: these are the options of no single picture."""
        for clip in self.mask_clips:
            raise ValueError(f"{clip.path} holds a mask for each frame, which is for videos alone")

    @property
    def is_parted(self) -> bool:
        """Whether parts of the picture differ in style or strength."""
        return bool(self.regions) or self.alpha_map is not None

    @property
    def mask_clips(self) -> tuple[MaskClip, ...]:
        """The masks that move, each once."""
        given = (*(region.mask for region in self.regions), self.alpha_map)
        return tuple(dict.fromkeys(mask for mask in given if isinstance(mask, MaskClip)))

    def at_frame(self, masks: Sequence[Mask]) -> Options:
        """The options of one frame, with its masks for those that move, in the order of ``mask_clips``."""
        if not masks:
            return self
        now = dict(zip(self.mask_clips, masks, strict=True))
        regions = [each._replace(mask=now[each.mask]) if isinstance(each.mask, MaskClip) else each for each in self.regions]
        strength = now[self.alpha_map] if isinstance(self.alpha_map, MaskClip) else self.alpha_map
        return replace(self, regions=regions, alpha_map=strength)

    @property
    def about_style(self) -> bool:
        """Whether something is asked for that only models with a style have."""
        sizes = (self.style_size, self.style_scale)
        given = (*sizes, self.weights, self.look, self.levels, self.palette, self.smoothing, self.alpha_map)
        return bool(self.styles or self.regions) or self.alpha != 1 or any(each is not None for each in given)
