"""The Python interface of stylization: :class:`Stylizer` and the models inside the package."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, overload

import numpy as np
from PIL import Image

from fastnst.color import mode_of
from fastnst.engine import Engine, Look, ModelError, Pixels, Plan, Tell, default_threads
from fastnst.images import Picture, filled, to_srgb
from fastnst.options import Options
from fastnst.pictures.streams import ArrayRows, ArrayWriter, Rows, RowWriter
from fastnst.steps import stylize_rows
from fastnst.system.errors import UsageError
from fastnst.system.memory import default_budget, parse_bytes

__all__ = ["Look", "ModelError", "ModelInfo", "Styled", "Stylizer", "models"]

DEFAULT_MODEL = "adain-16x"
NO_STYLE = "this model translates pictures by itself: it takes no style, and no alpha, weights or levels"

Style: TypeAlias = Image.Image | Pixels | Look

_MODELS = Path(__file__).parent / "models"


# ---- shipped models ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModelInfo:
    """What a shipped model is, from the card inside its file."""

    name: str
    kind: str
    parameters: int
    macs_per_pixel: float  # multiply-accumulates of encoder and decoder for one pixel of the content
    file_bytes: int
    distilled_from: str | None
    path: Path


def models() -> list[ModelInfo]:
    """The models inside the package, by name. Each file is loaded and so checked.

    Raises:
        ModelError: a file of the package is damaged.
    """
    return [_describe(path) for path in sorted(_MODELS.glob("*.fnst"))]


def _describe(path: Path) -> ModelInfo:
    card = Engine(path).card
    try:
        return ModelInfo(
            name=path.stem,
            kind=card["kind"],
            parameters=card["parameters"],
            macs_per_pixel=card["macs_per_pixel"],
            file_bytes=path.stat().st_size,
            distilled_from=card.get("distilled_from"),
            path=path,
        )
    except KeyError as error:
        raise ModelError(f"{path}: its card does not say {error}") from None


def find_model(model: str | Path) -> Path:
    """The file of a shipped model's name, or ``model`` itself where it is a file."""
    shipped = {path.stem: path for path in sorted(_MODELS.glob("*.fnst"))}
    if isinstance(model, str) and model in shipped:
        return shipped[model]
    path = Path(model)
    if path.is_file():
        return path
    if path.is_dir():
        raise ModelError(f"{path}: is a folder, not a model")
    if isinstance(model, Path) or path.suffix or len(path.parts) > 1:
        raise FileNotFoundError(f"{model}: no such model file")
    raise ModelError(f"no model is named {model!r}; the package has {', '.join(shipped) or 'none'}")


