"""A timeline as files: `events`, `labels` and `truth`, as JSON lines or Parquet. A file appears when it is complete."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import orjson

from features.errors import AssayError
from streams.simulator.behaviour import MEASURES
from streams.simulator.known import label_records, truth_records
from streams.simulator.records import CHUNK, Record, event_records
from streams.simulator.timeline import Timeline

Format = Literal["jsonl", "parquet"]

_ROW_GROUP = 65_536

_LABEL_COLUMNS = ("event_id", "type", "account_id", "judged_event_id", "label", "fraud_type", "source")
_TRUTH_COLUMNS = ("event_id", "account_id", "attack", "attack_id", "fraud_type")
_EVENT_COLUMNS = (
    "event_id", "type", "account_id", "currency", "method", "field", "merchant_id", "mcc", "country", "channel",
    "device_id", "ip", "card_id", "bin", "beneficiary_id", "email", "phone", "address", "national_id", "name",
    "date_of_birth", "authorization",
)  # fmt: skip


def write(
    timeline: Timeline, directory: Path, file_format: Format, advance: Callable[[int], None] = lambda _written: None
) -> dict[str, Path]:
    """Write the three files into `directory`, which is made if it is missing; older ones are replaced.

    Args:
        timeline: what to write.
        directory: where.
        file_format: ``jsonl`` (one JSON object per line) or ``parquet`` (absent fields are null).
        advance: is told how many records were just written.

    Returns:
        Path of each file by its name, ``events``, ``labels`` and ``truth``.

    Raises:
        AssayError: the directory or a file cannot be written.
    """
    contents = {
        "events": event_records(timeline),
        "labels": label_records(timeline),
        "truth": truth_records(timeline),
    }
    paths = {name: directory / f"{name}.{file_format}" for name in contents}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, path in paths.items():
            with _complete(path) as partial:
                if file_format == "jsonl":
                    _write_lines(contents[name], partial, advance)
                else:
                    _write_table(contents[name], name, partial, advance)
    except OSError as error:
        raise AssayError(
            f"{error.filename or directory}: {error.strerror}; choose a directory with enough room (--out)"
        ) from None
    return paths


@contextmanager
def _complete(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; what is there becomes `path` at the end, and goes away after a fault."""
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _chunks(records: Iterable[Record], size: int, advance: Callable[[int], None]) -> Iterator[list[Record]]:
    source = iter(records)
    while chunk := list(islice(source, size)):
        yield chunk
        advance(len(chunk))


def _write_lines(records: Iterable[Record], path: Path, advance: Callable[[int], None]) -> None:
    encode = orjson.dumps
    with path.open("wb") as file:
        for chunk in _chunks(records, CHUNK, advance):
            file.write(b"".join([encode(record, None, orjson.OPT_APPEND_NEWLINE) for record in chunk]))


def _write_table(records: Iterable[Record], name: str, path: Path, advance: Callable[[int], None]) -> None:
    import pyarrow
    from pyarrow import parquet

    schema = _schema(name)
    with parquet.ParquetWriter(path, schema, compression="zstd") as file:
        for chunk in _chunks(records, _ROW_GROUP, advance):
            file.write_batch(pyarrow.RecordBatch.from_pylist(chunk, schema=schema))


def _schema(name: str) -> Any:
    """Column types of a file; the columns of the contract in a fixed order."""
    import pyarrow

    def texts(names: Iterable[str]) -> list[Any]:
        return [pyarrow.field(column, pyarrow.string()) for column in names]

    def wholes(*names: str) -> list[Any]:
        return [pyarrow.field(column, pyarrow.int64()) for column in names]

    if name == "labels":
        return pyarrow.schema(texts(_LABEL_COLUMNS) + wholes("time_ms", "known_at_ms"))
    if name == "truth":
        return pyarrow.schema(texts(_TRUTH_COLUMNS))
    measures = [
        pyarrow.field(measure.name, pyarrow.int64() if measure.digits < 0 else pyarrow.float64())
        for measure in MEASURES
    ]
    return pyarrow.schema(
        [
            *texts(_EVENT_COLUMNS),
            *wholes("time_ms", "amount_minor", "requested_minor"),
            pyarrow.field("success", pyarrow.bool_()),
            pyarrow.field("lat", pyarrow.float64()),
            pyarrow.field("lon", pyarrow.float64()),
            pyarrow.field("session", pyarrow.struct(measures)),
        ]
    )
