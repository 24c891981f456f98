"""What ``fastnst stylize CONTENT -o OUT`` has to do: what is written where, and what exists already."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastnst import video
from fastnst.images import (
    OTHER_SUFFIXES,
    READ_SUFFIXES,
    VIDEO_SUFFIXES,
    WRITE_SUFFIXES,
    ImageError,
    Saving,
    can_write,
    require_file,
    usual_suffix,
)
from fastnst.system.atomic import PIPE
from fastnst.system.errors import UsageError

if TYPE_CHECKING:
    from fastnst.jobs.names import Name, Part

ARCHIVE_SUFFIXES = frozenset((".tar", ".parquet"))
_SUFFIXES = READ_SUFFIXES | OTHER_SUFFIXES | VIDEO_SUFFIXES | ARCHIVE_SUFFIXES  # a file that cannot be read fails by name


class Outputs(NamedTuple):
    """Where the results go, and as what.

    Args:
        path: a file, a folder, or ``-``.
        folder: it is a folder, even for one content.
        overwrite: replace what exists.
        name: of the files in a folder; None = the content's own, or with several styles alone ``{content}-{style}.{ext}``.
        suffix: of the format of pictures; None = each output's own suffix says it.
        quality, lossless: of pictures, see :class:`fastnst.images.Saving`.
        strip_metadata: of pictures; a video among the contents is refused then, for its metadata would stay.
    """

    path: Path
    folder: bool = False
    overwrite: bool = False
    name: Name | None = None
    suffix: str | None = None
    quality: int | None = None
    lossless: bool = False
    strip_metadata: bool = False

    def means(self, output: Path) -> bool:
        """Whether the suffix of ``output`` is one of the format that is asked for."""
        if self.suffix is None or not can_write(output):
            return False
        return Saving.by(output.suffix).format == Saving.by(self.suffix).format

    def check_video(self, output: Path, strict: bool) -> None:
        """Raise UsageError for what is said of pictures alone; if not ``strict``, only for what would break a promise."""
        given: dict[str, object] = {"strip-metadata": self.strip_metadata}
        if strict:
            given |= {"format": self.suffix, "quality": self.quality, "lossless": self.lossless}
        for name, value in given.items():
            if value:
                raise UsageError(f"{output}: --{name} is for pictures, and this is a video")

    def saving(self, content: Path, output: Path, strict: bool) -> Saving:
        """How a picture is saved in ``output``.

        Raises:
            UsageError: in a way that its format does not have, if that is ``strict``.
        """
        own = usual_suffix(content) if output == PIPE else output.suffix
        try:
            return Saving.by(self.suffix or own, self.quality, self.lossless, strict)
        except ValueError as error:
            raise UsageError(f"{output}: {error}") from None

    def suffix_for(self, content: Path) -> str:
        """Of an output in a folder: that of the content, if it can be written and no other format is asked for."""
        if video.is_video(content, self.path):
            return content.suffix if _fits(content, self, content) else ".mkv"
        if self.suffix:
            return content.suffix if self.means(content) else self.suffix
        return content.suffix if can_write(content) else ".png"


class Task(NamedTuple):
    """One picture, video or archive to read and one to write.

    Args:
        saving: of a picture.
        place: what the content is called below the folder that it is from.
        style: what the styles are called together.
        samples: of an archive: which tasks the pictures in it are.
    """

    content: Path
    output: Path
    styles: tuple[Path, ...] = ()
    saving: Saving | None = None
    place: Path = Path()
    style: str = ""
    samples: Choice | None = None


class Choice:
    """Which styles the contents of a run get, and what comes of them.

    Args:
        styles: those of each result that a content may get; several are mixed.
        sample: take so many of these at random for each content, or else all.
        seed: of that.
    """

    def __init__(self, outputs: Outputs, styles: Sequence[tuple[Path, ...]], sample: int | None = None, seed: int = 0) -> None:
        self.outputs, self.styles, self.sample, self.seed = outputs, styles, sample, seed
        names = unlike("+".join(path.stem for path in each) + ".style" for each in styles)  # a stem may have dots itself
        self._names = [name.removesuffix(".style") for name in names]

    def tasks(self, content: Path, place: Path) -> list[Task]:
        """Those of one picture or video; ``place`` is the name of its result below the folder of outputs, before its style."""
        from fastnst.jobs.names import DEFAULT_NAME, Name

        name = self.outputs.name or Name(DEFAULT_NAME if len(self.styles) > 1 else "{content}.{ext}")
        suffix, folder = self.outputs.suffix_for(content)[1:], self.outputs.path / place.parent
        tasks = []
        for at in _chosen(len(self.styles), self.sample, f"{self.seed}:{place}"):
            task = _task(
                content, folder / name.of(place.stem, self._names[at], suffix), self.styles[at], self.outputs, strict=False
            )
            tasks.append(task._replace(place=place, style=self._names[at]))
        return tasks


class Failure(NamedTuple):
    """One picture or video that could not be done; ``reason`` names the file and says why."""

    task: Task
    reason: str
    inside: bool = False
    """It is one sample of an archive, the others of which are done."""

    def as_json(self) -> dict[str, object]:
        """The failure in JSON's types."""
        return {"content": str(self.task.content), "output": str(self.task.output), "error": self.reason}


