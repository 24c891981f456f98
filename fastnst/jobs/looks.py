"""The looks of the styles of a run: of pictures, of files that hold a look, and those that ship, each made once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fastnst.engine import Look, load_look
from fastnst.jobs.pictures import DEFAULT_STYLE_SIZE, look_of_file
from fastnst.options import Options, StyleScale
from fastnst.stylize import Stylizer, find_look
from fastnst.system.errors import UsageError
from fastnst.system.threads import awaited

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from fastnst.jobs.lookstore import LookStore

_KEPT = 32 << 20  # bytes of looks that wait for the next content that they are for

__all__ = ["DEFAULT_STYLE_SIZE", "Looks"]


class Looks:
    """Makes looks, and keeps them. Several threads may use it at once.

    Args:
        options: with sizes, scales and levels, and the weights of several styles; the styles are told with each call.
        worker: where the engine runs, so that whoever is interrupted can give up waiting for it.
        store: keeps the looks of pictures from run to run.
    """

    def __init__(
        self, stylizer: Stylizer, options: Options, worker: Executor | None = None, store: LookStore | None = None
    ) -> None:
        self._stylizer, self._options, self._worker, self._store = stylizer, options, worker, store
        self._scales = options.style_scale or (StyleScale(),)
        self._kept: dict[tuple[Path, StyleScale, int | None], Look] = {}
        self._bytes = 0  # of these
        self._digests: dict[Path, str] = {}
        self._lock, self._last = threading.Lock(), threading.local()

    @property
    def made(self) -> bool:
        """Whether the last call of this thread made a look."""
        return bool(getattr(self._last, "made", False))

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
        self._last.made = False
        if not styles and not self._options.regions:
            return self._options
        side = None
        if self.follows_contents:
            if content is None:
                raise UsageError("--style-scale auto needs a picture or a video, whose size it follows")
            side = content()
        look = self._mixed(styles, self._options.weights, side) if styles else None
        regions = [each._replace(look=self._mixed(each.styles, each.weights, side)) for each in self._options.regions]
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

    def look(self, style: Path) -> Look:
        """That of one style; errors as for :meth:`options`."""
        look = self.options([style]).look
        assert look is not None
        return look

    def _look(self, style: Path, scale: StyleScale, side: int | None) -> Look:
        key = style, scale, side if scale.factor is None else None
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None:
            return kept
        self._last.made = True
        make = partial(self._stored, style, scale, side)
        look = awaited(self._worker.submit(make)) if self._worker else make()
        with self._lock:
            while self._kept and self._bytes + look.bytes > _KEPT:
                self._bytes -= self._kept.pop(next(iter(self._kept))).bytes
            if key not in self._kept:  # another thread may have been faster
                self._kept[key] = look
                self._bytes += look.bytes
        return look

    def _stored(self, style: Path, scale: StyleScale, side: int | None) -> Look:
        if self._store is None or find_look(style, self._stylizer.engine.identity[1]) is not None or not style.is_file():
            return self._made(style, scale, side)
        if style not in self._digests:
            from fastnst.system.digest import file_digest

            self._digests[style] = file_digest(style)
        what = (self._stylizer.engine.identity[0], self._digests[style], self._options.style_size, self._options.levels)
        return self._store.look((*what, scale.factor, side if scale.factor is None else None),
                                partial(self._made, style, scale, side))  # fmt: skip

    def _made(self, style: Path, scale: StyleScale, side: int | None) -> Look:
        path = find_look(style, self._stylizer.engine.identity[1])
        if path is None:
            return look_of_file(style, self._stylizer, self._options, scale, side)
        if self._options.style_scale is not None or self._options.style_size is not None:
            raise UsageError(f"{style}: is a look, which has its size already: --style-scale and --style-size are for pictures")
        look = load_look(path)
        self._stylizer.engine.check_look(look)
        return look
