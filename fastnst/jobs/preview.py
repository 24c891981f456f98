"""What a task would come to, from headers alone: nothing is decoded, and nothing written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastnst import video
from fastnst.images import ImageError, Picture, Saving, picture_size, require_file, scaled_size
from fastnst.jobs.pictures import beside_engine
from fastnst.jobs.plans import Task
from fastnst.jobs.regions import check_masks
from fastnst.jobs.run import check_video
from fastnst.options import Options
from fastnst.pictures.streams import CHUNK_BYTES, Rows, open_rows
from fastnst.stylize import Stylizer, find_look


@dataclass(frozen=True)
class Preview:
    """One picture or video to be done.

    Attributes:
        width, height: of the output in pixels; None where only reading would tell.
        tile: height and width of a tile; None = done whole.
        memory: bytes that are planned for it, beside what the program takes by itself.
    """

    task: Task
    width: int | None
    height: int | None
    tile: tuple[int, int] | None
    memory: int | None

    def line(self) -> str:
        """For people."""
        size = f"  {self.width}x{self.height}" if self.width else ""
        tiles = f"  in tiles of {self.tile[1]}x{self.tile[0]}" if self.tile else ""
        memory = f"  {self.memory / 1e6:.0f} MB" if self.memory else ""
        return f"{self.task.output}{size}{tiles}{memory}  from {self.task.content}"

    def as_json(self) -> dict[str, object]:
        """The same in JSON's types."""
        return {
            "content": str(self.task.content),
            "output": str(self.task.output),
            "styles": [str(style) for style in self.task.styles],
            "width": self.width,
            "height": self.height,
            "tile": list(self.tile) if self.tile else None,
            "planned_memory": self.memory,
        }


class _Decoded(Rows):
    """The size of a picture that will be decoded whole."""

    decoded = True

    def pictures(self, first: int, count: int) -> Iterator[Picture]:
        """Nothing is read."""
        raise ImageError(f"{self.path}: is not decoded for rows {first} to {first + count}")

    def close(self) -> None:
        """There is no file."""


def preview(task: Task, stylizer: Stylizer, options: Options) -> Preview:
    """What ``task`` would come to.

    Raises:
        ImageError: a content, style or mask that is not there or no picture, masks that move over a picture, an option that
            a video cannot have, or there is too little memory for it.
        LookError: a look that ships for other models.
    """
    is_video = task.samples is None and video.is_video(task.content, task.output)
    check_masks(options, None if is_video else task.content)
    for style in (*task.styles, *(style for region in options.regions for style in region.styles)):
        if find_look(style, stylizer.engine.identity[1]) is None:
            picture_size(style)
    if task.content == video.PIPE:
        return Preview(task, None, None, None, None)
    if task.samples is not None:
        require_file(task.content, "archive")
        return Preview(task, None, None, None, None)
    if is_video:
        if not video.is_sequence(task.content):
            require_file(task.content, "video")
        check_video(task, stylizer, options)
        return Preview(task, None, None, None, None)
    source = _source(task.content, options)
    try:
        saving = task.saving or Saving.by(task.output.suffix)
        whole, tiles = beside_engine(source, saving, options, stylizer)
        size = (source.height, source.width)
        plan = stylizer.plan(size, options, beside=whole, beside_tiles=tiles)
    except ValueError as error:
        raise ImageError(f"{task.content}: {error}") from None
    finally:
        source.close()
    tile = (plan.tiling.height, plan.tiling.width) if plan.tiling else None
    return Preview(task, source.width, source.height, tile, plan.bytes)


def _source(path: Path, options: Options) -> Rows:
    """A content that is read in rows if it can be, or the size of one that is decoded."""
    if options.size == options.crop == 0 and (rows := open_rows(path)):
        return rows
    size = picture_size(path)
    try:
        width, height = scaled_size(*size, options.size)
    except ValueError as error:
        raise ImageError(f"{path}: with a short side of {options.size}: {error}") from None
    if options.crop:
        if min(width, height) < options.crop:
            raise ImageError(f"{path}: a square of {options.crop} pixels is to be cut out of {width} x {height}")
        width = height = options.crop
    return _Decoded(path, height, width, False, 5 * height * width + 2 * CHUNK_BYTES)
