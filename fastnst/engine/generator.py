"""Generators, which translate pictures by themselves: no style."""

from __future__ import annotations

from typing import NoReturn

from fastnst.engine.base import Kind


class GeneratorEngine(Kind):
    """Generators."""

    takes_style = False

    def look_of(self, *_: object) -> NoReturn:
        raise ValueError("this is a generator: it takes no style")

    def steadied(self, *_: object) -> NoReturn:
        raise ValueError("this is a generator: it takes no style")
