"""The Python face of stylization: :class:`Stylizer` and the models that ship inside the package."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastnst.engine import AnyLook, Engine, Look, ModelError, WctLook, default_threads
from fastnst.images import Picture, filled, to_srgb
from fastnst.palette import Palette
from fastnst.system.memory import default_budget, parse_bytes

__all__ = ["Look", "ModelError", "ModelInfo", "Styled", "Stylizer", "WctLook", "keep_color", "models"]

DEFAULT_MODEL = "adain-16x"
NO_STYLE = "this model translates pictures by itself: it takes no style, and no alpha, weights or levels"

Pixels: TypeAlias = NDArray[np.uint8]  # [H, W, 3], sRGB
Style: TypeAlias = Image.Image | Pixels | AnyLook

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
        return self.max_memory or default_budget(height, width)

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
            preserve_color: keep the content's colours, see :func:`keep_color`.
            levels: which levels of a WCT model to run, from the deepest to the first in whatever order they are given; without
                it all that the model has.
            palette: how far the colours of the result are moved to the style's mean and covariance by one linear map
                (:mod:`fastnst.palette`): 0 = not at all, 1 = all the way, which is the default; times ``alpha``. With
                ``preserve_color`` there is no such step.

        Raises:
            ValueError: wrong dtype, shape, size, ``alpha``, ``weights``, ``levels`` or ``palette``; no style, or one that the
                model does not take.
        """
        look = None
        if not self.engine.translates:
            if style is None:
                raise ValueError("this model needs a style")
            look = self.mix(style, weights, levels)
        elif style is not None or weights is not None:
            raise ValueError(NO_STYLE)
        if not isinstance(content, Image.Image):
            return self.run(_checked(content, "content"), look, alpha, preserve_color, levels, palette).pixels
        picture = filled(to_srgb(content))
        pixels = self.run(np.asarray(picture.rgb), look, alpha, preserve_color, levels, palette).pixels
        return Picture(Image.fromarray(pixels), picture.alpha).image()

    def encode_style(self, style: Image.Image | Pixels, levels: Sequence[int] | None = None) -> AnyLook:
        """What the model keeps of a style; pass it as ``style`` to stylize many contents alike.

        Raises:
            ValueError: wrong dtype, shape, size or ``levels``.
        """
        pixels = np.asarray(filled(to_srgb(style)).rgb) if isinstance(style, Image.Image) else _checked(style, "style")
        size = pixels.shape[0], pixels.shape[1]
        if self.engine.translates or not self.needs_tiles(*size, levels):
            return self.engine.look(pixels, self.threads, levels)

        def read(first: int, rows: Pixels) -> None:
            rows[...] = pixels[first : first + len(rows)]

        tiling = self.engine.tiling(size, self.budget(*size), self.threads, levels, decodes=False)
        return self.engine.look_tiled(size, read, tiling, self.threads, levels)

    def mix(
        self, style: Style | Sequence[Style], weights: Sequence[float] | None = None, levels: Sequence[int] | None = None
    ) -> AnyLook:
        """The look of one style, or of several mixed by ``weights``; arguments and errors as for a call."""
        styles = [style] if isinstance(style, Image.Image | np.ndarray | Look | WctLook) else list(style)
        shares = _shares(weights, len(styles))
        looks = [each if isinstance(each, Look | WctLook) else self.encode_style(each, levels) for each in styles]
        return looks[0] if len(looks) == 1 else Engine.mix(looks, shares)

    def run(
        self,
        content: Pixels,
        look: AnyLook | None,
        alpha: float = 1.0,
        preserve_color: bool = False,
        levels: Sequence[int] | None = None,
        palette: float | None = None,
    ) -> Styled:
        """As a call, for pixels and a look that are ready; also says how long each step took.

        WCT encodes again at every level; what comes after its first encoding counts as decoding, as does all that a generator
        does, for which there is no look.
        """
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie in 0..1, not {alpha}")
        start = encoded = time.perf_counter()
        if look is None:
            if alpha != 1 or levels is not None or palette is not None:
                raise ValueError(NO_STYLE)
            self._check_whole(*content.shape[:2])
            pixels = self.engine.translate(content, self.threads)
        elif self.needs_tiles(content.shape[0], content.shape[1], levels):
            pixels, encoded = self._run_tiled(content, look, alpha, levels)
        else:
            features = self.engine.encode(content, self.threads, levels)
            encoded = time.perf_counter()
            pixels = self.engine.decode(features, look, alpha, self.threads)
        decoded = time.perf_counter()
        if step := palette_step(look, alpha, preserve_color, palette):
            step.apply(pixels, self.threads or default_threads())
        if preserve_color:
            pixels = keep_color(content, pixels)
        return Styled(pixels, encoded - start, decoded - encoded, time.perf_counter() - decoded)

    def needs_tiles(self, height: int, width: int, levels: Sequence[int] | None = None, beside: int = 0) -> bool:
        """Whether a picture of this size takes more than its budget at once, with ``beside`` bytes for other things."""
        whole = self.engine.working_bytes(height, width, levels, self.threads)
        return whole + beside > self.budget(height, width)

    def _check_whole(self, height: int, width: int) -> None:
        needed = self.engine.working_bytes(height, width, threads=self.threads)
        if self.max_memory is not None and needed > self.max_memory:
            raise ValueError(
                f"a generator cannot be run in tiles: {width} x {height} pixels take {-(-needed >> 20)} MB of memory, and "
                f"{self.max_memory >> 20} MB are allowed"
            )

    def _run_tiled(self, content: Pixels, look: AnyLook, alpha: float, levels: Sequence[int] | None) -> tuple[Pixels, float]:
        """The picture, and when the first of it was there."""
        size = content.shape[0], content.shape[1]
        tiling = self.engine.tiling(size, self.budget(*size), self.threads, levels)
        pixels, done, first_done = np.empty_like(content), 0, 0.0

        def read(first: int, rows: Pixels) -> None:
            rows[...] = content[first : first + len(rows)]

        def write(rows: Pixels) -> None:
            nonlocal done, first_done
            first_done = first_done or time.perf_counter()
            pixels[done : done + len(rows)] = rows
            done += len(rows)

        folder = tempfile.gettempdir()
        self.engine.stylize_tiled(size, read, write, look, alpha, tiling, folder, self.threads, levels)
        return pixels, first_done


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


# ---- colour -----------------------------------------------------------------------------------------------------------------


def palette_step(look: AnyLook | None, alpha: float, preserve_color: bool, palette: float | None) -> Palette | None:
    """The palette step of a picture in this look, if there is one; arguments as for :class:`Stylizer`.

    Raises:
        ValueError: ``palette`` is not in 0..1, or asked for together with ``preserve_color``.
    """
    if palette is not None and not 0 <= palette <= 1:
        raise ValueError(f"palette must lie in 0..1, not {palette}")
    if palette and preserve_color:
        raise ValueError("palette takes the style's colours and preserve_color the content's: choose one")
    if look is None or look.colors is None or preserve_color or palette == 0 or alpha == 0:
        return None
    return Palette(look.colors, alpha * (1.0 if palette is None else palette))


# ITU-R BT.601 luma in units of 1/65536, as in JPEG. The sum is 65536, so that grey of any level is its own luma.
_LUMA = np.array([19595, 38470, 7471], np.int32)
_BAND_PIXELS = 1 << 18  # 32-bit intermediates of one band stay in the cache


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
