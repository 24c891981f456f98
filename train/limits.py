"""What a setting is and which values it may have, declared beside its default."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """Numbers from ``least`` to ``most``; ``above`` and ``below`` say that these ends do not belong to them."""

    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, value: float) -> bool:
        low = value > self.least if self.above else value >= self.least
        high = value < self.most if self.below else value <= self.most
        return math.isfinite(value) and low and high  # NaN is in no range

    def __str__(self) -> str:
        low = f"above {self.least:g}" if self.above else f"at least {self.least:g}"
        if self.most == math.inf:
            return low
        if self.above:
            return f"{low} and {'below' if self.below else 'at most'} {self.most:g}"
        return f"{self.least:g} to {'below ' if self.below else ''}{self.most:g}"


class Choices(tuple[T, ...]):
    """Some values; the empty word stands for what is left open."""

    def __str__(self) -> str:
        *others, last = (str(each) for each in self if each != "")
        return f"{', '.join(others)} or {last}"


Words, Numbers = Choices[str], Choices[int]

ABOVE_0, AT_LEAST_0, AT_LEAST_1 = Range(0, above=True), Range(0), Range(1)
SHARE, SHARE_BELOW_ONE = Range(0, 1), Range(0, 1, below=True)
STAGE = Range(1, 5)
CROP = Range(16)
"""Sides of crops: the deepest maps of networks that halve them three times need two places for reflection."""


def setting(default: Any, text: str, limit: Range | Choices[Any] | None = None, *, may_change: bool = False) -> Any:
    """A field of settings.

    Args:
        text: for ``--help``.
        limit: the values that it may have; a number without one may have any that is finite.
        may_change: whether a run may go on with another value, as it may with more steps.
    """
    return field(default=default, metadata={"help": text, "limit": limit, "may_change": may_change})


def metadata_of(settings: object, name: str) -> Mapping[str, Any]:
    """What was declared of a field; of one that only has another default than in a base class, there."""
    for each in type(settings).__mro__:
        declared = vars(each).get("__dataclass_fields__", {}).get(name)
        if declared is not None and declared.metadata:
            return declared.metadata  # type: ignore[no-any-return]
    return {}


def check(settings: object) -> None:
    """Refuse settings whose values they may not have.

    Raises:
        ValueError: one line that names the setting, what was expected, and what it is.
    """
    for each in fields(settings):  # type: ignore[arg-type]
        value, limit = getattr(settings, each.name), metadata_of(settings, each.name).get("limit")
        if isinstance(value, float) and limit is None:
            limit = Range()
        if limit is not None and value not in limit:
            expected = "a finite number" if limit == Range() else limit
            raise ValueError(
                f"{each.name}: expected {expected}, got {value if isinstance(value, int | float) else repr(value)}"
            )
