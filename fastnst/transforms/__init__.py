"""Random styles as an augmentation of training data: the same sample and epoch give the same bytes in any number of workers."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from fastnst.color import mode_of
from fastnst.engine import Engine, Look, Pixels
from fastnst.images import Picture, filled, resize_short_side, to_srgb
from fastnst.jobs.looks import DEFAULT_STYLE_SIZE, Looks
from fastnst.jobs.lookstore import LookStore, store_of
from fastnst.jobs.plans import pictures_in
from fastnst.options import Options
from fastnst.stylize import NO_STYLE, Stylizer
from fastnst.system.errors import UsageError
from fastnst.transforms.kinds import Opened, Samples, opened
from fastnst.transforms.structure import images_in, replaced

__all__ = ["RandomStyle"]

Key: TypeAlias = int | str
OneStyle: TypeAlias = str | Path | Image.Image | Pixels | Look


@dataclass(frozen=True)
class _Draw:
    """What was drawn for one sample."""

    look: Look
    alpha: float


class RandomStyle:
    """Stylizes a picture at random, as an augmentation: each with a style, a strength and a chance drawn for it.

    What is drawn depends on ``seed``, on the epoch (:meth:`set_epoch`) and on the sample: on its index where a call is told
    one, or else on the picture's own bytes. Nothing else counts: not the worker, their number, the order, or how they are
    started. It may be pickled, and be used after a fork; models that ship are pickled by name.

    Args:
        styles: a folder of pictures and ``.look`` files (with the folders in it); the name of a look that ships; a file; a PIL
            image; uint8 [H, W, 3]; a look that :meth:`fastnst.Stylizer.encode_style` made; or a sequence of these.
        p: the chance that a picture is stylized, 0..1.
        alpha: the strength, 0..1; a pair is a range from which it is drawn evenly.
        mix: how many different styles are mixed for one picture, in shares drawn evenly.
        palette: as for :class:`fastnst.Stylizer`.
        preserve_color: likewise.
        seed: 0 or more.
        model: the name of a shipped model, or a ``.fnst`` file; without it the shipped default.
        style_size: the short side that styles are resized to in pixels; 0 = as they are; without it larger ones are shrunk to
            512.
        style_cache: keep the looks of style files in the user's cache folder, so that they are made once and not at every
            start; or in this folder. False makes them anew.
        threads: how many threads one call uses: one, because a data loader has a worker for each core.

    Raises:
        ValueError: a value out of its range, fewer styles than ``mix``, or a model that takes no style.
        ImageError: a style that cannot be read.
        LookError: a look of another model.
    """

    def __init__(
        self,
        styles: OneStyle | Sequence[OneStyle],
        p: float = 0.5,
        alpha: float | tuple[float, float] = 1.0,
        mix: int = 1,
        palette: float | None = None,
        preserve_color: bool | str = False,
        seed: int = 0,
        model: str | Path | None = None,
        style_size: int | None = None,
        style_cache: bool | str | Path = True,
        threads: int = 1,
    ) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"p must lie in 0..1, not {p}")
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, not {seed}")
        low, high = alpha if isinstance(alpha, Sequence) else (alpha, alpha)
        for each in (low, high):
            Options(alpha=each, palette=palette)  # says what is wrong with them
        if low > high:
            raise ValueError(f"alpha must go from less to more, not from {low} to {high}")
        self.p, self.alpha, self.mix, self.seed, self.epoch = p, (float(low), float(high)), mix, seed, 0
        self.palette, self.preserve_color = palette, preserve_color
        mode_of(preserve_color)
        self.stylizer = Stylizer(model, threads)
        if not self.stylizer.engine.takes_style:
            raise UsageError(NO_STYLE)
        self.looks = _looks(styles, self.stylizer, Options(style_size=style_size), store_of(style_cache))
        if not 1 <= mix <= len(self.looks):
            raise ValueError(f"mix must be 1 to {len(self.looks)}, the number of styles, not {mix}")

    def __repr__(self) -> str:
        name = self.stylizer.engine.identity[1]
        drawn = f"p={self.p}, alpha={self.alpha}, mix={self.mix}, seed={self.seed}"
        return f"RandomStyle({len(self.looks)} styles of {name}, {drawn})"

    def set_epoch(self, epoch: int) -> None:
        """Draw anew: to be called before the loader of an epoch begins.

        Workers that outlive an epoch (``persistent_workers=True``) do not hear of it: give them the epoch with the call.
        """
        self.epoch = epoch

    def __call__(self, *inputs: Any, index: Key | Sequence[Key] | None = None, epoch: int | None = None) -> Any:
        """The same with its picture stylized, or not, as it is drawn; of the same kind, size and type.

        Args:
            inputs: a picture: a PIL image; uint8 or float 0..1, [H, W] or [H, W, C], as an array; [C, H, W] as a tensor, on
                any device, or a ``tv_tensors.Image``. C is 1 (grey), 2 (and transparency), 3 or 4. [N, H, W, C] and
                [N, C, H, W] are batches, in which every picture is drawn for. Or a sample: dictionaries, lists and tuples of
                which the PIL images and ``tv_tensors`` (of a ``Video`` all frames) are stylized alike, or, if there are none,
                the first tensor or array; the rest is handed through, as ``torchvision.transforms.v2`` does.
            index: of the sample in its data set, or its name; of a batch, one for each picture.
            epoch: without it that of :meth:`set_epoch`.

        PIL images of other modes than L, LA, RGB and RGBA, and with a colour profile, become RGB or RGBA in sRGB whether they
        are stylized or not. Floats are rounded to 8 bits; gradients end here.

        Raises:
            ValueError: no picture, one of another shape or type, or floats beyond -0.25..1.25, within which they are clipped.
        """
        given: Any = inputs[0] if len(inputs) == 1 else inputs
        found = images_in(given)
        if not found:
            raise ValueError("RandomStyle needs a picture: a PIL image, an array or a tensor")
        draws: list[_Draw | None] | None = None
        results = {}
        for place, value in found:
            pictures = opened(value)
            if draws is None:
                draws = self._draws(pictures, index, self.epoch if epoch is None else epoch)
            results[place] = self._result(pictures, draws)
        return replaced(given, results)

    def _result(self, pictures: Opened, draws: Sequence[_Draw | None]) -> Any:
        drawn = list(draws) if pictures.apart else [draws[0]] * len(pictures.samples)
        if len(drawn) != len(pictures.samples):
            raise ValueError(f"pictures of one sample are batches of {len(drawn)} and of {len(pictures.samples)}")
        if not any(drawn):
            return pictures.untouched
        pairs = zip(pictures.samples, drawn, strict=True)
        return pictures.restored([self._styled(each, draw) if draw else None for each, draw in pairs])

    def _draws(self, pictures: Opened, index: Key | Sequence[Key] | None, epoch: int) -> list[_Draw | None]:
        if not pictures.apart:
            keys = [_digest(pictures.samples) if index is None else index]
        elif index is None:
            keys = [_digest([each]) for each in pictures.samples]
        else:
            keys = [index] if isinstance(index, int | str | np.integer) else list(index)
            if len(keys) != len(pictures.samples):
                raise ValueError(f"a batch of {len(pictures.samples)} needs as many indices, not {len(keys)}")
        return [self._draw(f"{self.seed}:{epoch}:{key}") for key in keys]

    def _draw(self, key: str) -> _Draw | None:
        # Of this generator, the numbers of random() alone are promised to be the same in every version of Python.
        draw = random.Random(key).random
        if draw() >= self.p:
            return None
        low, high = self.alpha
        alpha = min(high, low + (high - low) * draw())
        chosen = list[int]()
        while len(chosen) < self.mix:
            style = int(draw() * len(self.looks))
            if style not in chosen:
                chosen.append(style)
        looks = [self.looks[style] for style in chosen]
        if len(looks) == 1:
            return _Draw(looks[0], alpha)
        cuts = [0.0, *sorted(draw() for _ in looks[1:]), 1.0]
        return _Draw(Engine.mix(looks, [end - start for start, end in itertools.pairwise(cuts)]), alpha)

    def _styled(self, samples: Samples, draw: _Draw) -> Samples:
        """[H, W, C] stylized; transparency as it was."""
        channels = samples.shape[2]
        color = samples[..., : channels - (channels in (2, 4))]
        rgb = np.ascontiguousarray(np.broadcast_to(color, (*samples.shape[:2], 3)))
        if channels in (2, 4):
            rgb = np.asarray(filled(Picture(Image.fromarray(rgb), Image.fromarray(samples[..., -1]))).rgb)
        result = self.stylizer.run(rgb, draw.look, draw.alpha, self.preserve_color, palette=self.palette).pixels
        if channels < 3:
            result = np.asarray(Image.fromarray(result).convert("L"))[..., None]
        return result if channels in (1, 3) else np.concatenate([result, samples[..., -1:]], axis=2)


def _digest(pictures: Sequence[Samples]) -> str:
    """Of the bytes of a sample's pictures, and of their shape."""
    digest = hashlib.blake2b(digest_size=16)
    for each in pictures:
        digest.update(repr(each.shape).encode())
        digest.update(np.ascontiguousarray(each).data)
    return digest.hexdigest()


def _looks(styles: Any, stylizer: Stylizer, options: Options, store: LookStore | None) -> list[Look]:
    """One for each style; a folder has several."""
    made = Looks(stylizer, options, store=store)
    several = styles if isinstance(styles, Sequence) and not isinstance(styles, str) else [styles]

    def of_one(style: OneStyle) -> Iterator[Look]:
        if isinstance(style, str | Path):
            path = Path(style)
            yield from map(made.look, pictures_in(path) if path.is_dir() else [path])
        elif isinstance(style, Look):
            stylizer.engine.check_look(style)
            yield style
        else:
            yield stylizer.encode_style(_resized(style, options.style_size))

    found = [look for style in several for look in of_one(style)]
    if not found:
        raise ValueError("there must be at least one style")
    return found


def _resized(style: Image.Image | Pixels, size: int | None) -> Image.Image | Pixels:
    """A style that is in memory, of the size that its file would have."""
    own = min(style.size) if isinstance(style, Image.Image) else min(np.shape(style)[:2], default=0)
    side = min(DEFAULT_STYLE_SIZE, own) if size is None else size or own
    if side == own:
        return style
    image = style if isinstance(style, Image.Image) else Image.fromarray(style)
    return resize_short_side(to_srgb(image), side).image()