class Plan(NamedTuple):
    """What a run has to do."""

    tasks: list[Task]
    failures: Sequence[Failure] = ()  # pictures that would have the same output as others
    already_there: int = 0  # outputs of an earlier run
    left_alone: int = 0  # files of the folder that do not look like pictures or videos
    in_folder: bool = False  # several outputs, or one in a folder
    every: Sequence[Task] = ()  # all that the run would have to do if nothing were there


def plan(
    contents: Sequence[Path],
    styles: Sequence[tuple[Path, ...]],
    outputs: Outputs,
    sample: int | None = None,
    seed: int = 0,
    part: Part | None = None,
) -> Plan:
    """What is to do for contents, each a picture, a video, an archive of pictures or a folder of all these; ``-`` is standard
    input or output.

    Args:
        styles, sample, seed: see :class:`Choice`.
        part: do only the contents of this part.

    Raises:
        UsageError: an output that is not of the kind of the content, or of unknown format.
        ImageError: no such content.
        FileExistsError: the output of a single picture exists.
    """
    single = len(contents) == 1 and len(styles) == 1 and not contents[0].is_dir() and not is_archive(contents[0])
    if single and not outputs.folder and part is None:
        if outputs.name is not None:
            raise UsageError(f"{outputs.path}: --name is for outputs in a folder; end the folder's name with /")
        return _plan_file(contents[0], styles[0], outputs)
    return _plan_folder(contents, Choice(outputs, styles, sample, seed), part)


def is_archive(content: Path) -> bool:
    """Whether it holds pictures of its own: a shard of a data set."""
    return content.suffix.lower() in ARCHIVE_SUFFIXES


def _plan_file(content: Path, styles: tuple[Path, ...], outputs: Outputs) -> Plan:
    kind, output = "video" if video.is_video(content, outputs.path) else "picture", outputs.path
    if content != PIPE and not video.is_sequence(content):
        require_file(content, kind)
    if output.is_dir():
        raise UsageError(
            f"{output}: is a folder; name a file, because the content is one {kind}, or end the folder's name with /"
        )
    if kind == "picture" and outputs.suffix and can_write(output) and not outputs.means(output):
        raise UsageError(f"{output}: its suffix is that of another format than {outputs.suffix[1:]}")
    if not _fits(content, outputs, output):
        suffixes = video.WRITE_SUFFIXES if kind == "video" else WRITE_SUFFIXES
        way = "" if kind == "video" else ", or --format says the format"
        raise UsageError(
            f"{output}: the suffix of an output is one of {' '.join(suffixes)}, because {content} is a {kind}{way}"
        )
    task = _task(content, output, styles, outputs)
    if output == PIPE:
        return Plan([task], every=[task])
    if not output.parent.is_dir():
        raise FileNotFoundError(f"{output}: no such folder: {output.parent}")
    if not outputs.overwrite and (there := _there(output, kind)):
        raise FileExistsError(f"{there}: exists already; --overwrite replaces it")
    if kind == "video" and content != PIPE and output.exists() and content.exists() and output.samefile(content):
        raise UsageError(f"{output}: is the content itself, which is read until the end")
    return Plan([task], every=[task])


def _there(output: Path, kind: str) -> Path | None:
    """What exists of an output."""
    if kind == "video" and video.is_sequence(output):
        from fastnst.video.sequence import numbered, numbers

        return next((numbered(output, number) for number in numbers(output)), None)
    return output if os.path.lexists(output) else None


def _task(content: Path, output: Path, styles: tuple[Path, ...], outputs: Outputs, strict: bool = True) -> Task:
    if video.is_video(content, output):
        outputs.check_video(output, strict)
        return Task(content, output, styles)
    return Task(content, output, styles, outputs.saving(content, output, strict))


