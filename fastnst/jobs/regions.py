"""The masks of a run, read once for all its contents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from fastnst.images import ImageError, Mask, MaskClip, open_label_masks, open_mask, picture_size
from fastnst.options import Options
from fastnst.video import moves

Given: TypeAlias = Path | Mask | MaskClip | int


def with_masks(options: Options) -> Options:
    """The options with their masks read from files; those that move are read along with each video.

    Raises:
        ImageError: a mask that cannot be read, or a label that its picture does not have.
    """
    labels = {region.mask for region in options.regions if isinstance(region.mask, int)}
    objects = open_label_masks(options.labels, labels) if options.labels is not None and labels else {}
    read = dict[Path, Mask]()

    def mask(given: Given) -> Mask | MaskClip:
        if isinstance(given, int):
            return objects[given]
        if isinstance(given, Path):
            read[given] = read.get(given) or open_mask(given)
            return read[given]
        return given

    return _with_each(_with_clips(options), mask)


def check_masks(options: Options, still: Path | None) -> None:
    """Raise ImageError for masks that are not there or no pictures, or that move although the content, the picture ``still``,
    does not. No picture is decoded."""
    options = _with_clips(options)
    for given in (options.labels, options.alpha_map, *(region.mask for region in options.regions)):
        if isinstance(given, Path):
            picture_size(given)
    if still is not None:
        try:
            options.check_still()
        except ValueError as error:
            raise ImageError(f"{still}: {error}") from None


def _with_clips(options: Options) -> Options:
    """With those masks opened that are no pictures; a clip of one frame is a mask that stays in place."""
    opened = dict[Path, Mask | MaskClip]()

    def mask(given: Given) -> Given:
        if not isinstance(given, Path) or not moves(given):
            return given
        if given not in opened:
            from fastnst.video.masked import open_mask_clip

            opened[given] = open_mask_clip(given, options.clip)
        return opened[given]

    return _with_each(options, mask)


def _with_each(options: Options, mask: Callable[[Any], Any]) -> Options:
    if not options.is_parted:
        return options
    regions = [region._replace(mask=mask(region.mask)) for region in options.regions]
    return replace(options, regions=regions, alpha_map=None if options.alpha_map is None else mask(options.alpha_map))
