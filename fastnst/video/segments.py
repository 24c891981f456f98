"""Videos that are encoded segment by segment, so that a run that was killed loses no more than one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from fastnst.system.atomic import atomic_output
from fastnst.video.checkpoint import Checkpoint
from fastnst.video.container import Tags, named_errors
from fastnst.video.encoder import SEGMENT, Codec, Segment
from fastnst.video.frames import Format, Frame


class SegmentedTarget(ABC):
    """A video to write. Until it is finished, every ``SEGMENT`` frames are a file in ``checkpoint``.

    Args:
        video: the format of the frames.
        codec: of the segments.
        tags: of the source, where it is a container.

    Attributes:
        left_out: what of the source the output cannot hold; complete after :meth:`finish`.
    """

    interval = SEGMENT

    def __init__(
        self, checkpoint: Checkpoint, video: Format, codec: Codec, quality: int, tags: Tags | None, left_out: Sequence[str]
    ) -> None:
        self._checkpoint, self._video, self._codec, self._quality, self._tags = checkpoint, video, codec, quality, tags
        self.done, self.state = checkpoint.frames, checkpoint.state
        self._segment: Segment | None = None
        self.left_out = list(left_out)
        self.holds_alpha = codec.holds_alpha

    def write(self, frame: Frame) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        if self._segment is None:
            self._segment = Segment(self._video, self._codec, self._quality, self._tags)
        self._segment.write(frame)
        self.done += 1

    def checkpoint(self, state: Any) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        if self._segment is None:
            return
        with atomic_output(self._paths()[-1]) as file:
            file.write(self._segment.finish())
        self._segment = None
        self._checkpoint.record(self.done, state)

    def finish(self) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        with atomic_output(self._checkpoint.output) as file, named_errors(self._checkpoint.output, "cannot be written"):
            self._join(file, self._paths())
        self._checkpoint.remove()

    def close(self) -> None:
        """See :class:`fastnst.video.frames.Target`."""
        self._checkpoint.close()

    def _paths(self) -> list[Path]:
        # Every segment but the last one is full.
        return [self._checkpoint.folder / f"{index:06}.nut" for index in range(-(-self.done // SEGMENT))]

    @abstractmethod
    def _join(self, file: BinaryIO, paths: Sequence[Path]) -> None:
        """Write the whole video to a file, from the segments."""
