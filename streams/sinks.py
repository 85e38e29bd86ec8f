"""Where the file end writes: JSON lines that can be continued after a crash, or Parquet in one go."""

import os
import stat
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import orjson

from features.errors import AssayError
from features.feature import FeatureSet
from streams.event_files import STANDARD
from streams.log import JudgedFeatures

UNFINISHED = -1
"""What `sync` of a Parquet file says before `close`: it is not readable yet, and cannot be continued."""


class Sink(Protocol):
    """Takes JSON records."""

    def write(self, values: Sequence[bytes]) -> None:
        """Append records."""
        ...

    def sync(self) -> int:
        """Make what was written safe; returns the bytes written so far, to continue from, or `UNFINISHED`."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


class LineSink:
    """JSON lines, to a file or standard output; a pipe or a device is written like standard output.

    Args:
        path: the file; created at the first record, so that nothing to say leaves no file, unless `eager`.
        position: bytes that are already true; anything beyond them was written by a run that did not finish, and goes.
        eager: create the file even if nothing is ever written.

    Raises:
        AssayError: the file cannot be written (also by `write`, `sync` and `close`), or is shorter than `position`.
        BrokenPipeError: whoever reads standard output or the pipe has left.
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
            if not self._position:
                return self._path.open("wb", buffering=1 << 20)
            length = self._path.stat().st_size if self._path.exists() else 0
            if length < self._position:
                raise AssayError(
                    f"{self._path}: expected the {self._position} bytes that the last run left, got {length}; "
                    "put the file back, or start with a fresh --state"
                )
            file = self._path.open("r+b", buffering=1 << 20)
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
        try:
            self._file.write(data)
        except OSError as error:
            raise self._failure(error) from None
        self._position += len(data)

    def sync(self) -> int:
        """See `Sink`; 0 for what is no file, because a pipe begins anew with every run."""
        if self._file is None:
            return self._position
        try:
            self._file.flush()
            if self._path == STANDARD or not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                return 0
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failure(error) from None
        return self._position

    def close(self) -> None:
        """See `Sink`; closing twice is harmless."""
        if self._file is None or self._file.closed:
            return
        self.sync()
        if self._path != STANDARD:
            self._file.close()

    def _failure(self, error: OSError) -> Exception:
        """Give the file up, with what its buffer holds, or else the interpreter would try again and complain."""
        assert self._file is not None
        with suppress(OSError):
            self._file.close()
        return error if isinstance(error, BrokenPipeError) else _not_written(self._path, error)


class _ParquetFile:
    """A Parquet file written table by table; complete, and there even without rows, once it is closed."""

    def __init__(self, path: Path, schema: Any) -> None:
        self._path = path
        self.schema = schema
        self._writer: Any = None
        self._is_finished = False

    def write(self, table: Any) -> None:
        """Append a table of the schema."""
        try:
            self._opened().write_table(table)
        except OSError as error:
            raise _not_written(self._path, error) from None

    def sync(self) -> int:
        """See `Sink`."""
        return 0 if self._is_finished else UNFINISHED

    def close(self) -> None:
        """Finish the file; closing twice is harmless."""
        try:
            self._opened().close()
            if self._path.is_file():
                with self._path.open("rb") as file:
                    os.fsync(file.fileno())
        except OSError as error:
            raise _not_written(self._path, error) from None
        self._is_finished = True

    def _opened(self) -> Any:
        if self._writer is None:
            from pyarrow import parquet

            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = parquet.ParquetWriter(self._path, self.schema, compression="zstd")
        return self._writer


class ParquetSink:
    """Verdicts as Parquet: the same fields, written in row groups. A file cannot be continued by another run.

    Raises:
        AssayError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = _ParquetFile(path, _verdict_schema())

    def write(self, values: Sequence[bytes]) -> None:
        """See `Sink`."""
        if values:
            import pyarrow

            rows = [orjson.loads(value) for value in values]
            self._file.write(pyarrow.Table.from_pylist(rows, self._file.schema))

    def sync(self) -> int:
        """See `Sink`."""
        return self._file.sync()

    def close(self) -> None:
        """See `Sink`."""
        self._file.close()


class FeatureSink:
    """One row per judged event: its id, account, time, kind, amount, and every feature as served (float32).

    Raises:
        AssayError: the file cannot be written.
    """

    def __init__(self, path: Path, feature_set: FeatureSet) -> None:
        self._feature_set = feature_set
        self._file = _ParquetFile(path, _feature_schema(feature_set))

    def write(self, segments: Iterable[JudgedFeatures]) -> None:
        """Append the rows of each segment."""
        import pyarrow

        for segment in segments:
            if not segment.event_ids:
                continue
            columns = [
                segment.event_ids,
                segment.account_ids,
                segment.time_ms,
                segment.kind,
                segment.amount_base_minor,
                *segment.features.T,
            ]
            schema = self._file.schema
            arrays = [pyarrow.array(column, each.type) for column, each in zip(columns, schema, strict=True)]
            self._file.write(pyarrow.Table.from_arrays(arrays, schema=schema))

    def sync(self) -> int:
        """See `Sink`."""
        return self._file.sync()

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


def _not_written(path: Path, error: OSError) -> AssayError:
    reason = error.strerror or str(error).splitlines()[0]
    return AssayError(f"{path}: expected a file that can be written ({reason}); put that right and run again")


def _feature_schema(feature_set: FeatureSet) -> Any:
    import pyarrow as pa

    address = [
        ("event_id", pa.string()),
        ("account_id", pa.string()),
        ("time_ms", pa.int64()),
        ("kind", pa.uint8()),
        ("amount_base_minor", pa.int64()),
    ]
    features = [(name, pa.float32()) for name in feature_set.names]
    return pa.schema(address + features, metadata={"assay-feature-set": feature_set.hash})


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
