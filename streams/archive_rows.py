"""From records of a log to the bytes of a Parquet file. The same records give the same bytes."""

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from typing import Any

import orjson
import pyarrow as pa
from pyarrow import parquet

from features.card_number import redacted
from features.decode import decode, decode_label
from features.errors import InvalidRecord
from streams.archive_columns import RECORD, TYPED, column_of, schema_of
from streams.log import LogRecord

_PIECE_ROWS = 5_000
"""Rows that are parsed at a time: parsed JSON takes several times the memory of its bytes."""
_ROW_GROUP_ROWS = 50_000
_DECODERS: dict[str, Callable[..., object]] = {"events": decode, "labels": decode_label}
"""Topics that others than the engine write: only there a record can hold a card number."""


def parquet_bytes(topic: str, partition: int, records: Sequence[LogRecord], redaction_key: bytes | None) -> bytes:
    """A Parquet file of `records`.

    A record that the engine refuses and that holds a card number is stored as dead letters are: redacted, with its
    length and keyed hash.

    Args:
        topic: name without the prefix.
        partition: of all the records.
        records: in order.
        redaction_key: secret of the keyed hash; None leaves the hash out.
    """
    schema = schema_of(topic)
    pieces = [
        _rows(topic, partition, _storable(topic, records[start : start + _PIECE_ROWS], redaction_key), schema)
        for start in range(0, len(records), _PIECE_ROWS)
    ]
    # In one chunk, because where chunks begin shows in the pages that Parquet makes of them.
    table = pa.Table.from_batches(pieces, schema).combine_chunks()
    raw = {"key", "value", "headers"}
    searched = [name for name in schema.names if name not in raw]
    file = BytesIO()
    parquet.write_table(
        table,
        file,
        row_group_size=_ROW_GROUP_ROWS,
        compression="zstd",
        compression_level=3,
        use_dictionary=searched,
        write_statistics=searched,  # not of raw bytes: the smallest and largest value would stand there whole
        write_page_checksum=True,
        store_schema=False,  # Parquet's own types say it all
    )
    return file.getvalue()


def _storable(topic: str, records: Sequence[LogRecord], redaction_key: bytes | None) -> Iterator[LogRecord]:
    decoded = _DECODERS.get(topic)
    for record in records:
        if decoded is not None and record.value is not None:
            found = decoded(record.value, key=record.key, timestamp_ms=record.timestamp_ms)
            if isinstance(found, InvalidRecord) and found.has_card_number:
                yield record._replace(value=redacted(record.value, redaction_key))
                continue
        yield record


def _rows(topic: str, partition: int, records: Iterator[LogRecord], schema: Any) -> Any:
    kept = list(records)
    objects = [_object(record.value) for record in kept]
    headers = [[{"key": key, "value": value} for key, value in record.headers] for record in kept]
    columns = {
        "partition": [partition] * len(kept),
        "offset": [record.offset for record in kept],
        "timestamp_ms": [record.timestamp_ms for record in kept],
        "key": [record.key for record in kept],
        "value": [record.value for record in kept],
        "headers": headers,
    }
    arrays = [pa.array(columns[name], kind) for name, kind in RECORD.items()]
    arrays += [column_of(name, kind, objects) for name, kind in TYPED[topic].items()]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _object(value: bytes | None) -> dict[str, Any]:
    """The JSON object of a value, an empty one if it is none."""
    try:
        parsed = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
