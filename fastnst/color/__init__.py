"""Whose colours a stylized picture has: the colour modes, as functions in a table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fastnst import _engine
from fastnst.engine import Pixels
from fastnst.engine.palette import Colors, Palette, RegionPalette, colors_of
from fastnst.options import Options

if TYPE_CHECKING:
    from fastnst.color.histograms import Histogram


class Content(Protocol):
    """A content whose colours are asked for, which may mean to read it."""

    def colors(self) -> Colors:
        """Mean and covariance of the whole."""

    def histogram(self) -> Histogram:
        """Levels of the whole."""


class Whole(NamedTuple):
    """A content that is in memory, uint8 [H, W, 3]."""

    pixels: Pixels
    threads: int = 1

    def colors(self) -> Colors:
        return colors_of(self.pixels, self.threads)

    def histogram(self) -> Histogram:
        from fastnst.color.histograms import histogram_of

        return histogram_of(self.pixels)


class ColorStep(NamedTuple):
    """What is done to the colours of a decoded picture. All parts give the same in tiles as at once.

    Attributes:
        palette: one linear map of all pixels, from exact statistics of the whole picture; or one of those of each region.
        levels: a table for each channel, from exact histograms of the whole picture: those it is to have.
        blend: after these, and pixel by pixel: makes the result's rows of the content's and the decoded ones, all uint8
            [n, W, 3], with so many threads.
        asks: what is done once the colours of the content are known; the rest is not there then.
    """

    palette: Palette | RegionPalette | None = None
    levels: Histogram | None = None
    blend: Callable[[Pixels, Pixels, int], Pixels] | None = None
    asks: Callable[[Content], ColorStep] | None = None

    @property
    def of_the_whole(self) -> bool:
        """Whether all rows have to be decoded before the first of the result is known."""
        return self.palette is not None or self.levels is not None or self.asks is not None

    def knowing(self, content: Content) -> ColorStep:
        """The step with the colours of the content known."""
        return self if self.asks is None else self.asks(content)

    def apply(self, content: Pixels, decoded: Pixels, threads: int, source: Colors | None = None) -> Pixels:
        """The result of a whole picture; ``decoded`` is used up.

        Args:
            source: the colours that the linear map starts from; without it those of ``decoded``.
        """
        step = self.knowing(Whole(content, threads))
        if step.palette is not None:
            step.palette.apply(decoded, threads, source)
        if step.levels is not None:
            from fastnst.color.histograms import histogram_of

            _engine.map_levels(histogram_of(decoded).tables(step.levels), decoded, threads)
        return decoded if step.blend is None else step.blend(content, decoded, threads)


def style_palette(options: Options) -> ColorStep:
    """The style's mean and covariance (:mod:`fastnst.engine.palette`), ``palette`` times ``alpha`` of the way."""
    strength = options.alpha * (1.0 if options.palette is None else options.palette)
    regions = options.parted
    looks = [*(regions.looks if regions else ()), options.look]
    palettes = [Palette(look.colors, strength) if look is not None and look.colors is not None else None for look in looks]
    if strength == 0 or not any(palettes):
        return ColorStep()
    if regions is None:
        return ColorStep(palette=palettes[0])
    return ColorStep(palette=RegionPalette(tuple(palettes), regions.compiled))


def as_decoded(_: Options) -> ColorStep:
    """The colours that the network makes."""
    return ColorStep()


def _kept(step: ColorStep, options: Options) -> ColorStep:
    if options.palette:
        raise ValueError("palette takes the style's colours and preserve_color the content's: choose one")
    return step


PRESERVING: dict[str, ColorStep] = {
    "luma": ColorStep(blend=_engine.keep_color),
    "lab": ColorStep(blend=_engine.keep_lab),
    "match": ColorStep(asks=lambda content: ColorStep(palette=Palette(content.colors()))),
    "histogram": ColorStep(asks=lambda content: ColorStep(levels=content.histogram())),
}
"""Modes with the colours of the content: its chroma under the lightness of the result, as JPEG has them or as CIE L*a*b* does;
the result with the mean and covariance of its colours; the result with its histograms."""
MODES: dict[str, Callable[[Options], ColorStep]] = {
    "palette": style_palette,
    "none": as_decoded,
    **{name: partial(_kept, step) for name, step in PRESERVING.items()},
}
"""By the names that ``Options.colors`` has for them."""


def color_step(options: Options) -> ColorStep:
    """What the mode of ``options`` does.

    Raises:
        ValueError: no such mode, or one that contradicts the other options.
    """
    if options.colors not in MODES:
        raise ValueError(f"{options.colors!r} is not one of the colour modes {', '.join(MODES)}")
    return MODES[options.colors](options)


def mode_of(preserve_color: bool | str) -> str:
    """The mode that ``preserve_color`` of :class:`fastnst.Stylizer` stands for: by its name, or ``luma`` for True.

    Raises:
        ValueError: no such mode.
    """
    if isinstance(preserve_color, str):
        if preserve_color not in PRESERVING:
            raise ValueError(f"preserve_color is one of {', '.join(PRESERVING)}, not {preserve_color!r}")
        return preserve_color
    return "luma" if preserve_color else "palette"
