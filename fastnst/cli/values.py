"""Types of command-line arguments: each converts a word, or refuses it in one line."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnst.jobs.names import Name
    from fastnst.options import StyleScale

COLORS = ("luma", "lab", "match", "histogram")
"""Modes that keep the colours of the content, the usual one first."""
KEEPS_COLOR = "--preserve-color"
"""An option whose value may be left away."""
FORMATS = ("png", "jpeg", "webp", "avif", "tiff", "bmp", "ppm", "pam")
"""Of pictures that are written, for messages; other names of these are known too."""
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")


def row_pair(text: str) -> tuple[str, str]:
    row, _, other = text.partition("=")
    if not row or not other or row == other:
        raise argparse.ArgumentTypeError(f"{text!r} does not name two rows, such as int8=float")
    return row, other


def path(text: str) -> Path:
    if not text:  # Path("") would be the current folder
        raise argparse.ArgumentTypeError("a file name is empty")
    if _ADDRESS.match(text):  # a Path would lose one of its slashes
        raise argparse.ArgumentTypeError(f"{text}: is an address, and nothing is fetched from a network: give a file")
    return Path(text)


def text(words: str) -> str:
    if not words.strip():
        raise argparse.ArgumentTypeError("is empty")
    return words.strip()


def share(text: str) -> float:
    alpha = real(text)
    if not 0 <= alpha <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not in 0..1")
    return alpha


def weight_list(text: str) -> list[float]:
    weights = [real(part) for part in text.split(",")]
    if not all(0 <= weight < math.inf for weight in weights) or not 0 < sum(weights) < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: weights are at least 0 and not all 0")
    return weights


def style_number(text: str) -> list[tuple[int, float]]:
    """One style of a model's own, as weights."""
    return [(at_least(0)(text), 1.0)]


def style_weights(text: str) -> list[tuple[int, float]]:
    """From ``3:0.5,12:0.5``."""
    from fastnst.options import check_style_weights

    pairs = []
    for part in text.split(","):
        number, colon, weight = part.partition(":")
        if not colon:
            raise argparse.ArgumentTypeError(f"{part!r} is no style with its weight, such as 3:0.5")
        pairs.append((at_least(0)(number), real(weight)))
    try:
        check_style_weights(pairs)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None
    return pairs


def level_list(text: str) -> list[int]:
    levels = [at_least(1)(part) for part in text.split(",")]
    if len(set(levels)) < len(levels):
        raise argparse.ArgumentTypeError(f"{text}: a level is given twice")
    return levels


def byte_count(text: str) -> int:
    from fastnst.system.memory import parse_bytes

    try:
        return parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive(text: str) -> float:
    number = real(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def moment(text: str) -> float:
    """Seconds, from ``83.5``, ``1:23.5`` or ``0:01:23.5``."""
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 83.5, 1:23.5 or 0:01:23.5")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def at_least(least: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if number < least:
            raise argparse.ArgumentTypeError(f"{number} is less than {least}")
        return number

    return convert


def output_name(text: str) -> Name:
    """A template of names."""
    from fastnst.jobs.names import Name

    try:
        return Name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def scales(text: str) -> tuple[StyleScale, ...]:
    """Of styles."""
    from fastnst.options import style_scales

    try:
        return style_scales(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class StoreOutput(argparse.Action):
    """Stores a path, and whether its name ends as that of a folder does."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        del option_string
        try:
            setattr(namespace, self.dest, path(values))
        except argparse.ArgumentTypeError as error:
            parser.error(f"argument {'/'.join(self.option_strings)}: {error}")
        setattr(namespace, f"{self.dest}_is_folder", values.endswith(("/", os.sep)))


def picture_format(text: str) -> str:
    """The suffix that stands for it."""
    from fastnst.images import FORMATS as SUFFIXES

    if text.lower() not in SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text!r} is none of the formats {', '.join(FORMATS)}")
    return SUFFIXES[text.lower()]


def percent(text: str) -> int:
    number = at_least(1)(text)
    if number > 100:
        raise argparse.ArgumentTypeError(f"{number} is more than 100")
    return number
