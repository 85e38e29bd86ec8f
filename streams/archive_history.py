"""A log out of its archive: everything that reads a topic by place can read this instead."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import compute, parquet

from features.errors import AssayError
from streams.archive_columns import RECORD
from streams.archive_layout import ArchiveFile, chains, hour_of, topic_name
from streams.archive_store import ArchiveStore
from streams.history import Bounds
from streams.log import LogRecord

_BATCH_RECORDS = 5_000


class ArchiveHistory:
    """A `History` out of an archive, as its files are now; what is archived later is not seen.

    Args:
        url: the archive, as given to `assay archive --to`.
        topic: full name; the archive has it without its prefix.

    Raises:
        AssayError: there is no such archive, the topic is not in it, or files of a partition are missing or overlap.
    """

    def __init__(self, url: str, topic: str) -> None:
        name = topic_name(topic)
        self._store = ArchiveStore(url)
        self._where = f"archive {url}"
        self._chains: Mapping[int, list[ArchiveFile]] = chains(self._store.files(name), self._where)
        self._topic = name
        if not self._chains:
            raise AssayError(
                f"{self._where}: expected files of {name}, there are none; write them: assay archive --to {url}"
            )

    def partitions(self) -> list[int]:
        """See `History`."""
        return sorted(self._chains)

    def bounds(self, partition: int) -> Bounds:
        """See `History`."""
        chain = self._chain(partition)
        return Bounds(chain[0].first, chain[-1].last + 1)

    def offset_at(self, partition: int, time_ms: int) -> int:
        """See `History`."""
        hour = hour_of(max(0, time_ms), at_least=0)
        for file in self._chain(partition):
            if file.hour < hour:
                continue  # it holds nothing newer than its hour
            for batch in self._batches(file, ["offset", "timestamp_ms"]):
                found = batch.filter(compute.greater_equal(batch["timestamp_ms"], time_ms))
                if len(found):
                    return int(found["offset"][0].as_py())
        return self.bounds(partition).high

    def read(self, partition: int, start: int, end: int) -> Iterator[Sequence[LogRecord]]:
        """See `History`."""
        low, _ = self.bounds(partition)
        if start < low:
            raise AssayError(
                f"{self._where}, {self._topic}[{partition}]: it begins at {low}, records from {start} on were asked "
                "for; begin later, or read an archive that reaches further back"
            )
        return self._read(partition, start, end)

    def _read(self, partition: int, start: int, end: int) -> Iterator[Sequence[LogRecord]]:
        for file in self._chain(partition):
            if file.last < start or file.first >= end:
                continue
            for batch in self._batches(file, ["offset", "timestamp_ms", "key", "value", "headers"]):
                wanted = batch.slice(*_slice(batch["offset"].to_numpy(), start, end))
                if len(wanted):
                    yield _records(wanted)

    def _chain(self, partition: int) -> list[ArchiveFile]:
        if partition not in self._chains:
            raise AssayError(
                f"{self._where}: {self._topic} has no partition {partition}, only "
                f"{', '.join(map(str, self.partitions()))}; choose one of them"
            )
        return self._chains[partition]

    def _batches(self, file: ArchiveFile, columns: list[str]) -> Iterator[Any]:
        """Rows of a file, some at a time, checked: a damaged file gives an error, never other records."""
        before, count = file.first - 1, 0
        content = pyarrow.BufferReader(self._store.get(file))
        try:
            with parquet.ParquetFile(content, page_checksum_verification=True) as rows:
                kinds = dict(zip(rows.schema_arrow.names, rows.schema_arrow.types, strict=True))
                if any(kinds.get(name) != RECORD[name] for name in columns):
                    raise self._damaged(file, "its columns are not those of an archive")
                for batch in rows.iter_batches(_BATCH_RECORDS, columns=columns):
                    offsets = batch["offset"].to_numpy()
                    if offsets[-1] > file.last or (np.diff(offsets, prepend=before) <= 0).any():
                        raise self._damaged(file, "its offsets are not those of its name")
                    before = offsets[-1]
                    count += len(batch)
                    yield batch
                if count != rows.metadata.num_rows:
                    raise self._damaged(file, "rows are missing")
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self._damaged(file, next(iter(str(error).splitlines()), type(error).__name__)) from error

    def _damaged(self, file: ArchiveFile, reason: str) -> AssayError:
        return AssayError(
            f"{self._where}: {file.path} cannot be read ({reason}); move it and the later files of its partition away "
            "and archive them again"
        )


def _slice(offsets: NDArray[np.int64], start: int, end: int) -> tuple[int, int]:
    """Place and number of those from `start` up to before `end`."""
    first, last = np.searchsorted(offsets, (start, end))
    return int(first), int(last - first)


def _records(batch: Any) -> list[LogRecord]:
    columns = [batch[name].to_pylist() for name in ("offset", "value", "key", "timestamp_ms")]
    headers = [
        tuple((header["key"], header["value"]) for header in row) if row else () for row in batch["headers"].to_pylist()
    ]
    return [LogRecord(*row) for row in zip(*columns, headers, strict=True)]