def _fits(content: Path, outputs: Outputs, output: Path) -> bool:
    """Whether the output's name, or the user, says a format that can hold the content."""
    if video.is_video(content, output):
        named = output.suffix.lower() in video.WRITE_SUFFIXES or (video.is_sequence(output) and can_write(output))
        return output == PIPE or named
    return output == PIPE or can_write(output) or outputs.suffix is not None


def _plan_folder(contents: Sequence[Path], choice: Choice, part: Part | None) -> Plan:
    outputs, styles, output = choice.outputs, choice.styles, choice.outputs.path
    if PIPE in (output, *contents):
        raise UsageError(f"{PIPE}: standard input and output carry one picture or video")
    if os.path.lexists(output) and not output.is_dir():
        raise UsageError(f"{output}: is a file; name a folder, because {_why_folder(contents, styles)}")
    if is_archive(output) and not (output.exists() or outputs.folder):
        raise UsageError(f"{output}: name a folder, because each archive of pictures becomes one of its own name there")
    in_place = any(output.is_dir() and content.is_dir() and output.samefile(content) for content in contents)
    if in_place and not outputs.overwrite:
        raise UsageError(f"{output}: is the folder of the contents; only --overwrite would replace them")
    found, left_alone = _contents(contents, None if in_place else output.resolve())
    tasks = list[Task]()
    for content, place in found:
        if part is not None and not part.holds(place):
            continue
        if is_archive(content):
            tasks.append(Task(content, output / place, place=place, samples=choice))
        else:
            tasks += choice.tasks(content, place)
    targets: dict[Path, list[Task]] = {}
    for task in tasks:
        targets.setdefault(task.output, []).append(task)
    failures = [
        Failure(one, f"{one.content}: its output {target} is also that of {other.content}; rename one of them")
        for target, several in targets.items()
        for one, other in zip(several, several[1:] + several[:1], strict=True)
        if len(several) > 1
    ]
    wanted = [several[0] for several in targets.values() if len(several) == 1]
    missing = [task for task in wanted if outputs.overwrite or not _is_there(task.output)]
    return Plan(missing, failures, len(wanted) - len(missing), left_alone, in_folder=True, every=wanted)


def _is_there(output: Path) -> bool:
    """Whether an earlier run made it. Of what was written last before a power cut, an empty file may be left."""
    return output.is_file() and output.stat().st_size > 0


def _why_folder(contents: Sequence[Path], styles: Sequence[tuple[Path, ...]]) -> str:
    if len(contents) == 1 and len(styles) == 1 and contents[0].is_dir():
        return "the content is one"
    return "there are several results" if len(contents) * len(styles) > 1 else "its name ends with /"


def _contents(contents: Sequence[Path], but: Path | None) -> tuple[list[tuple[Path, Path]], int]:
    """Every picture and video, and the name that its result has below the folder of outputs; how many files are neither."""
    found, left_alone, single = list[tuple[Path, Path]](), 0, list[Path]()
    for content in contents:
        if not content.is_dir():
            require_file(content)
            single.append(content)
            continue
        files = list(_visible_files(content, but))
        pictures = [path for path in files if path.suffix.lower() in _SUFFIXES]
        if not pictures:
            raise ImageError(f"{content}: no pictures or videos in this folder")
        found += [(path, path.relative_to(content)) for path in pictures]
        left_alone += len(files) - len(pictures)
    return [*found, *zip(single, map(Path, unlike(path.name for path in single)), strict=True)], left_alone


def unlike(names: Iterable[str]) -> list[str]:
    """Names of which no two have the same stem: those that would get a number."""
    found, seen = list[str](), Counter[str]()
    for name in names:
        path = Path(name)
        stem, taken = path.stem, path.stem
        while seen[taken]:
            seen[stem] += 1
            taken = f"{stem}-{seen[stem]}"
        seen[taken] += 1
        found.append(f"{taken}{path.suffix}")
    return found


def _chosen(count: int, sample: int | None, seed: str) -> list[int]:
    if sample is None:
        return list(range(count))
    import random

    return sorted(random.Random(seed).sample(range(count), min(sample, count)))


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder of styles, in order of name.

    Raises:
        ImageError: there are none.
    """
    found = [path for path in _visible_files(folder, None) if path.suffix.lower() in READ_SUFFIXES | {".look"}]
    if not found:
        raise ImageError(f"{folder}: no pictures in this folder")
    return found


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
