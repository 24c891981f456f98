"""Options of ``stylize`` about parts of a picture: regions with styles of their own, and strength by place."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnst.cli.values import path

if TYPE_CHECKING:
    from fastnst.options import Region

REGION_HELP = (
    "paint what MASK covers in a style of its own, or in several that are mixed by their weights; may be repeated. MASK is a "
    "picture of any size, white where the region is, or opaque where it has transparency; what no mask covers takes STYLE, or "
    "stays as it is without one"
)
LABELS_HELP = "a PNG whose numbers are objects, such as a segmentation: --region 3=STYLE paints those of number 3"
ALPHA_MAP_HELP = "how strong the style is by place: a picture, white = as --alpha says, black = not at all"


def add_arguments(add: Callable[..., Any]) -> None:
    """The options, by ``add_argument`` of a parser."""
    add(
        "--region",
        dest="regions",
        type=region,
        action="append",
        default=[],
        metavar="MASK=STYLE[,STYLE:WEIGHT...]",
        help=REGION_HELP,
    )
    add("--labels", type=path, metavar="PNG", help=LABELS_HELP)
    add("--alpha-map", type=path, metavar="MASK", help=ALPHA_MAP_HELP)


def region(text: str) -> Region:
    """A mask and what is painted there."""
    from fastnst.options import Region

    mask, _, styles = text.partition("=")
    if not mask or not styles:
        raise argparse.ArgumentTypeError(f"{text!r} does not name a mask and a style, such as sky.png=painting.jpg")
    parts = [_weighted(part) for part in styles.split(",")]
    if sum(weight for _, weight in parts) <= 0:
        raise argparse.ArgumentTypeError(f"{text}: weights are not all 0")
    return Region(path(mask), tuple(style for style, _ in parts), tuple(weight for _, weight in parts))


def _weighted(text: str) -> tuple[Path, float]:
    """A style and its weight, which is 1 where none is told."""
    name, colon, number = text.rpartition(":")
    try:
        weight = float(number) if colon else 1.0
    except ValueError:  # the colon is part of the name
        return path(text), 1.0
    if not 0 <= weight < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: a weight is at least 0")
    return path(name if colon else text), weight


def regions_of(arguments: argparse.Namespace) -> list[Region]:
    """Those that are asked for; names that are numbers are labels where there is a picture of these.

    Raises:
        UsageError: there is one, and no region names a number.
    """
    from fastnst.system.errors import UsageError

    regions: list[Region] = arguments.regions
    if arguments.labels is None:
        return regions
    found = [each._replace(mask=int(str(each.mask))) if str(each.mask).isdecimal() else each for each in regions]
    if not any(isinstance(each.mask, int) for each in found):
        raise UsageError("--labels is for regions that name one of its numbers, such as --region 3=painting.jpg")
    return found
