"""Masks that move: each frame of a video comes with those that belong to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from fastnst.images import ImageError, Mask, MaskClip, as_mask, is_transparent, open_mask, require_file
from fastnst.options import Clip, Options
from fastnst.system.atomic import PIPE
from fastnst.video.container import ContainerSource
from fastnst.video.frames import Format, Frame, Source, VideoError
from fastnst.video.kinds import is_sequence, unread_animation
from fastnst.video.part import Part
from fastnst.video.sequence import numbered_pictures
from fastnst.video.sources import Whole, open_source, open_whole


def open_masked(content: Path, options: Options) -> Whole | Part | Masked:
    """Open the video in a file, or on standard input, as :func:`open_source`, and the masks of ``options`` that move.

    Raises:
        VideoError, ImageError: the video or masks cannot be read, or a clip of masks is known to be too short.
    """
    source = open_source(content, options.clip)
    if not options.mask_clips:
        return source
    try:
        return Masked(source, content, options.clip, options.mask_clips)
    except BaseException:
        source.close()
        raise


def open_mask_clip(path: Path, clip: Clip) -> Mask | MaskClip:
    """The masks in a clip, or in a folder or pattern of pictures; a file with a single frame is one mask, which stays in place.

    Raises:
        VideoError: they cannot be read, or are no pictures with numbers.
    """
    if is_sequence(path) or path.is_dir():
        numbered_pictures(path)
        return MaskClip(path)
    require_file(path, "video")
    if kind := unread_animation(path):
        raise VideoError(f"{path}: no masks are read from an {kind}: make pictures with numbers of it, or a video")
    with closing(_opened(path, clip)) as source:
        frames = list(islice(source.frames(keep_alpha=True), 2))
        if not frames:
            raise VideoError(f"{path}: has no frames")
        return MaskClip(path) if len(frames) > 1 else _mask(frames[0], source.format, _is_transparent(frames[0]))


def innermost(source: Source) -> Source:
    """The whole video that a source is a part of, without masks."""
    while isinstance(source, Part | Masked):
        source = source.source
    return source


class Masked:
    """A video whose frames come with masks: the first masks are those of the first frame of the whole video, whatever their
    times are.

    Args:
        source: the video, or a part of it.
        content: its file.
        clip: which part it is, and how it and the masks are read.
        masks: in this order every frame has them.

    Raises:
        VideoError, ImageError: masks cannot be read, or are known to be too few.
    """

    def __init__(self, source: Whole | Part, content: Path, clip: Clip, masks: Sequence[MaskClip]) -> None:
        self.source, self._content, self._clip = source, content, clip
        self.format: Format = source.format
        self.warnings, self.origin, self.count, self.has_alpha = source.warnings, source.origin, source.count, source.has_alpha
        self._masks = list[_Masks]()
        try:
            for each in masks:
                self._masks.append(_masks_in(each.path, clip))
                self._check_count(self._masks[-1])
        except BaseException:
            self._close_masks()
            raise

    @property
    def transparent(self) -> bool:
        """See :class:`fastnst.video.frames.Source`."""
        return self.source.transparent

    def frames(self, start: int = 0, keep_alpha: bool = False) -> Iterator[Frame]:
        """See :class:`fastnst.video.frames.Source`.

        Raises:
            VideoError: there are too few masks; or it cannot be told which mask is for which frame, because some are lost.
        """
        moving = list[Iterator[Mask]]()
        for number, frame in enumerate(self.source.frames(start, keep_alpha), start):
            if number == start:
                skipped = self._skipped()
                moving = [each.masks(skipped + start) for each in self._masks]
            if _has_gap(self.source):
                raise _shifting(self._content, f"frame {number}")
            now = list[Mask]()
            for each, masks in zip(self._masks, moving, strict=True):
                mask = next(masks, None)
                if mask is None:
                    raise self._too_few(each, skipped + number)
                now.append(mask)
            yield replace(frame, masks=tuple(now))
        if self._clip.end is None:
            self._warn_of_others(moving)

    def close(self) -> None:
        """See :class:`fastnst.video.frames.Source`."""
        self.source.close()
        self._close_masks()

    def _close_masks(self) -> None:
        for each in self._masks:
            each.close()

    def _skipped(self) -> int:
        return self.source.skipped if isinstance(self.source, Part) else 0

    def _check_count(self, masks: _Masks) -> None:
        """Raise VideoError at once, and not after hours, where masks are too few. Numbers of frames are estimates: where they
        say so, frames are counted."""
        if self.source.count is None or masks.count is None or self.format.rate is None or self._content == PIPE:
            return
        skipped = round(self._clip.start * self.format.rate)
        if masks.count < skipped + self.source.count and (held := masks.counted()) < self._needed():
            raise self._too_few(masks, held)

    def _too_few(self, masks: _Masks, held: int) -> VideoError:
        needs = "standard input has more frames"
        if self._content != PIPE:
            needs = f"{self._content} needs {self._needed()}, one for each frame from its first on"
        damage = "".join(f" ({line.removeprefix(f'{masks.path}: ')})" for line in masks.warnings)
        return VideoError(f"{masks.path}: has {held} mask{'' if held == 1 else 's'}{damage}, and {needs}")

    def _needed(self) -> int:
        """How many masks there must be, by a reading of the video to the end of the part."""
        with closing(open_source(self._content, self._clip)) as source:
            frames = sum(1 for _ in source.frames())
            return frames + (source.skipped if isinstance(source, Part) else 0)

    def _warn_of_others(self, moving: Sequence[Iterator[Mask]]) -> None:
        for each, masks in zip(self._masks, moving, strict=True):
            try:
                left = next(masks, None) is not None
            except ImageError:  # of what is not used
                left = True
            if left:
                self.warnings.append(f"{each.path}: has more masks than {self._content} has frames: the last ones are not used")


class _Masks(Protocol):
    """The masks of one clip. Whether they are read as transparency or as lightness is decided once for all of them."""

    path: Path
    count: int | None  # an estimate; None if unknown
    warnings: Sequence[str]  # problems that did not stop the reading

    def masks(self, start: int) -> Iterator[Mask]:
        """All masks from number ``start`` on. It can be called once."""

    def counted(self) -> int:
        """How many there are, exactly."""

    def close(self) -> None:
        """Close the file."""


class _PictureMasks:
    """Pictures with numbers, of a pattern or in a folder."""

    warnings: Sequence[str] = ()

    def __init__(self, path: Path) -> None:
        self.path, self._pictures = path, list(numbered_pictures(path).values())
        self.count: int | None = len(self._pictures)

    def masks(self, start: int) -> Iterator[Mask]:
        by_opacity = any(map(is_transparent, self._pictures))
        for picture in self._pictures[start:]:
            yield open_mask(picture, by_opacity)

    def counted(self) -> int:
        return len(self._pictures)

    def close(self) -> None:
        """See above: there is no open file."""


class _ClipMasks:
    """The frames of a video or an animation."""

    def __init__(self, path: Path, clip: Clip) -> None:
        self.path, self._clip = path, clip
        self._source = _opened(path, clip)
        self.count: int | None = self._source.count
        self.warnings: Sequence[str] = self._source.warnings

    def masks(self, start: int) -> Iterator[Mask]:
        by_opacity = self._source.has_alpha and self._is_transparent()
        for number, frame in enumerate(self._source.frames(start, keep_alpha=True), start):
            if _has_gap(self._source):
                raise _shifting(self.path, f"mask {number}")
            yield _mask(frame, self._source.format, by_opacity)

    def counted(self) -> int:
        with closing(_opened(self.path, self._clip)) as source:
            self.warnings = source.warnings
            return sum(1 for _ in source.frames())

    def close(self) -> None:
        self._source.close()

    def _is_transparent(self) -> bool:
        with closing(_opened(self.path, self._clip)) as source:
            return any(map(_is_transparent, source.frames(keep_alpha=True)))


def _masks_in(path: Path, clip: Clip) -> _Masks:
    return _PictureMasks(path) if is_sequence(path) or path.is_dir() else _ClipMasks(path, clip)


def _opened(path: Path, clip: Clip) -> Whole:
    return open_whole(path, Clip(deinterlace=clip.deinterlace, tone_map=clip.tone_map))


def _has_gap(source: Source) -> bool:
    whole = innermost(source)
    return isinstance(whole, ContainerSource) and whole.has_gap


def _shifting(path: Path, what: str) -> VideoError:
    return VideoError(f"{path}: is damaged before {what}, and masks would belong to other frames after that")


def _is_transparent(frame: Frame) -> bool:
    return frame.alpha is not None and not bool(np.all(frame.alpha == 255))


def _mask(frame: Frame, video: Format, by_opacity: bool) -> Mask:
    if by_opacity and frame.alpha is not None:
        return as_mask(frame.alpha)
    return as_mask(np.asarray(Image.fromarray(video.coding.to_rgb(frame.planes)).convert("L")))
