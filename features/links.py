"""What a partition of the events log tells about entities: links, volumes and fraud marks, one flush after another.

A flush is what a stretch of a partition's log says, always the same however the log was cut into batches, and numbered:
whoever has taken one may be given it again. The flushes that a batch closes are one record of the links topic.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import orjson
from msgspec import Struct
from numpy.typing import NDArray

from features.links_record import FlushesRecord

SMALL_MINOR: Final = 200
"""A payment below this, in minor units of the base currency, is a small one: what stolen cards are tried with."""

LINK = np.dtype(
    [
        ("flush", np.int64),
        ("account", np.uint64),  # hash of the account's id
        ("entity", np.uint64),
        ("time_ms", np.int64),  # newest event of this pair
        ("amount_minor", np.int64),  # sum of its payments, base currency
        ("payments", np.int32),
        ("declined", np.int32),  # of these, declined by the issuer
        ("small", np.int32),  # of these, below SMALL_MINOR
        ("network", np.uint32),  # of an address, 0 if it has none
        ("kind", np.uint8),  # index into `features.entities.ENTITY_KINDS`
    ]
)
"""An account and an entity that its past did not hold, with what happened between the two; one row a pair and flush."""

VOLUME = np.dtype(
    [
        ("flush", np.int64),
        ("entity", np.uint64),
        ("parent", np.uint64),  # of a merchant its category, else 0
        ("payments", np.int32),
        ("day", np.int32),  # of the payments' own time: days since 1970-01-01 UTC
        ("kind", np.uint8),
    ]
)
"""How many payments of an entity; one row for each entity, parent and day of a flush."""

MARK = np.dtype(
    [
        ("flush", np.int64),
        ("account", np.uint64),
        ("event", np.uint64),  # hash of the id of the judged event
        ("label", np.uint64),  # hash of the id of the label
        ("known_at_ms", np.int64),
        ("event_time_ms", np.int64),
        ("device", np.uint64),  # entities of the judged event, 0 for none
        ("ip", np.uint64),
        ("merchant", np.uint64),
        ("beneficiary", np.uint64),
        ("bin", np.uint64),
        ("network", np.uint64),
        ("email_domain", np.uint64),
        ("category", np.uint64),
        ("fraud", np.bool_),
    ]
)
"""A label, with the entities of the event that it judges; in the order of the log."""

FLUSH = np.dtype(
    [
        ("flush", np.int64),  # its number, counted by one from 0 within the partition
        ("end", np.int64),  # offset of the record that closed it; what it says comes from records before
        ("time_ms", np.int64),  # newest time of an event before that record
    ]
)
"""What one stretch of a partition's log says, whatever batches it came in: the rows of the tables that name it."""


class Flushes(NamedTuple):
    """Some flushes of one partition, one after another; every table is sorted by `flush`.

    Attributes:
        flushes: `FLUSH`.
        links: `LINK`.
        volumes: `VOLUME`.
        marks: `MARK`.
    """

    flushes: NDArray[Any]
    links: NDArray[Any]
    volumes: NDArray[Any]
    marks: NDArray[Any]


_DTYPES: Final = (FLUSH, LINK, VOLUME, MARK)
NO_FLUSHES: Final = Flushes(*(np.zeros(0, dtype=dtype) for dtype in _DTYPES))


def joined(parts: Sequence[Flushes]) -> Flushes:
    """Flushes of one partition that follow each other, as one."""
    return parts[0] if len(parts) == 1 else Flushes(*(np.concatenate(tables) for tables in zip(*parts, strict=True)))


def flushes_json(partition: int, flushes: Flushes) -> bytes:
    """Flushes as one record: each table as columns, in the order of its dtype; empty tables are left out.

    >>> one = Flushes(np.array([(7, 120, 5)], FLUSH), np.zeros(0, LINK), np.zeros(0, VOLUME), np.zeros(0, MARK))
    >>> flushes_json(3, one)
    b'{"partition":3,"flushes":{"flush":[7],"end":[120],"time_ms":[5]},"schema":1}'
    >>> flushes_of(flushes_json(3, one))[1].flushes.tolist()
    [(7, 120, 5)]
    """
    tables = {name: _columns(table) for name, table in flushes._asdict().items() if len(table)}
    return orjson.dumps({"partition": partition, **tables, "schema": 1}, option=orjson.OPT_SERIALIZE_NUMPY)


_decode = msgspec.json.Decoder(FlushesRecord).decode


def flushes_of(value: bytes) -> tuple[int, Flushes]:
    """The partition and the flushes that a record says.

    Raises:
        msgspec.DecodeError: it is no such record, or one of another version.
        ValueError: columns of a table are of different lengths.
    """
    record = _decode(value)
    tables = (record.flushes, record.links, record.volumes, record.marks)
    return record.partition, Flushes(*(_table(table, dtype) for table, dtype in zip(tables, _DTYPES, strict=True)))


def _columns(table: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {name: np.ascontiguousarray(table[name]) for name in table.dtype.names or ()}


def _table(columns: Struct | None, dtype: np.dtype[Any]) -> NDArray[Any]:
    if columns is None:
        return np.zeros(0, dtype=dtype)
    values = msgspec.structs.asdict(columns)
    lengths = {len(column) for column in values.values()}
    if len(lengths) != 1:
        raise ValueError(f"expected the columns {', '.join(values)} of one length")
    table = np.zeros(lengths.pop(), dtype=dtype)
    for name, column in values.items():
        table[name] = column
    return table
