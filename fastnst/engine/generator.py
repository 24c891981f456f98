"""Generators, which translate pictures by themselves: no style, and no tiles."""

from __future__ import annotations

from typing import NoReturn

from fastnst.engine.base import Kind


class GeneratorEngine(Kind):
    """Generators, which normalise by statistics of every layer's whole map."""

    takes_style = False
    tileable = False

    def look_of(self, *_: object) -> NoReturn:
        raise ValueError("this is a generator: it takes no style")

    def steadied(self, *_: object) -> NoReturn:
        raise ValueError("this is a generator: it takes no style")
