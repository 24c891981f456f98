"""What is done of an archive, so that a run that was killed is gone on with, and the lines of manifests."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from fastnst.images import ImageError
from fastnst.jobs.plans import Task

try:
    import fcntl
except ImportError:  # Windows, where nothing keeps two runs apart
    fcntl = None  # type: ignore[assignment]

FOLDER = ".fastnst-job"
"""Of the record of a job, in the folder of outputs."""

Line = dict[str, Any]


def line(task: Task, output: Path, alpha: float, digest: str) -> Line:
    """That of one output; names are below the folders of contents and outputs, so that they say the same anywhere."""
    return {
        "input": task.place.as_posix(),
        "output": output.as_posix(),
        "style": task.style,
        "alpha": alpha,
        "sha256": digest,
    }


def _place(folder: Path, place: Path, suffix: str) -> Path:
    # Not the name itself, which may be as long as the file system allows.
    return folder / FOLDER / f"{hashlib.sha256(os.fsencode(place.as_posix())).hexdigest()[:32]}{suffix}"


def _entries(data: bytes) -> tuple[list[Any], int]:
    """The lines that are whole, and how many bytes they are."""
    found, length = [], 0
    for text in data.splitlines(keepends=True):
        try:
            found.append(json.loads(text if text.endswith(b"\n") else b""))
        except ValueError:
            break
        length += len(text)
    return found, length


def recorded(folder: Path, place: Path) -> tuple[list[Line], list[str]]:
    """Of a finished archive: the manifest's lines, and why each sample that is not in it failed.

    Raises:
        ImageError: there is no such record.
    """
    try:
        entries, _ = _entries(_place(folder, place, ".jsonl").read_bytes())
    except FileNotFoundError:
        raise ImageError(f"{folder / place}: there is no record of how it was made; remove it to make it again") from None
    lines = [each for entry in entries[1:] for each in entry["lines"]]
    return lines, [each for entry in entries[1:] for each in entry["failed"]]


class Journal:
    """An archive that is being written, and beside it how far it is; both in the folder of the job's record.

    Only samples that the journal counts are used: it is written after they are safely on the disk.

    Args:
        folder: of the outputs.
        task: of the archive.
        resumes: go on where an earlier run was, or else begin anew.

    Attributes:
        file: the archive so far.
        samples: how many are done.
        failed: why each of those failed that did.

    Raises:
        ImageError: another process is making the archive.
    """

    def __init__(self, folder: Path, task: Task, resumes: bool) -> None:
        self._output, self._part = task.output, _place(folder, task.place, ".part")
        self._part.parent.mkdir(parents=True, exist_ok=True)
        self._log: BinaryIO = _place(folder, task.place, ".jsonl").open("a+b")
        try:
            if fcntl is not None:
                fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._log.close()
            raise ImageError(f"{self._output}: another process is making it") from None
        self.samples, self.failed = 0, list[str]()
        stat = task.content.stat()
        first = {"input": task.place.as_posix(), "bytes": stat.st_size, "changed": stat.st_mtime_ns}
        self.file: BinaryIO = self._part.open("r+b" if self._part.exists() else "w+b")
        self._log.seek(0)
        entries, length = _entries(self._log.read())
        if resumes and entries and entries[0] == first and self._goes_on(entries[1:]):
            self._log.truncate(length)
            return
        self.file.truncate(0)
        self._log.truncate(0)
        self._append(first)

    def _goes_on(self, entries: Sequence[Any]) -> bool:
        """Whether the archive has what the journal counts; what it has beyond that is cut off."""
        length = entries[-1]["bytes"] if entries else 0
        if self.file.seek(0, os.SEEK_END) < length:
            return False
        self.file.truncate(length)
        self.file.seek(length)
        self.samples = entries[-1]["samples"] if entries else 0
        self.failed = [each for entry in entries for each in entry["failed"]]
        return True

    def record(self, samples: int, lines: Sequence[Line], failed: Sequence[str]) -> None:
        """So many samples are written by now; lines and failures are those since the last time."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.samples = samples
        self.failed += failed
        self._append({"samples": samples, "bytes": self.file.tell(), "lines": lines, "failed": failed})

    def _append(self, entry: Any) -> None:
        self._log.write((json.dumps(entry) + "\n").encode())
        self._log.flush()
        os.fsync(self._log.fileno())

    def finish(self) -> None:
        """The archive is whole: it gets its name. The journal stays, for what it says."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        self._output.parent.mkdir(parents=True, exist_ok=True)
        self._part.replace(self._output)

    def close(self) -> None:
        """Leave it as it is, for the next run to go on with."""
        self.file.close()
        self._log.close()
