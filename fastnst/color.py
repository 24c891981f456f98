"""Whose colours a stylized picture has: the colour modes, as functions in a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastnst.engine import Pixels
from fastnst.engine.palette import Colors, Palette
from fastnst.options import Options

# ITU-R BT.601 luma in units of 1/65536, as in JPEG. The sum is 65536, so that grey of any level is its own luma.
_LUMA = np.array([19595, 38470, 7471], np.int32)
_BAND_PIXELS = 1 << 18  # 32-bit intermediates of one band stay in the cache


@dataclass(frozen=True)
class ColorStep:
    """What is done to the colours of a decoded picture. Both parts give the same in tiles as at once.

    Attributes:
        palette: one linear map of all pixels, from exact statistics of the whole picture.
        blend: after it, and pixel by pixel: makes the result's rows of the content's and the decoded ones, all uint8 [n, W, 3].
    """

    palette: Palette | None = None
    blend: Callable[[Pixels, Pixels], Pixels] | None = None

    def apply(self, content: Pixels, decoded: Pixels, threads: int, source: Colors | None = None) -> Pixels:
        """The result of a whole picture; ``decoded`` is used up.

        Args:
            source: the colours that the linear map starts from; without it those of ``decoded``.
        """
        if self.palette is not None:
            self.palette.apply(decoded, threads, source)
        return decoded if self.blend is None else self.blend(content, decoded)


def style_palette(options: Options) -> ColorStep:
    """The style's mean and covariance (:mod:`fastnst.engine.palette`), ``palette`` times ``alpha`` of the way."""
    strength = options.alpha * (1.0 if options.palette is None else options.palette)
    if options.look is None or options.look.colors is None or strength == 0:
        return ColorStep()
    return ColorStep(palette=Palette(options.look.colors, strength))


def content_chroma(options: Options) -> ColorStep:
    """The content's colours: :func:`keep_color`."""
    if options.palette:
        raise ValueError("palette takes the style's colours and preserve_color the content's: choose one")
    return ColorStep(blend=keep_color)


def as_decoded(_: Options) -> ColorStep:
    """The colours that the network makes."""
    return ColorStep()


MODES: dict[str, Callable[[Options], ColorStep]] = {
    "palette": style_palette,
    "luma": content_chroma,
    "none": as_decoded,
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


def mode_of(preserve_color: bool) -> str:
    """The mode that ``preserve_color`` of :class:`fastnst.Stylizer` stands for."""
    return "luma" if preserve_color else "palette"


def keep_color(content: Pixels, styled: Pixels) -> Pixels:
    """``styled`` in the colours of ``content``: the luma of the one, the chroma of the other, uint8 [H, W, 3].

    Adding one number to R, G and B moves luma by just that number and chroma not at all. So the result is
    ``clamp(content + round(luma(styled) - luma(content)), 0, 255)``, in integers that are the same on every machine.
    """
    result = np.empty_like(content)
    rows = max(1, _BAND_PIXELS // content.shape[1])
    for top in range(0, content.shape[0], rows):
        band = slice(top, top + rows)
        original = content[band].astype(np.int32)
        shift = ((styled[band] - original) @ _LUMA + 32768) >> 16
        result[band] = np.clip(original + shift[..., None], 0, 255)
    return result
