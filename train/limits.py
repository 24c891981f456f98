"""Descriptions of settings and the values they may have, declared beside their defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """Numbers from ``least`` to ``most``; ``above`` and ``below`` exclude these ends."""

    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, value: float) -> bool:
        low = value > self.least if self.above else value >= self.least
        high = value < self.most if self.below else value <= self.most
        return math.isfinite(value) and low and high  # false for NaN

    def __str__(self) -> str:
        low = f"above {self.least:g}" if self.above else f"at least {self.least:g}"
        if self.most == math.inf:
            return low
        if self.above:
            return f"{low} and {'below' if self.below else 'at most'} {self.most:g}"
        return f"{self.least:g} to {'below ' if self.below else ''}{self.most:g}"


class Choices(tuple[T, ...]):
    """Allowed values; the empty string stands for a value that is left open."""

    def __str__(self) -> str:
        *others, last = (str(each) for each in self if each != "")
        return f"{', '.join(others)} or {last}"


Words, Numbers = Choices[str], Choices[int]

ABOVE_0, AT_LEAST_0, AT_LEAST_1 = Range(0, above=True), Range(0), Range(1)
SHARE, SHARE_BELOW_ONE = Range(0, 1), Range(0, 1, below=True)
STAGE = Range(1, 5)
CROP = Range(16)
"""Sides of crops. Networks halve them three times, and reflection padding needs maps of two pixels at least."""


def check_crop(size: int, stage: int) -> None:
    """Raise ValueError if crops are so small that a stage pads maps of a single pixel by reflection."""
    if size < 2**stage:
        raise ValueError(f"size: expected at least {2**stage} for stage {stage}, got {size}")


def setting(default: Any, text: str, limit: Range | Choices[Any] | None = None, *, may_change: bool = False) -> Any:
    """A field of settings.

    Args:
        text: the description for ``--help``.
        limit: the allowed values; without it any, and for numbers any finite one.
        may_change: whether a run can be resumed with another value, as with more steps.
    """
    return field(default=default, metadata={"help": text, "limit": limit, "may_change": may_change})


def metadata_of(settings: object, name: str) -> Mapping[str, Any]:
    """The metadata of a field. A field that only overrides a default has that of the base class."""
    for each in type(settings).__mro__:
        declared = vars(each).get("__dataclass_fields__", {}).get(name)
        if declared is not None and declared.metadata:
            return declared.metadata  # type: ignore[no-any-return]
    return {}


def check(settings: object) -> None:
    """Check the values of all settings.

    Raises:
        ValueError: one line that names the setting, the allowed values and its value.
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
