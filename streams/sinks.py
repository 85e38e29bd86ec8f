"""Where the file end writes: JSON lines that can be continued after a crash, or Parquet in one go."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import orjson

from features.errors import AssayError
from features.feature import FeatureSet
from streams.event_files import STANDARD
from streams.log import JudgedFeatures


class Sink(Protocol):
    """Takes JSON records."""

    def write(self, values: Sequence[bytes]) -> None:
        """Append records."""
        ...

    def sync(self) -> int:
        """Make what was written safe; returns the bytes written so far, to continue from."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


class LineSink:
    """JSON lines, to a file or standard output.

    Args:
        path: the file; created at the first record, so that nothing to say leaves no file, unless `eager`.
        position: bytes that are already true; anything beyond them was written by a run that did not finish, and goes.
        eager: create the file even if nothing is ever written.

    Raises:
        AssayError: the file cannot be written, or is shorter than `position`.
    """

    def __init__(self, path: Path, position: int = 0, *, eager: bool = True) -> None:
        self._path = path
        self._position = position
        self._file: BinaryIO | None = None
        if path == STANDARD:
            self._file = sys.stdout.buffer
        elif eager or position or path.exists():
            self._file = self._open()

    def _open(self) -> BinaryIO:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("r+b" if self._position else "wb", buffering=1 << 20)
            if self._position:
                length = file.seek(0, os.SEEK_END)
                if length < self._position:
                    raise AssayError(
                        f"{self._path}: expected the {self._position} bytes that the last run left, got {length}; "
                        "put the file back, or start with a fresh --state"
                    )
                file.seek(self._position)
                file.truncate()
        except OSError as error:
            raise AssayError(f"{self._path}: expected a writable file ({error.strerror})") from None
        return file

    def write(self, values: Sequence[bytes]) -> None:
        """See `Sink`."""
        if not values:
            return
        if self._file is None:
            self._file = self._open()
        data = b"\n".join(values) + b"\n"
        self._file.write(data)
        self._position += len(data)

    def sync(self) -> int:
        """See `Sink`."""
        if self._file is not None:
            self._file.flush()
            if self._path != STANDARD:
                os.fsync(self._file.fileno())
        return self._position

    def close(self) -> None:
        """See `Sink`."""
        self.sync()
        if self._file is not None and self._path != STANDARD:
            self._file.close()


class ParquetSink:
    """Verdicts as Parquet: the same fields, written in row groups. A file cannot be continued by another run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def write(self, values: Sequence[bytes]) -> None:
        """See `Sink`."""
        if values:
            import pyarrow

            self._write_table(pyarrow.Table.from_pylist([orjson.loads(value) for value in values], _verdict_schema()))

    def _write_table(self, table: Any) -> None:
        from pyarrow import parquet

        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = parquet.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table)

    def sync(self) -> int:
        """See `Sink`; there is no place to continue from."""
        return 0

    def close(self) -> None:
        """See `Sink`."""
        if self._writer is None:
            self._write_table(_verdict_schema().empty_table())
        self._writer.close()


class FeatureSink:
    """One row per judged event: its id, account, time, kind, amount, and every feature as served (float32)."""

    def __init__(self, path: Path, feature_set: FeatureSet) -> None:
        self._path = path
        self._feature_set = feature_set
        self._writer: Any = None

    def write(self, segments: Iterable[JudgedFeatures]) -> None:
        """Append the rows of each segment."""
        import pyarrow
        from pyarrow import parquet

        for segment in segments:
            columns: dict[str, Any] = {
                "event_id": pyarrow.array(segment.event_ids, pyarrow.string()),
                "account_id": pyarrow.array(segment.account_ids, pyarrow.string()),
                "time_ms": pyarrow.array(segment.time_ms),
                "kind": pyarrow.array(segment.kind),
                "amount_base_minor": pyarrow.array(segment.amount_base_minor),
            }
            for column, name in enumerate(self._feature_set.names):
                columns[name] = pyarrow.array(segment.features[:, column])
            table = pyarrow.table(columns)
            if self._writer is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                schema = table.schema.with_metadata({"assay-feature-set": self._feature_set.hash})
                self._writer = parquet.ParquetWriter(self._path, schema, compression="zstd")
            self._writer.write_table(table.cast(self._writer.schema))

    def close(self) -> None:
        """Finish the file; without a judged event there is none."""
        if self._writer is not None:
            self._writer.close()


def _verdict_schema() -> Any:
    import pyarrow as pa

    reason = pa.struct(
        [
            ("code", pa.string()),
            ("feature", pa.string()),
            ("value", pa.float64()),
            ("baseline", pa.float64()),
            ("contribution", pa.float64()),
            ("text", pa.string()),
        ]
    )
    at = pa.struct([("partition", pa.int32()), ("offset", pa.int64()), ("entities_offset", pa.int64())])
    return pa.schema(
        [
            ("event_id", pa.string()),
            ("account_id", pa.string()),
            ("time_ms", pa.int64()),
            ("decision", pa.string()),
            ("score", pa.float64()),
            ("anomaly", pa.float64()),
            ("expected_loss_minor", pa.int64()),
            ("reasons", pa.list_(reason)),
            ("model", pa.string()),
            ("policy", pa.string()),
            ("at", at),
            ("flags", pa.list_(pa.string())),
            ("schema", pa.int32()),
        ]
    )
