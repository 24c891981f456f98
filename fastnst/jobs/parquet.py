"""Parquet files with a column of pictures, as the data sets of the Hugging Face hub are: needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from fastnst.images import ImageError
from fastnst.jobs.archives import Archive, Result, Sample

_ROWS = 256  # that are read, and written, at a time


class Parquet(Archive):
    """A table with a column of pictures: of structs of ``bytes`` and ``path``, or of bytes under the name ``image``.

    All other columns stay, and the schema with what it says of itself. A row is a sample; for several results of a picture
    there are as many rows.

    Raises:
        ImageError: pyarrow is not installed, or the file is no such table.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise ImageError(f"{path}: Parquet files need pyarrow: pip install pyarrow") from None
        self._pyarrow, self._parquet = pyarrow, parquet
        try:
            with parquet.ParquetFile(path) as table:
                self._schema = table.schema_arrow
        except (OSError, pyarrow.ArrowException) as error:
            raise ImageError(f"{path}: not a Parquet file that can be read: {_line(error)}") from None
        self._column = self._column_of(path)
        self._rows: list[dict[str, Any]] = []
        self._writer: Any = None

    def _column_of(self, path: Path) -> str:
        types = self._pyarrow.types
        for field in self._schema:
            if types.is_struct(field.type) and {"bytes", "path"} <= {each.name for each in field.type}:
                return str(field.name)
        for field in self._schema:
            if field.name == "image" and (types.is_binary(field.type) or types.is_large_binary(field.type)):
                return str(field.name)
        raise ImageError(f"{path}: has no column of pictures: structs of bytes and path, or bytes under the name image")

    def samples(self, path: Path) -> Iterator[Sample]:
        number = 0
        try:
            with self._parquet.ParquetFile(path) as table:
                for batch in table.iter_batches(_ROWS):
                    for row in batch.to_pylist():
                        yield self._sample(row, number)
                        number += 1
        except self._pyarrow.ArrowException as error:
            raise ImageError(f"{path}: a damaged Parquet file: {_line(error)}") from None

    def _sample(self, row: dict[str, Any], number: int) -> Sample:
        value = row[self._column]
        data = value["bytes"] if isinstance(value, dict) else value
        name = PurePosixPath(str(value["path"]) if isinstance(value, dict) and value["path"] else f"{number}.{_suffix(data)}")
        return Sample(f"{number}-{name.name}" if not name.stem.startswith(str(number)) else name.name, data, row)

    def named(self, name: str) -> str:
        return name

    def write(self, file: BinaryIO, sample: Sample, results: Sequence[Result]) -> None:
        if sample.picture is None:
            self._rows.append(sample.rest)
        for result in results:
            value = {"bytes": result.data, "path": result.name} if isinstance(sample.rest[self._column], dict) else result.data
            self._rows.append({**sample.rest, self._column: value})
        if len(self._rows) >= _ROWS:
            self._flush(file)

    def _flush(self, file: BinaryIO) -> None:
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(file, self._schema)
        self._writer.write_table(self._pyarrow.Table.from_pylist(self._rows, self._schema))
        self._rows = []

    def finish(self, file: BinaryIO) -> None:
        self._flush(file)
        self._writer.close()


def _suffix(data: bytes | None) -> str:
    """Of a picture without a name, by how it begins."""
    return "png" if data is not None and data.startswith(b"\x89PNG") else "jpg"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
