"""The masks of a run, read once for all its contents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fastnst.images import Mask, MaskClip, open_label_masks, open_mask, picture_size
from fastnst.options import Options
from fastnst.video import moves


def with_masks(options: Options) -> Options:
    """The options with their masks read from files; those that move are read along with each video.

    Raises:
        ImageError: a mask that cannot be read, or a label that its picture does not have.
    """
    if not options.regions and options.alpha_map is None:
        return options
    labels = {region.mask for region in options.regions if isinstance(region.mask, int)}
    objects = open_label_masks(options.labels, labels) if options.labels is not None and labels else {}
    read = dict[Path, Mask]()

    def mask(given: Path | Mask | MaskClip | int) -> Mask | MaskClip:
        if isinstance(given, Mask | MaskClip):
            return given
        if isinstance(given, int):
            return objects[given]
        if moves(given):
            return MaskClip(given)
        if given not in read:
            read[given] = open_mask(given)
        return read[given]

    regions = [replace(region, mask=mask(region.mask)) for region in options.regions]
    return replace(options, regions=regions, alpha_map=None if options.alpha_map is None else mask(options.alpha_map))


def check_masks(options: Options) -> None:
    """Raise ImageError for masks that are not there or no pictures; nothing is decoded, and clips are not looked into."""
    for given in (options.labels, options.alpha_map, *(region.mask for region in options.regions)):
        if isinstance(given, Path) and not moves(given):
            picture_size(given)
