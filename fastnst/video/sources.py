"""Opening of videos, of whatever kind."""

from __future__ import annotations

import hashlib
import sys
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

from fastnst.options import Clip
from fastnst.system.atomic import PIPE
from fastnst.system.digest import file_digest
from fastnst.video.container import ContainerSource
from fastnst.video.frames import VideoError
from fastnst.video.kinds import is_sequence, is_y4m
from fastnst.video.part import Part
from fastnst.video.sequence import USUAL_RATE, SequenceSource, numbered_pictures
from fastnst.video.y4m import Y4mSource

Whole: TypeAlias = ContainerSource | SequenceSource | Y4mSource


def open_source(content: Path, clip: Clip | None = None) -> Whole | Part:
    """Open the video in a file, or on standard input; the part of it that ``clip`` names.

    Raises:
        VideoError: it cannot be read.
    """
    source = open_whole(content, clip)
    return Part(source, clip, str(content)) if clip and clip.is_part else source


def open_whole(content: Path, clip: Clip | None = None) -> Whole:
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


def digest_of(path: Path) -> str:
    """A digest of everything that a video or the masks in ``path`` are read from."""
    if is_sequence(path) or path.is_dir():
        return hashlib.sha256("".join(map(file_digest, numbered_pictures(path).values())).encode()).hexdigest()
    return file_digest(path)
