"""Events and labels from files: JSON lines, Parquet, an archive, or standard input, as the bytes that a log would hold.

A Parquet row becomes the JSON object of its non-null columns, so both formats go through the same decoder. An archived
topic gives the values of its records, byte for byte.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from features.errors import AssayError

STANDARD = Path("-")
"""Stands for standard input or standard output."""
LONGEST_LINE_BYTES = 16 << 20
_PARQUET_ROWS = 10_000


def is_archived_topic(path: Path) -> bool:
    """Whether `path` is the directory of one topic that `assay archive` wrote."""
    return path.is_dir() and any(path.glob("dt=*"))


class EventFile:
    """The records of one file, in order; of an archived topic, partition after partition.

    Attributes:
        total_bytes: size of the file, None for standard input and for a pipe.
        read_bytes: how far reading has come, for a progress bar.

    Raises:
        AssayError: the file is not there, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.total_bytes: int | None = None
        self.read_bytes = 0
        if path != STANDARD:
            if not path.exists() or (path.is_dir() and not is_archived_topic(path)):
                there = "a directory" if path.is_dir() else "there is none"
                raise AssayError(
                    f"{path}: expected a file of records (JSON lines or Parquet) or the directory of an archived topic "
                    f"(with dt=… in it), {there}"
                )
            if path.is_file():
                self.total_bytes = path.stat().st_size

    def __iter__(self) -> Iterator[bytes]:
        if self._path == STANDARD:
            yield from self._lines(sys.stdin.buffer)
        elif self._path.is_dir():
            yield from self._archived()
        elif self._path.suffix == ".parquet":
            yield from self._rows()
        else:
            try:
                file = self._path.open("rb", buffering=1 << 20)
            except OSError as error:
                raise AssayError(f"{self._path}: expected a readable file ({error.strerror})") from None
            with file:
                yield from self._lines(file)

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        number = 0
        while line := file.readline(LONGEST_LINE_BYTES):
            number += 1
            self.read_bytes += len(line)
            if len(line) == LONGEST_LINE_BYTES and not line.endswith(b"\n"):
                raise AssayError(
                    f"{self._path}, line {number}: expected JSON lines, got one of over {LONGEST_LINE_BYTES} bytes"
                )
            yield line.rstrip(b"\r\n")

    def _archived(self) -> Iterator[bytes]:
        from streams.archive_history import ArchiveHistory

        topic = self._path.resolve()
        history = ArchiveHistory(str(topic.parent), topic.name)
        for partition in history.partitions():
            for records in history.read(partition, *history.bounds(partition)):
                yield from (record.value for record in records if record.value is not None)

    def _rows(self) -> Iterator[bytes]:
        import pyarrow
        from pyarrow import parquet

        try:
            file = parquet.ParquetFile(self._path)
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                self.read_bytes += (self.total_bytes or 0) * len(batch) // file.metadata.num_rows
                for row in batch.to_pylist():
                    yield orjson.dumps(_without_nulls(row))
        except (pyarrow.ArrowException, OSError) as error:
            raise AssayError(f"{self._path}: expected a Parquet file: {str(error).splitlines()[0]}") from None
        except (TypeError, ValueError) as error:  # bytes, decimals, text that is not UTF-8
            raise AssayError(f"{self._path}: expected columns that JSON can hold: {error}") from None


def _without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_nulls(member) if isinstance(member, dict) else member
        for name, member in value.items()
        if member is not None
    }
