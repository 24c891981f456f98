"""Shards of a data set: archives whose samples are a picture each, and what belongs to it."""

from __future__ import annotations

import io
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from fastnst.images import OTHER_SUFFIXES, READ_SUFFIXES, ImageError

_PICTURES = READ_SUFFIXES | OTHER_SUFFIXES


@dataclass(frozen=True)
class Sample:
    """One sample of an archive.

    Attributes:
        name: of its picture within the archive.
        picture: what is in the picture's file; None where the sample has none and is copied as it is.
        rest: the sample as the kind of archive has it.
    """

    name: str
    picture: bytes | None
    rest: Any


@dataclass(frozen=True)
class Result:
    """A picture that a sample becomes: its name within the archive, and what is in its file."""

    name: str
    data: bytes


class Archive(ABC):
    """A kind of archive.

    Attributes:
        resumes: whether what was written can be cut anywhere between two samples and be gone on from there.
    """

    resumes = False

    @abstractmethod
    def samples(self, path: Path) -> Iterator[Sample]:
        """Those of the archive ``path``, in its order.

        Raises:
            ImageError: it is cut short, damaged or none; says what is wrong.
        """

    @abstractmethod
    def named(self, name: str) -> str:
        """What a result can be called that is to be called ``name``."""

    @abstractmethod
    def write(self, file: BinaryIO, sample: Sample, results: Sequence[Result]) -> None:
        """The sample with its picture replaced, once for each result."""

    @abstractmethod
    def finish(self, file: BinaryIO) -> None:
        """All samples are written."""


class Tar(Archive):
    """A shard of WebDataset: neighbours in a tar file whose names agree up to the first dot are one sample.

    The picture of a sample is the first file whose suffix, all that follows the first dot, is that of a picture, such as
    ``.jpg`` and unlike ``.seg.png``. What is written depends on names and contents alone.
    """

    resumes = True

    def samples(self, path: Path) -> Iterator[Sample]:
        with path.open("rb") as file:
            _check_end(path, file)
            try:
                with tarfile.open(fileobj=file, mode="r:") as archive:
                    yield from self._grouped(path, archive)
            except (tarfile.TarError, EOFError) as error:
                raise ImageError(f"{path}: a damaged tar file: {error}") from None

    def _grouped(self, path: Path, archive: tarfile.TarFile) -> Iterator[Sample]:
        key, files = None, list[tuple[str, bytes]]()
        for member in archive:
            archive.members = []  # type: ignore[attr-defined] # which would grow with the archive
            if member.isdir():
                continue
            if not member.isfile():
                raise ImageError(f"{path}: {member.name}: is a link or a device, and shards hold files")
            stored = archive.extractfile(member)
            assert stored is not None  # it is a file
            mine = _key(member.name)
            if files and (mine != key or member.name in (name for name, _ in files)):
                yield _sample(files)
                files = []
            key = mine
            files.append((member.name, stored.read()))
        if files:
            yield _sample(files)

    def named(self, name: str) -> str:
        """Without dots but the one before the suffix, for readers take all before the first dot for the key."""
        path = PurePosixPath(name)
        return str(path.with_name(path.stem.replace(".", "_") + path.suffix))

    def write(self, file: BinaryIO, sample: Sample, results: Sequence[Result]) -> None:
        if sample.picture is None:
            for name, data in sample.rest:
                _write(file, name, data)
        for result in results:
            key = _key(result.name)
            for name, data in sample.rest:
                if name == sample.name:
                    _write(file, result.name, result.data)
                else:
                    _write(file, key + name[len(_key(name)) :], data)

    def finish(self, file: BinaryIO) -> None:
        file.write(bytes(2 * tarfile.BLOCKSIZE))
        file.write(bytes(-file.tell() % tarfile.RECORDSIZE))


def _sample(files: list[tuple[str, bytes]]) -> Sample:
    for name, data in files:
        if name[len(_key(name)) :].lower() in _PICTURES:
            return Sample(name, data, files)
    return Sample(files[0][0], None, files)


def _key(name: str) -> str:
    """The name up to the first dot of its last part."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def _write(file: BinaryIO, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    file.write(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
    file.write(data)
    file.write(bytes(-len(data) % tarfile.BLOCKSIZE))


def _check_end(path: Path, file: BinaryIO) -> None:
    """Python would take a file that ends between two members for whole."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 2 * tarfile.BLOCKSIZE))
    if size < 2 * tarfile.BLOCKSIZE or any(file.read()):
        raise ImageError(f"{path}: is cut short, or not a tar file")
    file.seek(0)
