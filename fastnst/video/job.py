"""The work on one video: reading, stylizing and writing it, from where an earlier run stopped."""

from __future__ import annotations

import hashlib
import json
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from fastnst import __version__
from fastnst.images import MAX_PIXELS, scaled_size
from fastnst.options import Options
from fastnst.stylize import Stylizer
from fastnst.video import PIPE
from fastnst.video.checkpoint import Checkpoint
from fastnst.video.container import ContainerSource, pyav
from fastnst.video.encoder import choose, encoded_format
from fastnst.video.frames import Format, Source, Target, VideoError
from fastnst.video.kinds import is_y4m
from fastnst.video.pipeline import Pipeline
from fastnst.video.remux import ContainerTarget
from fastnst.video.stability import Average, smoothing_of
from fastnst.video.streams import Companions, all_kinds, companions
from fastnst.video.y4m import Y4mPipe, Y4mSource, Y4mTarget, output_format

OnFrame = Callable[[int, int | None], None]
"""Called after each frame: how many are done, and how many there will be, where that is known."""


@dataclass
class Outcome:
    """What was done."""

    width: int
    height: int
    frames: int = 0
    resumed: int = 0  # of these, done by an earlier run
    repeated: int = 0  # done in this run without the engine, for nothing had changed
    seconds: float = 0.0
    left_out: list[str] = field(default_factory=list)  # what the output does not hold of the content
    warnings: list[str] = field(default_factory=list)  # lines about what was met while reading

    @property
    def frames_per_second(self) -> float:
        """Of this run, everything included."""
        return (self.frames - self.resumed) / self.seconds


def stylize_video(
    content: Path,
    output: Path,
    stylizer: Stylizer,
    options: Options,
    on_frame: OnFrame = lambda _done, _count: None,
) -> Outcome:
    """Stylize a video, or go on where a run with the same content, model, styles and options was stopped.

    Args:
        content: a file, or ``-`` for a y4m on standard input.
        output: a file, whose suffix says what it becomes, or ``-`` for a y4m on standard output. Sound and all else beside the
            picture is copied where a container is made of a container that can hold it.
        options: with the look.

    Raises:
        ValueError: smoothing is asked for, and the model cannot do it.
        VideoError: a video that cannot be read or written. What is done stays for the next run.
    """
    start = time.perf_counter()
    fingerprint = _fingerprint(stylizer, options)
    source = open_source(content)
    try:
        outcome = Outcome(*_size(content, source, options.size))
        target, video = _open_target(content, output, source, outcome, fingerprint, options.video_quality)
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


def open_source(content: Path) -> Source:
    """The video of a file, or of standard input.

    Raises:
        VideoError: it cannot be read.
    """
    if content == PIPE:
        return Y4mSource(sys.stdin.buffer, "standard input")
    if is_y4m(content):
        file = content.open("rb")
        try:
            return Y4mSource(file, str(content))
        except BaseException:
            file.close()
            raise
    return ContainerSource(content)


def _open_target(
    content: Path, output: Path, source: Source, outcome: Outcome, fingerprint: str, quality: int | None
) -> tuple[Target, Format]:
    video = output_format(source.format, outcome.width, outcome.height)
    container = source if isinstance(source, ContainerSource) else None
    beside_the_picture = all_kinds(container) if container else []
    if output == PIPE:
        return Y4mPipe(sys.stdout.buffer, video, beside_the_picture), video
    content_digest = None if content == PIPE else _digest(content)
    if output.suffix.lower() == ".y4m":
        return Y4mTarget(_checkpoint(output, content_digest, [fingerprint]), video, beside_the_picture), video
    codec, level = choose(output, quality)
    video = encoded_format(source.format, outcome.width, outcome.height, codec)
    if video.width * video.height > MAX_PIXELS:
        raise VideoError(
            f"{output}: {video.width} x {video.height} of square pixels is more than {MAX_PIXELS // 10**6} megapixels"
        )
    outcome.width, outcome.height = video.width, video.height
    versions = [codec.name, level, pyav().__version__]
    others = companions(container, output) if container else Companions()
    checkpoint = _checkpoint(output, content_digest, [fingerprint, *versions])
    return ContainerTarget(checkpoint, video, codec, level, container, others), video


def _checkpoint(output: Path, content_digest: str | None, made_with: Sequence[object]) -> Checkpoint:
    if content_digest is None:  # a pipe cannot be read again
        return Checkpoint(output, uuid.uuid4().hex, keep=False)
    text = json.dumps([__version__, content_digest, *made_with])
    return Checkpoint(output, hashlib.sha256(text.encode()).hexdigest())


def _fingerprint(stylizer: Stylizer, options: Options) -> str:
    """Of all that the pictures depend on beside the content. The number of threads is not part of it."""
    whole = hashlib.sha256(_digest(stylizer.path).encode())
    regions = options.parted
    for look in (options.look, *(regions.looks if regions else ())):
        for array in look.arrays() if look is not None else ():
            whole.update(array.tobytes())
    for mask in (*regions.masks, regions.strength) if regions else ():
        whole.update(repr(mask.values.shape).encode() + mask.values.tobytes() if mask is not None else b"-")
    numbers = (options.alpha, options.levels, smoothing_of(stylizer.engine, options), options.palette, options.size)
    whole.update(json.dumps([options.colors, *numbers]).encode())
    return whole.hexdigest()


def _digest(path: Path) -> str:
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            whole.update(block)
    return whole.hexdigest()
