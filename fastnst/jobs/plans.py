"""What ``fastnst stylize CONTENT -o OUT`` has to do: which picture or video is written where, and what exists already."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastnst import video
from fastnst.images import (
    OTHER_SUFFIXES,
    READ_SUFFIXES,
    VIDEO_SUFFIXES,
    WRITE_SUFFIXES,
    ImageError,
    can_write,
    require_file,
)
from fastnst.system.errors import UsageError

_SUFFIXES = READ_SUFFIXES | OTHER_SUFFIXES | VIDEO_SUFFIXES  # a file that cannot be read fails by name


@dataclass(frozen=True)
class Task:
    """One picture or video to read and one to write."""

    content: Path
    output: Path


@dataclass(frozen=True)
class Failure:
    """One picture or video that could not be done; ``reason`` names the file and says why."""

    task: Task
    reason: str

    def as_json(self) -> dict[str, object]:
        """The failure in JSON's types."""
        return {"content": str(self.task.content), "output": str(self.task.output), "error": self.reason}


@dataclass(frozen=True)
class Plan:
    """What a run has to do."""

    tasks: list[Task]
    failures: Sequence[Failure] = ()  # pictures that would have the same output as others
    already_there: int = 0  # outputs of an earlier run
    left_alone: int = 0  # files of the folder that do not look like pictures or videos


def plan(content: Path, output: Path, overwrite: bool) -> Plan:
    """What is to do for ``CONTENT -o OUT``, a picture, a video or a folder of them; ``-`` is a y4m in a pipe.

    Raises:
        UsageError: an output that is not of the kind of the content, or of unknown format.
        ImageError: no such content.
        FileExistsError: the output of a single picture exists.
    """
    return _plan_folder(content, output, overwrite) if content.is_dir() else _plan_file(content, output, overwrite)


def _plan_file(content: Path, output: Path, overwrite: bool) -> Plan:
    kind = "video" if video.is_video(content, output) else "picture"
    if content != video.PIPE:
        require_file(content, kind)
    if output.is_dir():
        raise UsageError(f"{output}: is a folder; name a file, because the content is one {kind}")
    if video.PIPE in (content, output) and (can_write(output) or kind == "picture"):
        raise UsageError(
            f"{video.PIPE}: standard input and output carry y4m videos; a picture is read from a file, into a file"
        )
    if not _fits(content, output):
        suffixes = video.WRITE_SUFFIXES if kind == "video" else WRITE_SUFFIXES
        raise UsageError(f"{output}: the suffix of an output is one of {' '.join(suffixes)}, because {content} is a {kind}")
    if output == video.PIPE:
        return Plan([Task(content, output)])
    if not output.parent.is_dir():
        raise FileNotFoundError(f"{output}: no such folder: {output.parent}")
    if os.path.lexists(output) and not overwrite:
        raise FileExistsError(f"{output}: exists already; --overwrite replaces it")
    if content != video.PIPE and output.exists() and output.samefile(content) and kind == "video":
        raise UsageError(f"{output}: is the content itself, which is read until the end")
    return Plan([Task(content, output)])


def _fits(content: Path, output: Path) -> bool:
    """Whether the output's name says that it can hold the content."""
    if video.is_video(content, output):
        return output == video.PIPE or output.suffix.lower() in video.WRITE_SUFFIXES
    return can_write(output)


def _output_in_folder(content: Path, output: Path) -> Path:
    """Where a file of a folder goes: the same name, with a suffix that can be written."""
    if _fits(content, output):
        return output
    return output.with_suffix(".mkv" if video.is_video(content, output) else ".png")


def _plan_folder(content: Path, output: Path, overwrite: bool) -> Plan:
    if os.path.lexists(output) and not output.is_dir():
        raise UsageError(f"{output}: is a file; name a folder, because the content is one")
    in_place = output.is_dir() and output.samefile(content)
    if in_place and not overwrite:
        raise UsageError(f"{output}: is the folder of the contents; only --overwrite would replace them")
    files = list(_visible_files(content, None if in_place else output.resolve()))
    pictures = [path for path in files if path.suffix.lower() in _SUFFIXES]
    if not pictures:
        raise ImageError(f"{content}: no pictures or videos in this folder")
    sources: dict[Path, list[Path]] = {}
    for picture in pictures:
        sources.setdefault(_output_in_folder(picture, output / picture.relative_to(content)), []).append(picture)
    failures = [
        Failure(Task(one, target), f"{one}: its output {target} is also that of {other}; rename one of them")
        for target, several in sources.items()
        for one, other in zip(several, several[1:] + several[:1], strict=True)
        if len(several) > 1
    ]
    wanted = [Task(several[0], target) for target, several in sources.items() if len(several) == 1]
    tasks = [task for task in wanted if overwrite or not task.output.is_file()]
    return Plan(tasks, failures, already_there=len(wanted) - len(tasks), left_alone=len(files) - len(pictures))


def _visible_files(folder: Path, but: Path | None) -> Iterator[Path]:
    """The files of ``folder`` and the folders in it, in order of name; nothing hidden and nothing of the folder ``but``."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            # A linked folder may lead back to this one.
            if not path.is_symlink() and path.resolve() != but:
                yield from _visible_files(path, but)
        else:
            yield path
