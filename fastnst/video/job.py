"""Stylizes one video, and resumes where an earlier run stopped."""

from __future__ import annotations

import hashlib
import json
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from fastnst import __version__
from fastnst.images import MAX_PIXELS, scaled_size
from fastnst.options import Clip, Options
from fastnst.stylize import Stylizer
from fastnst.system.digest import file_digest
from fastnst.video import PIPE
from fastnst.video.animation import AnimationTarget, checked_quality
from fastnst.video.checkpoint import Checkpoint
from fastnst.video.color import RGB
from fastnst.video.container import ContainerSource, pyav
from fastnst.video.encoder import CONTAINERS, LOSSLESS, choose, encoded_format
from fastnst.video.frames import Format, Source, Target, VideoError
from fastnst.video.kinds import ANIMATIONS, is_sequence, is_y4m
from fastnst.video.part import Cut, Part
from fastnst.video.pipeline import Pipeline
from fastnst.video.remux import ContainerTarget
from fastnst.video.sequence import USUAL_RATE, SequenceSource, SequenceTarget
from fastnst.video.stability import Average, smoothing_of
from fastnst.video.streams import Companions, Sound, all_kinds, companions
from fastnst.video.y4m import Y4mPipe, Y4mSource, Y4mTarget, output_format

OnFrame = Callable[[int, int | None], None]
"""Called after each frame with the number of finished frames, and that of all frames if it is known."""


@dataclass
class Outcome:
    """The result of :func:`stylize_video`."""

    width: int
    height: int
    frames: int = 0
    resumed: int = 0  # frames of an earlier run
    repeated: int = 0  # frames of this run that equal the one before, and were not stylized again
    seconds: float = 0.0
    left_out: list[str] = field(default_factory=list)  # what of the content the output cannot hold
    warnings: list[str] = field(default_factory=list)  # problems that did not stop the reading

    @property
    def frames_per_second(self) -> float:
        """Speed of this run, reading and writing included."""
        return (self.frames - self.resumed) / self.seconds


def stylize_video(
    content: Path,
    output: Path,
    stylizer: Stylizer,
    options: Options,
    on_frame: OnFrame = lambda _done, _count: None,
) -> Outcome:
    """Stylize a video, or resume a run with the same content, model, styles and options.

    Args:
        content: a file, or ``-`` for a y4m on standard input.
        output: a file, whose suffix names the format, or ``-`` for a y4m on standard output. From container to container, sound
            and everything else beside the picture is copied if the output can hold it.
        options: with a look, for models that take a style.

    Raises:
        ValueError: smoothing is asked for, and the model cannot do it.
        VideoError: the video cannot be read or written. Finished frames stay for the next run.
    """
    start = time.perf_counter()
    fingerprint = _fingerprint(stylizer, options)
    source = open_source(content, options.clip)
    try:
        outcome = Outcome(*_size(content, source, options.size))
        target, video = _open_target(content, output, source, outcome, fingerprint, options)
    except BaseException:
        source.close()
        raise
    try:
        outcome.frames = outcome.resumed = target.done
        average = Average.from_json(target.state) if target.state else None
        pipeline = Pipeline(stylizer, options, source.format.coding, video.coding, (video.width, video.height), average)
        with closing(pipeline.run(source, target.done)) as finished:
            for done in finished:
                target.write(done.frame)
                outcome.frames += 1
                outcome.repeated += done.repeated
                average = done.average
                if outcome.frames % target.interval == 0:
                    target.checkpoint(average and average.as_json())
                on_frame(outcome.frames, source.count)
        if not outcome.frames:
            raise VideoError(f"{content}: has no frames")
        if outcome.frames % target.interval:
            target.checkpoint(average and average.as_json())
        target.finish()
        outcome.left_out = [*target.left_out, *(["transparency"] if source.transparent else [])]
        outcome.warnings = source.warnings
    finally:
        target.close()
    outcome.seconds = time.perf_counter() - start
    return outcome


def _size(content: Path, source: Source, short_side: int) -> tuple[int, int]:
    try:
        return scaled_size(source.format.width, source.format.height, short_side)
    except ValueError as error:
        raise VideoError(f"{content}: with a short side of {short_side}: {error}") from None


