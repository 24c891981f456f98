"""The options of ``stylize`` that are about videos alone."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from fastnst.cli.values import at_least, moment, path, positive, share

if TYPE_CHECKING:
    from fastnst.options import Clip


def add_video_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    add = parser.add_argument
    add(
        "--smooth",
        type=share,
        metavar="S",
        help="of a video: how slowly the content's statistics follow the frames, 0 = at once, 1 = only at cuts; default: "
        "0.5 for AdaIN models",
    )
    add("--start", type=moment, default=0.0, metavar="TIME", help="of a video: take it from here on, such as 83.5 or 1:23.5")
    add("--end", type=moment, metavar="TIME", help="of a video: take it up to here")
    add("--deinterlace", action="store_true", help="of an interlaced video: make whole frames of its fields")
    tones = "of a video of high dynamic range (HDR: PQ or HLG): bring it to the standard one"
    add("--tone-map", action="store_true", help=tones)
    rate = "of a content of pictures with numbers, such as frame_%%04d.png: how many a second; default: 25"
    add("--rate", type=positive, metavar="R", help=rate)
    add("--audio", type=path, metavar="FILE", help="sound for a video made of pictures with numbers or of y4m")
    qualities = "of a video: the encoder's number, 0 = best; default: 18 for H.264, 24 for WebM's VP9, 10 for WebP"
    add("--video-quality", type=at_least(0), metavar="N", help=qualities)
    codecs = "of a video: h264, vp9, or prores (422 HQ with 10 bits, 4444 for what is transparent); default: as the suffix says"
    add("--codec", choices=("h264", "vp9", "prores"), help=codecs)


def clip_of(arguments: argparse.Namespace) -> Clip:
    """What of a video is taken.

    Raises:
        UsageError: no such part.
    """
    from fastnst.options import Clip
    from fastnst.system.errors import UsageError

    try:
        return Clip(
            start=arguments.start,
            end=arguments.end,
            deinterlace=arguments.deinterlace,
            tone_map=arguments.tone_map,
            rate=arguments.rate,
            sound=arguments.audio,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
