"""The looks of the styles of a run: of pictures, of files that hold a look, and those that ship, each made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path

from fastnst.engine import Look, load_look
from fastnst.jobs.pictures import look_of_file
from fastnst.options import Options, StyleScale
from fastnst.stylize import Stylizer, find_look
from fastnst.system.errors import UsageError
from fastnst.system.threads import awaited

_KEPT = 64  # looks that wait for a content of the same size


class Looks:
    """Makes looks, and keeps them.

    Args:
        options: with sizes, scales and levels, and the weights of several styles; the styles are told with each call.
        worker: where the engine runs, so that whoever is interrupted can give up waiting for it.
    """

    def __init__(self, stylizer: Stylizer, options: Options, worker: Executor | None = None) -> None:
        self._stylizer, self._options, self._worker = stylizer, options, worker
        self._scales = options.style_scale or (StyleScale(),)
        self.made = False  # a look, by the last call
        self._kept: dict[tuple[Path, StyleScale, int | None], Look] = {}

    @property
    def follows_contents(self) -> bool:
        """Whether a look depends on the size of the content."""
        return any(scale.factor is None for scale in self._scales)

    def options(self, styles: Sequence[Path], content: Callable[[], int] | None = None) -> Options:
        """The options with the look of all these styles together, and with those of the regions.

        Args:
            content: tells the short side of the content in pixels.

        Raises:
            ImageError: a style that cannot be read.
            LookError: a look of another model, or a damaged one.
            UsageError: a scale for what is a look already, or one that follows contents whose size is not known.
        """
        self.made = False
        if not styles and not self._options.regions:
            return self._options
        side = None
        if self.follows_contents:
            if content is None:
                raise UsageError("--style-scale auto needs a picture or a video, whose size it follows")
            side = content()
        look = self._mixed(styles, self._options.weights, side) if styles else None
        regions = [replace(each, look=self._mixed(each.styles, each.weights, side)) for each in self._options.regions]
        return replace(self._options, styles=styles, look=look, regions=regions)

    def _mixed(self, styles: Sequence[Path], weights: Sequence[float] | None, side: int | None) -> Look:
        looks, shares = [], []
        for style, weight in zip(styles, weights or [1.0] * len(styles), strict=True):
            for scale in self._scales:
                looks.append(self._look(style, scale, side))
                shares.append(weight * scale.share)
        look = self._stylizer.mix(looks, shares)
        self._stylizer.engine.check_look(look)
        return look

    def _look(self, style: Path, scale: StyleScale, side: int | None) -> Look:
        key = style, scale, side if scale.factor is None else None
        if key not in self._kept:
            if len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            self.made = True
            make = partial(self._made, style, scale, side)
            self._kept[key] = awaited(self._worker.submit(make)) if self._worker else make()
        return self._kept[key]

    def _made(self, style: Path, scale: StyleScale, side: int | None) -> Look:
        path = find_look(style, self._stylizer.engine.identity[1])
        if path is None:
            return look_of_file(style, self._stylizer, self._options, scale, side)
        if self._options.style_scale is not None or self._options.style_size is not None:
            raise UsageError(f"{style}: is a look, which has its size already: --style-scale and --style-size are for pictures")
        look = load_look(path)
        self._stylizer.engine.check_look(look)
        return look
