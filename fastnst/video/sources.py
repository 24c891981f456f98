"""Opening of videos, of whatever kind, with the masks that move along with them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from fastnst.images import Mask, MaskClip, as_mask, open_mask
from fastnst.options import Clip
from fastnst.system.atomic import PIPE
from fastnst.system.digest import file_digest
from fastnst.video.container import ContainerSource
from fastnst.video.frames import Format, Frame, Source, VideoError
from fastnst.video.kinds import is_sequence, is_y4m
from fastnst.video.part import Part
from fastnst.video.sequence import USUAL_RATE, SequenceSource, numbered_pictures
from fastnst.video.y4m import Y4mSource

Whole: TypeAlias = ContainerSource | SequenceSource | Y4mSource


def open_source(content: Path, clip: Clip | None = None, masks: Sequence[MaskClip] = ()) -> Source:
    """Open the video in a file, or on standard input; the part of it that ``clip`` names.

    Args:
        masks: those that each frame comes with; the first ones are those of the video's first frame, not of the part's.

    Raises:
        VideoError: it cannot be read, or masks cannot.
    """
    source = whole(content, clip)
    try:
        moving: Source = Masked(source, str(content), masks, clip) if masks else source
    except BaseException:
        source.close()
        raise
    return Part(moving, clip, str(content)) if clip and clip.is_part else moving


def whole(content: Path, clip: Clip | None = None) -> Whole:
    """Open all of a video."""
    if is_sequence(content):
        rate = Fraction(clip.rate).limit_denominator(1001) if clip and clip.rate else USUAL_RATE
        return SequenceSource(content, rate)
    if clip and clip.rate is not None:
        raise VideoError(f"{content}: has a rate of its own: --rate is for pictures with numbers")
    if content == PIPE:
        return Y4mSource(sys.stdin.buffer, "standard input")
    if is_y4m(content):
        file = content.open("rb")
        try:
            return Y4mSource(file, str(content))
        except BaseException:
            file.close()
            raise
    return ContainerSource(content, clip)


def innermost(source: Source) -> Source:
    """The whole video that a source is a part of, without masks."""
    while isinstance(source, Part | Masked):
        source = source.source
    return source


class Masked:
    """A video whose frames come with masks: the first frame with the first masks, whatever their times are.

    It ends with the masks, if those end first, and then says so in ``warnings``.

    Args:
        name: of the video, for messages.

    Raises:
        VideoError, ImageError: masks cannot be read.
    """

    def __init__(self, source: Whole, name: str, clips: Sequence[MaskClip], clip: Clip | None = None) -> None:
        self.source, self._name = source, name
        self.format: Format = source.format
        self.warnings, self.origin, self.count = source.warnings, source.origin, source.count
        self._masks = list[_Masks]()
        try:
            for each in clips:
                self._masks.append(_Masks(each.path, clip or Clip()))
        except BaseException:
            self._close_masks()
            raise

    @property
    def transparent(self) -> bool:
        """See :class:`fastnst.video.frames.Source`."""
        return self.source.transparent

    @property
    def ends_early(self) -> bool:
        """See :class:`fastnst.video.frames.Source`."""
        return self.source.ends_early

    @property
    def has_alpha(self) -> bool:
        """See :class:`fastnst.video.frames.Source`."""
        return self.source.has_alpha

    def frames(self, start: int = 0, keep_alpha: bool = False) -> Iterator[Frame]:
        """See :class:`fastnst.video.frames.Source`."""
        masks = [each.masks(start) for each in self._masks]
        for number, frame in enumerate(self.source.frames(start, keep_alpha), start):
            found = [next(each, None) for each in masks]
            for ended in (each for each, mask in zip(self._masks, found, strict=True) if mask is None):
                self.source.ends_early = True
                self.warnings.extend(ended.warnings)
                held = f"{number} mask{'' if number == 1 else 's'}"
                self.warnings.append(f"{ended.path}: holds {held}, and {self._name} more frames: the output ends there")
                return
            yield replace(frame, masks=tuple(mask for mask in found if mask is not None))

    def close(self) -> None:
        """See :class:`fastnst.video.frames.Source`."""
        self.source.close()
        self._close_masks()

    def _close_masks(self) -> None:
        for each in self._masks:
            each.close()


class _Masks:
    """The masks of a clip, or of pictures with numbers."""

    def __init__(self, path: Path, clip: Clip) -> None:
        self.path = path
        self.warnings: Sequence[str] = ()
        self.close: Callable[[], None] = lambda: None
        if is_sequence(path) or path.is_dir():
            pictures = list(numbered_pictures(path).values())
            self.masks: Callable[[int], Iterator[Mask]] = lambda start: map(open_mask, pictures[start:])
        else:
            source = whole(path, Clip(deinterlace=clip.deinterlace, tone_map=clip.tone_map))
            self.close, self.warnings = source.close, source.warnings
            self.masks = lambda start: (_mask(frame, source.format) for frame in source.frames(start, keep_alpha=True))


def _mask(frame: Frame, video: Format) -> Mask:
    """As of a picture: how light the frame is, or how opaque if it is not everywhere."""
    if frame.alpha is not None and not bool(np.all(frame.alpha == 255)):
        return as_mask(frame.alpha)
    return as_mask(np.asarray(Image.fromarray(video.coding.to_rgb(frame.planes)).convert("L")))


def digest_of(path: Path) -> str:
    """A digest of everything that a video or the masks in ``path`` are read from."""
    if is_sequence(path) or path.is_dir():
        return hashlib.sha256("".join(map(file_digest, numbered_pictures(path).values())).encode()).hexdigest()
    return file_digest(path)