# ---- stylization ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Styled:
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

    def budget(self, height: int, width: int) -> int:
        """Bytes of working memory that a picture of this size may take."""
        if self.max_memory is None and not self.engine.tileable:
            return sys.maxsize
        return self.max_memory or default_budget(height, width)

    def check(self, options: Options) -> None:
        """Whether the model takes these options.

        Raises:
            UsageError: it takes no style and is told of one, or needs one and is not.
            ValueError: it has no such levels.
        """
        if not self.engine.takes_style and options.about_style:
            raise UsageError(NO_STYLE)
        if self.engine.takes_style and not options.styles and options.look is None:
            raise UsageError("this model needs a style")
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
        preserve_color: bool = ...,
        levels: Sequence[int] | None = ...,
        palette: float | None = ...,
    ) -> Image.Image: ...

    @overload
    def __call__(
        self,
        content: Pixels,
        style: Style | Sequence[Style] | None = ...,
        alpha: float = ...,
        weights: Sequence[float] | None = ...,
        preserve_color: bool = ...,
        levels: Sequence[int] | None = ...,
        palette: float | None = ...,
    ) -> Pixels: ...

    def __call__(
        self,
        content: Image.Image | Pixels,
        style: Style | Sequence[Style] | None = None,
        alpha: float = 1.0,
        weights: Sequence[float] | None = None,
        preserve_color: bool = False,
        levels: Sequence[int] | None = None,
        palette: float | None = None,
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
            preserve_color: keep the content's colours, see :func:`fastnst.color.keep_color`.
            levels: which levels of a WCT model to run, from the deepest to the first in whatever order they are given; without
                it all that the model has.
            palette: how far the colours of the result are moved to the style's mean and covariance by one linear map
                (:mod:`fastnst.engine.palette`): 0 = not at all, 1 = all the way, which is the default; times ``alpha``. With
                ``preserve_color`` there is no such step.

        Raises:
            ValueError: wrong dtype, shape, size, ``alpha``, ``weights``, ``levels`` or ``palette``; no style, or one that the
                model does not take.
        """
        if not self.engine.takes_style and (style is not None or weights is not None):
            raise UsageError(NO_STYLE)
        look = None if style is None else self.mix(style, weights, levels)
        if not isinstance(content, Image.Image):
            return self.run(_checked(content, "content"), look, alpha, preserve_color, levels, palette).pixels
        picture = filled(to_srgb(content))
        pixels = self.run(np.asarray(picture.rgb), look, alpha, preserve_color, levels, palette).pixels
        return Picture(Image.fromarray(pixels), picture.alpha).image()

    def encode_style(self, style: Image.Image | Pixels, levels: Sequence[int] | None = None) -> Look:
        """What the model keeps of a style; pass it as ``style`` to stylize many contents alike.

        Raises:
            ValueError: wrong dtype, shape, size or ``levels``.
        """
        pixels = np.asarray(filled(to_srgb(style)).rgb) if isinstance(style, Image.Image) else _checked(style, "style")
        source, options = ArrayRows(pixels), Options(levels=levels)
        return self.look_of(source, options, self.plan((pixels.shape[0], pixels.shape[1]), options, decodes=False))

    def mix(
        self, style: Style | Sequence[Style], weights: Sequence[float] | None = None, levels: Sequence[int] | None = None
    ) -> Look:
        """The look of one style, or of several mixed by ``weights``; arguments and errors as for a call."""
        styles = [style] if isinstance(style, Image.Image | np.ndarray | Look) else list(style)
        shares = _shares(weights, len(styles))
        looks = [each if isinstance(each, Look) else self.encode_style(each, levels) for each in styles]
        return looks[0] if len(looks) == 1 else Engine.mix(looks, shares)

    def run(
        self,
        content: Pixels,
        look: Look | None,
        alpha: float = 1.0,
        preserve_color: bool = False,
        levels: Sequence[int] | None = None,
        palette: float | None = None,
    ) -> Styled:
        """As a call, for pixels and a look that are ready; also says how long each step took.

        WCT encodes again at every level; what comes after its first encoding counts as decoding, as does all that a generator
        does, for which there is no look.
        """
        options = Options(look=look, levels=levels, alpha=alpha, colors=mode_of(preserve_color), palette=palette)
        self.check(options)
        size = content.shape[0], content.shape[1]
        source, target = ArrayRows(content), ArrayWriter(*size)
        seconds = self.stylize(source, target, options, self.plan(size, options))
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
    ) -> dict[str, float]:
        """The picture of ``source`` into ``target``, which the caller finishes: see :func:`fastnst.steps.stylize_rows`.

        Args:
            options: with a look, unless the model is a generator; its sizes are the caller's business.
            plan: of :meth:`plan`, for these options.
            folder: where tiles put aside what they come back to; without it the system's for temporary files.
        """
        engine, threads = self.engine.with_levels(options.levels), self.threads or default_threads()
        if folder is None:
            folder = tempfile.gettempdir() if plan.tiling else ""  # which is looked for by writing a file
        return stylize_rows(engine, source, target, options, plan, threads, folder, tell)

    def look_of(self, source: Rows, options: Options, plan: Plan) -> Look:
        """What the model keeps of the style of ``source`` at the levels of ``options``.

        Args:
            plan: of :meth:`plan`, for these options and ``decodes=False``.
        """
        engine, size = self.engine.with_levels(options.levels), (source.height, source.width)
        if plan.tiling is None:
            return engine.look(source.whole()[0], self.threads)
        return engine.look_tiled(size, source.read, plan.tiling, self.threads)


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
    total = math.fsum(weights)
    if not (all(weight >= 0 for weight in weights) and 0 < total < math.inf):
        raise ValueError(f"weights must be at least 0 and not all 0: {list(weights)}")
    return [weight / total for weight in weights]
