"""One docstring per operation: fused operations have that of their reference, which states the formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


def documented(reference: Callable[..., object]) -> Callable[[FunctionT], FunctionT]:
    """Give a function the docstring of ``reference``."""

    def copy(function: FunctionT) -> FunctionT:
        function.__doc__ = reference.__doc__
        return function

    return copy