def open_source(content: Path, clip: Clip | None = None) -> Source:
    """Open the video in a file, or on standard input; the part of it that ``clip`` names.

    Raises:
        VideoError: it cannot be read.
    """
    source = _whole(content, clip)
    return Part(source, clip, str(content)) if clip and clip.is_part else source


def _whole(content: Path, clip: Clip | None) -> Source:
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


def _open_target(
    content: Path, output: Path, source: Source, outcome: Outcome, fingerprint: str, options: Options
) -> tuple[Target, Format]:
    quality = options.video_quality
    video = output_format(source.format, outcome.width, outcome.height)
    whole = source.source if isinstance(source, Part) else source
    container = whole if isinstance(whole, ContainerSource) else None
    beside_the_picture = all_kinds(container) if container else []
    if output == PIPE:
        return Y4mPipe(sys.stdout.buffer, video, beside_the_picture), video
    sound = options.clip.sound
    if sound is not None and (container is not None or output.suffix.lower() not in CONTAINERS):
        why = "the content's own is kept" if container is not None else f"{output} holds none"
        raise VideoError(f"{sound}: cannot be the sound: {why}")
    content_digest = None if content == PIPE else _content_digest(content, whole)
    if is_sequence(output):
        video = replace(output_format(source.format, outcome.width, outcome.height), coding=RGB)
        first = whole.first if isinstance(whole, SequenceSource) else 1
        return SequenceTarget(_checkpoint(output, content_digest, [fingerprint]), video, first, beside_the_picture), video
    if output.suffix.lower() == ".y4m":
        return Y4mTarget(_checkpoint(output, content_digest, [fingerprint]), video, beside_the_picture), video
    if output.suffix.lower() in ANIMATIONS:
        level = checked_quality(output, quality)
        video = encoded_format(source.format, outcome.width, outcome.height, LOSSLESS)
        outcome.width, outcome.height = video.width, video.height
        checkpoint = _checkpoint(output, content_digest, [fingerprint, level, pyav().__version__])
        return AnimationTarget(checkpoint, video, level, beside_the_picture), video
    codec, level = choose(output, quality)
    video = encoded_format(source.format, outcome.width, outcome.height, codec)
    if video.width * video.height > MAX_PIXELS:
        raise VideoError(
            f"{output}: {video.width} x {video.height} of square pixels is more than {MAX_PIXELS // 10**6} megapixels"
        )
    outcome.width, outcome.height = video.width, video.height
    versions = [codec.name, level, pyav().__version__]
    beside = container or (Sound(sound) if sound is not None else None)
    others = companions(beside, output) if beside else Companions()
    checkpoint = _checkpoint(output, content_digest, [fingerprint, *versions])
    cut = Cut(source.clip, whole.origin) if isinstance(source, Part) else None
    return ContainerTarget(checkpoint, video, codec, level, beside, others, cut), video


def _checkpoint(output: Path, content_digest: str | None, made_with: Sequence[object]) -> Checkpoint:
    if content_digest is None:  # a pipe cannot be read again
        return Checkpoint(output, uuid.uuid4().hex, keep=False)
    text = json.dumps([__version__, content_digest, *made_with])
    return Checkpoint(output, hashlib.sha256(text.encode()).hexdigest())


def _fingerprint(stylizer: Stylizer, options: Options) -> str:
    """A digest of everything beside the content that determines the pictures. The number of threads does not."""
    whole = hashlib.sha256(file_digest(stylizer.path).encode())
    regions = options.parted
    for look in (options.look, *(regions.looks if regions else ())):
        for array in look.arrays() if look is not None else ():
            whole.update(array.tobytes())
    for mask in (*regions.masks, regions.strength) if regions else ():
        whole.update(repr(mask.values.shape).encode() + mask.values.tobytes() if mask is not None else b"-")
    numbers = (options.alpha, options.levels, smoothing_of(stylizer.engine, options), options.palette, options.size)
    whole.update(json.dumps([options.colors, *numbers, str(options.clip)]).encode())
    return whole.hexdigest()


def _content_digest(content: Path, source: Source) -> str:
    if not isinstance(source, SequenceSource):
        return file_digest(content)
    return hashlib.sha256("".join(map(file_digest, source.paths)).encode()).hexdigest()
