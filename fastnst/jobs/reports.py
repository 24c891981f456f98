"""The results of ``fastnst stylize`` for a picture or a video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from fastnst.jobs.plans import Task


def _losses(left_out: Sequence[str]) -> str:
    return f"  left out: {', '.join(left_out)}" if left_out else ""


class Report(NamedTuple):
    """One picture done."""

    task: Task
    width: int
    height: int
    seconds: dict[str, float]  # style, read, encode, decode, color, write, total
    working_memory: int  # bytes that the engine's plan needs for this size, without weights; in tiles also for files' rows
    planned_memory: int  # bytes this process should hold at most, with what it held before the first picture
    peak_memory: int | None  # bytes this process has held at most so far, where the system says
    levels: Sequence[int] = ()  # of a WCT model, in the order in which they ran
    warnings: Sequence[str] = ()
    left_out: Sequence[str] = ()  # what the output does not hold of the content's metadata
    sha256: str | None = None  # of the output, where that is asked for

    @property
    def made(self) -> int:
        """How many results."""
        return 1

    @property
    def pace(self) -> str:
        """For a line of text."""
        return f"engine {self.engine_milliseconds:.1f} ms"

    @property
    def losses(self) -> str:
        """For the end of a line of text; empty where nothing was left out."""
        return _losses(self.left_out)

    @property
    def engine_milliseconds(self) -> float:
        """The engine's time for this picture; the style is not in it, for that is encoded once for all pictures of a run."""
        return 1000 * (self.seconds["encode"] + self.seconds["decode"])

    def as_json(self) -> dict[str, object]:
        """The report in JSON's types."""
        return {
            "content": str(self.task.content),
            "output": str(self.task.output),
            "width": self.width,
            "height": self.height,
            "seconds": {step: round(seconds, 6) for step, seconds in self.seconds.items()},
            "engine_milliseconds": round(self.engine_milliseconds, 3),
            "working_memory": self.working_memory,
            "planned_memory": self.planned_memory,
            "peak_memory": self.peak_memory,
            "left_out": list(self.left_out),
            **({"levels": list(self.levels)} if self.levels else {}),
        }


class VideoReport(NamedTuple):
    """One video done."""

    task: Task
    width: int
    height: int
    frames: int
    resumed_frames: int  # of these, done by an earlier run
    repeated_frames: int  # done without the engine, for their source did not change
    left_out: Sequence[str]  # what the output does not hold of the content: streams by kind, tags by name, transparency
    warnings: Sequence[str]  # lines about what was met while reading: damage, or another size in the middle
    seconds: dict[str, float]  # style, total
    working_memory: int  # bytes that the engine's plan needs for one frame, without weights
    peak_memory: int | None  # as for pictures

    @property
    def made(self) -> int:
        """How many results."""
        return 1

    @property
    def pace(self) -> str:
        """For a line of text."""
        return f"{self.frames} frames  {self.frames_per_second:.1f} a second"

    @property
    def losses(self) -> str:
        """For the end of a line of text; empty where nothing was left out."""
        return _losses(self.left_out)

    @property
    def frames_per_second(self) -> float:
        """Of this run, from reading to writing."""
        return (self.frames - self.resumed_frames) / (self.seconds["total"] - self.seconds["style"])

    def as_json(self) -> dict[str, object]:
        """The report in JSON's types."""
        return {
            "content": str(self.task.content),
            "output": str(self.task.output),
            "width": self.width,
            "height": self.height,
            "frames": self.frames,
            "resumed_frames": self.resumed_frames,
            "repeated_frames": self.repeated_frames,
            "frames_per_second": round(self.frames_per_second, 3),
            "left_out": list(self.left_out),
            "warnings": list(self.warnings),
            "seconds": {step: round(seconds, 6) for step, seconds in self.seconds.items()},
            "working_memory": self.working_memory,
            "peak_memory": self.peak_memory,
        }


class ArchiveReport(NamedTuple):
    """One archive of a data set done."""

    task: Task
    samples: int  # in it, those that failed and those without a picture included
    failed: int  # of these
    seconds: float
    peak_memory: int | None  # as for pictures
    warnings: Sequence[str] = ()
    width: int = 0  # there are many
    height: int = 0

    @property
    def made(self) -> int:
        """How many results: samples that are done."""
        return self.samples - self.failed

    @property
    def pace(self) -> str:
        """For a line of text."""
        return f"{self.samples} samples"

    @property
    def losses(self) -> str:
        """For the end of a line of text: failures are told by themselves."""
        return ""

    def as_json(self) -> dict[str, object]:
        """The report in JSON's types."""
        return {
            "content": str(self.task.content),
            "output": str(self.task.output),
            "samples": self.samples,
            "failed": self.failed,
            "seconds": {"total": round(self.seconds, 6)},
            "peak_memory": self.peak_memory,
        }


Done: TypeAlias = Report | VideoReport | ArchiveReport
