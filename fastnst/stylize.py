"""The Python interface of stylization: :class:`Stylizer` and the models inside the package."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastnst.color import mode_of
from fastnst.engine import Engine, Look, LookError, ModelError, Pixels, Plan, Tell, default_threads, load_look
from fastnst.engine.models import ModelInfo, find_model, models
from fastnst.engine.shipped import DEFAULT_MODEL, find_look, look_source, looks, shipped_look
from fastnst.images import Mask, Picture, as_mask, filled, resize_short_side, to_srgb
from fastnst.options import Options, Region, StyleScale, style_scales
from fastnst.pictures.streams import ArrayRows, ArrayWriter, Rows, RowWriter
from fastnst.steps import Memo, stylize_rows
from fastnst.system.atomic import temporary_folder
from fastnst.system.errors import UsageError
from fastnst.system.memory import default_budget, parse_bytes

__all__ = [
    "DEFAULT_MODEL", "Look", "LookError", "ModelError", "ModelInfo", "Styled", "Stylizer", "find_look", "find_model",
    "load_look", "look_source", "looks", "models", "shipped_look",
]  # fmt: skip

NO_STYLE = "this model translates pictures by itself: it takes no style, and no alpha, weights or levels"

Scales: TypeAlias = float | str | Sequence[StyleScale]
Style: TypeAlias = Image.Image | Pixels | Look
Place: TypeAlias = Image.Image | Pixels | NDArray[np.bool_] | Mask
"""A mask: an image, whose transparency counts if it has some, and else how light it is; or uint8 or bool [H, W]."""
Placed: TypeAlias = Sequence[tuple[Place, Style | Sequence[Style]]]


class Styled(NamedTuple):
    """A stylized picture, uint8 [H, W, 3], and the seconds that each step took."""

    pixels: Pixels
    encode_seconds: float
    decode_seconds: float
    color_seconds: float


class Stylizer:
    """A model ready to stylize. One stylizer may be used from many threads at once.

    Args:
        model: the name of a shipped model, or a ``.fnst`` file; without it the shipped default.
        threads: how many threads one call uses; without it the cores this process may use. Any number gives the same pixels.
        max_memory: bytes of working memory that one call may take, or text such as ``"512M"``, beside the content and the
            result; larger pictures are done in tiles, with the same pixels. Without it what
            :func:`fastnst.system.memory.default_budget` finds right for the picture and the machine.

    Raises:
        ModelError: no shipped model of this name, or a broken model file.
        FileNotFoundError: no such model file.
        ValueError: ``threads`` is not 1 to 1024, or ``max_memory`` no number of bytes above 0.
    """

    def __init__(
        self, model: str | Path | None = None, threads: int | None = None, max_memory: int | str | None = None
    ) -> None:
        if threads is not None and not 1 <= threads <= 1024:
            raise ValueError(f"threads must be 1 to 1024, not {threads}")
        self.threads = threads
        self.max_memory = parse_bytes(str(max_memory)) if max_memory is not None else None
        self.path = find_model(DEFAULT_MODEL if model is None else model)
        self.engine = Engine(self.path)

    @property
    def styles(self) -> int:
        """How many a generator has of its own, for ``style_index``; 0 if it has one look, and of other models."""
        return self.engine.styles

    def budget(self, height: int, width: int) -> int:
        """Bytes of working memory that a picture of this size may take."""
        return self.max_memory or default_budget(height, width, self.engine.usual_bytes)

    def check(self, options: Options) -> None:
        """Whether the model takes these options.

        Raises:
            UsageError: it takes no style and is told of one, or needs one and is not, or has no styles of such numbers.
            ValueError: it has no such levels.
        """
        if not self.engine.takes_style and options.about_style:
            raise UsageError(NO_STYLE)
        if self.engine.takes_style and not options.styles and options.look is None and not options.regions:
            raise UsageError("this model needs a style")
        try:
            options.style_parts(self.engine.styles)
        except ValueError as error:
            raise UsageError(str(error)) from None
        self.engine.with_levels(options.levels)

    def plan(
        self,
        size: tuple[int, int],
        options: Options = Options(),  # noqa: B008 -- nobody can change it
        *,
        beside: int | None = 0,
        beside_tiles: int = 0,
        decodes: bool = True,
    ) -> Plan:
        """Whether a picture of ``size`` (height, width) is done whole or in tiles; arguments and errors as for
        :meth:`fastnst.engine.Engine.plan`."""
        engine, budget = self.engine.with_levels(options.levels), self.budget(*size)
        return engine.plan(size, budget, self.threads, beside=beside, beside_tiles=beside_tiles, decodes=decodes)

    @overload
    def __call__(
        self,
        content: Image.Image,
        style: Style | Sequence[Style] | None = ...,
        alpha: float = ...,
        weights: Sequence[float] | None = ...,
        preserve_color: bool | str = ...,
        levels: Sequence[int] | None = ...,
        palette: float | None = ...,
        style_scale: Scales | None = ...,
        regions: Placed = ...,
        alpha_map: Place | None = ...,
        *,
        style_index: int | None = ...,
        style_weights: Mapping[int, float] | None = ...,
    ) -> Image.Image: ...

    @overload
    def __call__(
        self,
        content: Pixels,
        style: Style | Sequence[Style] | None = ...,
        alpha: float = ...,
        weights: Sequence[float] | None = ...,
        preserve_color: bool | str = ...,
        levels: Sequence[int] | None = ...,
        palette: float | None = ...,
        style_scale: Scales | None = ...,
        regions: Placed = ...,
        alpha_map: Place | None = ...,
        *,
        style_index: int | None = ...,
        style_weights: Mapping[int, float] | None = ...,
    ) -> Pixels: ...

    def __call__(
        self,
        content: Image.Image | Pixels,
        style: Style | Sequence[Style] | None = None,
        alpha: float = 1.0,
        weights: Sequence[float] | None = None,
        preserve_color: bool | str = False,
        levels: Sequence[int] | None = None,
        palette: float | None = None,
        style_scale: Scales | None = None,
        regions: Placed = (),
        alpha_map: Place | None = None,
        *,
        style_index: int | None = None,
        style_weights: Mapping[int, float] | None = None,
    ) -> Image.Image | Pixels:
        """``content`` in the style of ``style``, or as a generator translates it, of the same size and kind.

        Args:
            content: a PIL image, or uint8 [H, W, 3]. An image with transparency keeps it and comes out as ``RGBA``, any other
                as ``RGB``. Fully transparent pixels take the colours around them first, so that nothing depends on what nobody
                sees (:mod:`fastnst.pictures.hidden`). An embedded colour profile is converted to sRGB; EXIF orientation is left
                alone, for the result has the size of the input (``PIL.ImageOps.exif_transpose`` applies it).
            style: a PIL image, whose transparent pixels are filled likewise, uint8 [H, W, 3], what :meth:`encode_style`
                made of one, or a sequence of these to mix. A generator takes none, nor the next two arguments and ``levels``.
            alpha: 0 = content, as the model reconstructs it; 1 = full style.
            weights: one number >= 0 for each style of a sequence, taken relative to their sum; without it, equal parts.
            preserve_color: keep the content's colours: ``"luma"``, which True stands for, or ``"lab"`` take the lightness alone
                from the result, ``"match"`` gives the result the mean and covariance of the content's colours, and
                ``"histogram"`` its histograms (:mod:`fastnst.color`).
            levels: which levels of a WCT model to run, from the deepest to the first in whatever order they are given; without
                it all that the model has.
            palette: how far the colours of the result are moved to the style's mean and covariance by one linear map
                (:mod:`fastnst.engine.palette`): 0 = not at all, 1 = all the way, which is the default; times ``alpha``. With
                ``preserve_color`` there is no such step.
            style_scale: how large the styles are seen: 0.25 to 4 times, ``"auto"`` for the short side of the content, or
                several mixed by their shares, such as ``"0.5:0.5,2:0.5"``; without it as they are.
            regions: masks, and the style of what each covers, or several styles to mix in equal parts. A mask is an image,
                whose transparency counts if any pixel has some, and else how light it is; or uint8 or bool [H, W]. It has any
                size and is scaled to the content; where masks overlap, they share. What none covers takes ``style``, or stays
                as it is without one.
            alpha_map: a mask likewise: how strong the style is by place, times ``alpha``.
            style_index: the number of a style, from 0 on, of a generator that has several (``Stylizer.styles``); or
            style_weights: several of them mixed, such as ``{3: 0.5, 12: 0.5}``, taken relative to their sum. Without either
                it is style 0.

        Raises:
            ValueError: wrong dtype, shape, size, ``alpha``, ``weights``, ``preserve_color``, ``levels``, ``palette``,
                ``style_index`` or ``style_weights``; no style, or one that the model does not take.
        """
        given = (style, weights, style_scale, alpha_map)
        if not self.engine.takes_style and (len(regions) or any(each is not None for each in given)):
            raise UsageError(NO_STYLE)
        side = _short_side(content)
        look = None if style is None else self.mix(style, weights, levels, style_scale, side)
        placed = [Region(as_mask(mask), look=self.mix(own, None, levels, style_scale, side)) for mask, own in regions]
        strength = None if alpha_map is None else as_mask(alpha_map)
        options = _options(look, alpha, preserve_color, levels, palette)
        own = _own_styles(style_index, style_weights)
        options = replace(options, regions=placed, alpha_map=strength, style_weights=own)
        return next(self._results(content, [options]))

    def each(
        self,
        content: Image.Image | Pixels,
        styles: Iterable[Style],
        alpha: float = 1.0,
        preserve_color: bool | str = False,
        levels: Sequence[int] | None = None,
        palette: float | None = None,
        style_scale: Scales | None = None,
    ) -> Iterator[Image.Image | Pixels]:
        """``content`` in every one of the styles alone, one after the other; it is encoded once.

        Arguments, results and errors are those of a call.
        """
        side = _short_side(content)
        looks = (self.mix(style, None, levels, style_scale, side) for style in styles)
        yield from self._results(content, (_options(look, alpha, preserve_color, levels, palette) for look in looks))

    def _results(self, content: Image.Image | Pixels, each: Iterable[Options]) -> Iterator[Image.Image | Pixels]:
        picture, memo = None, Memo()
        if isinstance(content, Image.Image):
            picture = filled(to_srgb(content))
            pixels = np.asarray(picture.rgb)
        else:
            pixels = _checked(content, "content")
        for options in each:
            result = self._styled(pixels, options, memo).pixels
            yield result if picture is None else Picture(Image.fromarray(result), picture.alpha).image()

    def encode_style(
        self, style: Image.Image | Pixels, levels: Sequence[int] | None = None, style_scale: Scales | None = None
    ) -> Look:
        """What the model keeps of a style; pass it as ``style`` to stylize many contents alike.

        Args:
            style_scale: as for a call, but not ``"auto"``.

        Raises:
            ValueError: wrong dtype, shape, size, ``levels`` or ``style_scale``.
        """
        return self.mix(style, None, levels, style_scale)

    def _encoded(
        self, style: Image.Image | Pixels, levels: Sequence[int] | None, scale: StyleScale, content: int | None
    ) -> Look:
        picture = to_srgb(style if isinstance(style, Image.Image) else Image.fromarray(_checked(style, "style")))
        side = scale.side(min(picture.rgb.size), content)
        pixels = np.asarray(filled(resize_short_side(picture, side)).rgb)
        source, options = ArrayRows(pixels), Options(levels=levels)
        return self.look_of(source, options, self.plan((pixels.shape[0], pixels.shape[1]), options, decodes=False))

    def mix(
        self,
        style: Style | Sequence[Style],
        weights: Sequence[float] | None = None,
        levels: Sequence[int] | None = None,
        style_scale: Scales | None = None,
        content: int | None = None,
    ) -> Look:
        """The look of one style, or of several mixed by ``weights``; arguments and errors as for a call.

        Args:
            content: the short side of the content in pixels, which ``"auto"`` needs.
        """
        styles = [style] if isinstance(style, Image.Image | np.ndarray | Look) else list(style)
        scales = (StyleScale(),) if style_scale is None else style_scales(style_scale)
        looks, shares = list[Look](), list[float]()
        for each, weight in zip(styles, _shares(weights, len(styles)), strict=True):
            if isinstance(each, Look):
                if style_scale is not None:
                    raise ValueError("style_scale is for pictures: a look has its scale already")
                looks.append(each)
                shares.append(weight)
                continue
            looks += [self._encoded(each, levels, scale, content) for scale in scales]
            shares += [weight * scale.share for scale in scales]
        return looks[0] if len(looks) == 1 else Engine.mix(looks, _shares(shares, len(looks)))

    def run(
        self,
        content: Pixels,
        look: Look | None,
        alpha: float = 1.0,
        preserve_color: bool | str = False,
        levels: Sequence[int] | None = None,
        palette: float | None = None,
        memo: Memo | None = None,
    ) -> Styled:
        """As a call, for pixels and a look that are ready; also says how long each step took.

        WCT encodes again at every level; what comes after its first encoding counts as decoding, as does all that a generator
        does, for which there is no look.
        """
        return self._styled(content, _options(look, alpha, preserve_color, levels, palette), memo)

    def _styled(self, content: Pixels, options: Options, memo: Memo | None) -> Styled:
        self.check(options)
        size = content.shape[0], content.shape[1]
        source, target = ArrayRows(content), ArrayWriter(*size)
        seconds = self.stylize(source, target, options, self.plan(size, options), memo=memo)
        assert target.pixels is not None
        return Styled(target.pixels, seconds["encode"], seconds["decode"], seconds["color"])

    def stylize(
        self,
        source: Rows,
        target: RowWriter,
        options: Options,
        plan: Plan,
        folder: str | None = None,
        tell: Tell = lambda _: None,
        memo: Memo | None = None,
    ) -> dict[str, float]:
        """The picture of ``source`` into ``target``, which the caller finishes: see :func:`fastnst.steps.stylize_rows`.

        Args:
            options: with a look or regions, unless the model is a generator; its sizes are the caller's business.
            plan: of :meth:`plan`, for these options.
            folder: where tiles put aside what they come back to; without it the system's for temporary files.
            memo: for a content that other looks are for, too.
        """
        engine, threads = self.engine.with_levels(options.levels), self.threads or default_threads()
        if folder is None:
            folder = temporary_folder() if plan.tiling else ""  # which is looked for by writing a file
        return stylize_rows(engine, source, target, options, plan, threads, folder, tell, memo)

    def look_of(self, source: Rows, options: Options, plan: Plan) -> Look:
        """What the model keeps of the style of ``source`` at the levels of ``options``.

        Args:
            plan: of :meth:`plan`, for these options and ``decodes=False``.
        """
        engine, size = self.engine.with_levels(options.levels), (source.height, source.width)
        if plan.tiling is None:
            return engine.look(source.whole()[0], self.threads)
        return engine.look_tiled(size, source.read, plan.tiling, self.threads)


def _options(
    look: Look | None, alpha: float, preserve_color: bool | str, levels: Sequence[int] | None, palette: float | None
) -> Options:
    return Options(look=look, levels=levels, alpha=alpha, colors=mode_of(preserve_color), palette=palette)


def _own_styles(index: int | None, weights: Mapping[int, float] | None) -> Sequence[tuple[int, float]] | None:
    if index is not None and weights is not None:
        raise ValueError("style_index is one style, and style_weights are several: give one of them")
    if weights is not None and not isinstance(weights, Mapping):
        raise ValueError(f"style_weights must be weights by numbers of styles, such as {{3: 0.5, 12: 0.5}}, not {weights!r}")
    return list(weights.items()) if weights is not None else None if index is None else [(index, 1.0)]


def _short_side(content: Image.Image | Pixels) -> int:
    return min(content.size if isinstance(content, Image.Image) else np.shape(content)[:2], default=0)


def _checked(pixels: Pixels, what: str) -> Pixels:
    if not isinstance(pixels, np.ndarray):
        raise ValueError(f"{what} must be a PIL image or a numpy array, not {type(pixels).__name__}")
    if pixels.dtype != np.uint8:
        raise ValueError(f"{what} must be of dtype uint8, not {pixels.dtype}")
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"{what} must be of shape (height, width, 3), not {pixels.shape}")
    if pixels.size == 0:
        raise ValueError(f"{what} has no pixels: {pixels.shape}")
    return np.ascontiguousarray(pixels)


def _shares(weights: Sequence[float] | None, styles: int) -> list[float]:
    """The part of each style, with the sum 1."""
    if styles == 0:
        raise ValueError("there must be at least one style")
    if weights is None:
        return [1 / styles] * styles
    if len(weights) != styles:
        raise ValueError(f"there must be one weight for each style: {len(weights)} weights, {styles} styles")
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise ValueError(f"weights must be at least 0 and not all 0: {list(weights)}")
    try:
        total = math.fsum(weights)
    except OverflowError:
        raise ValueError(f"weights are too large to be summed: {list(weights)}") from None
    return [weight / total for weight in weights]
