"""Generators, which translate pictures by themselves: no style, and no tiles."""

from __future__ import annotations

from typing import Any, NoReturn

from fastnst._engine import GeneratorModel
from fastnst.engine.base import Kind, Pixels


class GeneratorEngine(Kind):
    """A generator."""

    name = "a generator"
    takes_style = False
    tileable = False

    def __init__(self, model: GeneratorModel) -> None:
        self._model = model

    def _no_style(self, *_: Any, **__: Any) -> NoReturn:
        raise ValueError("this is a generator: it takes no style")

    with_levels = Kind.no_levels
    layer_times = Kind.not_timed
    encode = look = decode = stylize_tiled = look_tiled = _no_style

    def working_bytes(self, height: int, width: int, threads: int) -> int:
        return self._model.working_bytes(height, width, threads)

    def tiling(self, height: int, width: int, threads: int, budget: int, *_: Any) -> NoReturn:
        """There is none: a generator normalises by statistics of every layer's whole map."""
        needed = -(-self.working_bytes(height, width, threads) >> 20)
        raise ValueError(
            f"a generator cannot be run in tiles: {width} x {height} pixels take {needed} MB of memory, and {budget >> 20} MB "
            "are allowed"
        )

    def translate(self, image: Pixels, threads: int) -> Pixels:
        return self._model.translate(image, threads)
