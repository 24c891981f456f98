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
from pathlib import Path

from fastnst import __version__
from fastnst.images import MAX_PIXELS, Mask, MaskClip, scaled_size
from fastnst.options import Options
from fastnst.stylize import Stylizer
from fastnst.system.digest import file_digest
from fastnst.video import PIPE
from fastnst.video.animation import WITH_ALPHA, AnimationTarget, checked_quality
from fastnst.video.checkpoint import Checkpoint
from fastnst.video.color import RGB
from fastnst.video.container import ContainerSource, pyav
from fastnst.video.encoder import CONTAINERS, LOSSLESS, choose, encoded_format
from fastnst.video.frames import Format, Source, Target, VideoError
from fastnst.video.kinds import ANIMATIONS, is_sequence
from fastnst.video.masked import innermost, open_masked
from fastnst.video.part import Cut
from fastnst.video.pipeline import Pipeline
from fastnst.video.remux import ContainerTarget
from fastnst.video.sequence import SequenceSource, SequenceTarget
from fastnst.video.sources import digest_of
from fastnst.video.stability import Average, smoothing_of
from fastnst.video.streams import Companions, Sound, all_kinds, companions
from fastnst.video.y4m import Y4mPipe, Y4mTarget, output_format

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
    fingerprint = identity_of(stylizer, options)
    source = open_masked(content, options)
    try:
        outcome = Outcome(*_size(content, source, options.size))
        target, video = _open_target(content, output, source, outcome, fingerprint, options)
    except BaseException:
        source.close()
        raise
    try:
        outcome.frames = outcome.resumed = target.done
        average = Average.from_json(target.state) if target.state else None
        size, keep_alpha = (video.width, video.height), target.holds_alpha
        pipeline = Pipeline(stylizer, options, source.format.coding, video.coding, size, average, keep_alpha)
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
        outcome.left_out = [*target.left_out, *(["transparency"] if source.transparent and not keep_alpha else [])]
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


def check_encoding(output: Path, options: Options) -> None:
    """Raise VideoError for an encoder that the output cannot have, or a quality that its encoder does not know."""
    suffix = output.suffix.lower()
    if suffix in CONTAINERS:
        choose(output, options.video_quality, options.codec)
    elif options.codec is not None:
        raise VideoError(f"{output}: --codec is for outputs in {' '.join(CONTAINERS)}")
    elif suffix in ANIMATIONS:
        checked_quality(output, options.video_quality)


def _open_target(
    content: Path, output: Path, source: Source, outcome: Outcome, fingerprint: str, options: Options
) -> tuple[Target, Format]:
    check_encoding(output, options)
    quality = options.video_quality
    video = output_format(source.format, outcome.width, outcome.height)
    whole = innermost(source)
    container = whole if isinstance(whole, ContainerSource) else None
    beside_the_picture = all_kinds(container) if container else []
    if output == PIPE:
        return Y4mPipe(sys.stdout.buffer, video, beside_the_picture), video
    sound = options.clip.sound
    if sound is not None and (container is not None or output.suffix.lower() not in CONTAINERS):
        why = "the content's own is kept" if container is not None else f"{output} holds none"
        raise VideoError(f"{sound}: cannot be the sound: {why}")
    content_digest = None if content == PIPE else digest_of(content)
    if is_sequence(output):
        video = replace(output_format(source.format, outcome.width, outcome.height), coding=RGB)
        first = whole.first if isinstance(whole, SequenceSource) else 1
        return SequenceTarget(_checkpoint(output, content_digest, [fingerprint]), video, first, beside_the_picture), video
    if output.suffix.lower() == ".y4m":
        return Y4mTarget(_checkpoint(output, content_digest, [fingerprint]), video, beside_the_picture), video
    if output.suffix.lower() in ANIMATIONS:
        level = checked_quality(output, quality)
        holds_alpha = source.has_alpha and output.suffix.lower() in WITH_ALPHA
        video = encoded_format(source.format, outcome.width, outcome.height, LOSSLESS)
        outcome.width, outcome.height = video.width, video.height
        checkpoint = _checkpoint(output, content_digest, [fingerprint, level, pyav().__version__])
        return AnimationTarget(checkpoint, video, level, beside_the_picture, holds_alpha), video
    codec, level = choose(output, quality, options.codec, source.has_alpha)
    video = encoded_format(source.format, outcome.width, outcome.height, codec)
    if video.width * video.height > MAX_PIXELS:
        raise VideoError(
            f"{output}: {video.width} x {video.height} of square pixels is more than {MAX_PIXELS // 10**6} megapixels"
        )
    outcome.width, outcome.height = video.width, video.height
    versions = [codec.name, codec.pixels, level, pyav().__version__]
    beside = container or (Sound(sound) if sound is not None else None)
    others = companions(beside, output) if beside else Companions()
    checkpoint = _checkpoint(output, content_digest, [fingerprint, *versions])
    cut = Cut(options.clip, whole.origin) if options.clip.is_part else None
    return ContainerTarget(checkpoint, video, codec, level, beside, others, cut), video


def _checkpoint(output: Path, content_digest: str | None, made_with: Sequence[object]) -> Checkpoint:
    if content_digest is None:  # a pipe cannot be read again
        return Checkpoint(output, uuid.uuid4().hex, keep=False)
    text = json.dumps([__version__, content_digest, *made_with])
    return Checkpoint(output, hashlib.sha256(text.encode()).hexdigest())


def identity_of(stylizer: Stylizer, options: Options) -> str:
    """A digest of everything beside the content that determines the pictures. The number of threads does not."""
    whole = hashlib.sha256(file_digest(stylizer.path).encode())
    for look in (options.look, *(region.look for region in options.regions)):
        for array in look.arrays() if look is not None else ():
            whole.update(array.tobytes())
    for mask in (*(region.mask for region in options.regions), options.alpha_map):
        if isinstance(mask, MaskClip):
            whole.update(digest_of(mask.path).encode())
        else:
            whole.update(repr(mask.values.shape).encode() + mask.values.tobytes() if isinstance(mask, Mask) else b"-")
    numbers = (options.alpha, options.levels, smoothing_of(stylizer.engine, options), options.palette, options.size)
    own = [] if options.style_weights is None else [options.style_weights]
    whole.update(json.dumps([options.colors, *numbers, str(options.clip), *own]).encode())
    return whole.hexdigest()
