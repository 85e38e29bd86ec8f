"""From the bytes of a batch to its columns; a record that is not plain, or not an event, takes the long way alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.columns import Events
from features.decode import MAX_AHEAD_MS, MAX_VALUE_BYTES, decode, marked
from features.errors import InvalidRecord
from features.event_rows import event_row
from features.events import Event, Label, Marker, entities_offset_of
from features.identity import hash64
from features.keys import Keys, Texts, key_at
from features.plain import SPAN, Plain, new_plain, new_scratch, read_plain
from features.words import SLACK_BYTES
from streams.log import LogRecord

Trust = Callable[[LogRecord], bool]
"""Whether a record of an internal kind (label, marker) comes from someone who may write it."""

_INTERNAL = (Label, Marker)
_NO_ROW = (InvalidRecord, Marker)
_ANY_TIME = np.iinfo(np.int64).max
_json_text = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Decoded:
    """A batch after decoding; row i of everything is what `records[i]` says.

    Attributes:
        records: as they came.
        has_row: bool[n], False where there are no columns: a marker, or a record that was refused.
        columns: `EVENT`[n]; amounts are in their own currency.
        currency: uint8[n], `features.money.CURRENCY_CODES` of each amount, 0 where there is none.
        judged: uint64[n], for a label the hash of the event that it judges, else 0.
        accounts: the account of each row.
        account_texts: the same as JSON writes it.
        event_texts: `event_id` of each row as JSON writes it.
        others: by row, whatever did not come in its plain form: events, markers, and why a record was refused.
    """

    records: Sequence[LogRecord]
    has_row: NDArray[np.bool_]
    columns: Events
    currency: NDArray[np.uint8]
    judged: NDArray[np.uint64]
    accounts: Keys
    account_texts: Texts
    event_texts: Texts
    others: dict[int, Event | InvalidRecord]

    def keys(self, rows: NDArray[np.intp]) -> Keys:
        """Accounts of some rows."""
        data, start, length, hashes = self.accounts
        return Keys(data, start[rows], length[rows], hashes[rows])

    def account_keys(self, rows: NDArray[np.intp]) -> list[bytes]:
        """Account ids of some rows as UTF-8."""
        data = self.accounts.data.tobytes()
        start, length = self.accounts.start[rows], self.accounts.length[rows]
        return [data[begin:end] for begin, end in zip(start.tolist(), (start + length).tolist(), strict=True)]

    def account_ids(self) -> list[str]:
        """Accounts that folding this batch touches; with repetitions."""
        return [self.account_id(row) for row in np.flatnonzero(self.has_row).tolist()]

    def account_id(self, row: int) -> str:
        """The account of a row."""
        return key_at(self.accounts, row).decode()

    def event_id(self, row: int) -> str:
        """The id of a row's event."""
        event = self.others.get(row)
        if event is None:
            return key_at(self.event_texts, row).decode()
        assert not isinstance(event, _NO_ROW)
        return event.event_id

    def markers(self) -> Iterator[tuple[int, Marker]]:
        """Markers with their rows, in order."""
        return ((row, event) for row, event in self.others.items() if isinstance(event, Marker))

    def refused(self) -> Iterator[tuple[int, InvalidRecord]]:
        """Records that were refused, with the reasons, in order."""
        return ((row, event) for row, event in self.others.items() if isinstance(event, InvalidRecord))

    def model_references(self) -> list[str]:
        """Models that markers in this batch put in force."""
        return [marker.value for _, marker in self.markers() if marker.marker == "model"]

    def entities_offsets(self) -> list[int]:
        """Offsets of the entities topic that markers in this batch make visible."""
        said = [entities_offset_of(marker) for _, marker in self.markers() if marker.marker == "entities"]
        return [offset for offset in said if offset is not None]


def decode_batch(records: Sequence[LogRecord], trusted: Trust) -> Decoded:
    """Decode each record; an internal kind from someone who may not write it is refused."""
    offsets, values, keys, timestamps, _ = zip(*records, strict=True) if records else ((),) * 5
    data, start, length, key_start, key_length = _side_by_side(values, keys)
    plain = new_plain(len(records))
    latest_ms = _latest(timestamps)
    read_plain(data, start, length, key_start, key_length, np.array(offsets, np.int64), latest_ms, new_scratch(), plain)
    judged = np.zeros(len(records), dtype=np.uint64)
    others: dict[int, Event | InvalidRecord] = {}
    tail = _Tail(len(data))
    has_row = plain.is_plain
    for row in np.flatnonzero(~has_row).tolist():
        others[row] = event = decode_record(records[row], trusted)
        if not isinstance(event, _NO_ROW):
            has_row[row] = True
            judged[row] = _fill(plain, row, event, records[row], tail)
    data = tail.behind(data)
    column = {name: np.ascontiguousarray(plain.spans[name]) for name in SPAN.names or ()}
    return Decoded(
        records=records,
        has_row=has_row,
        columns=plain.events,
        currency=column["currency"],
        judged=judged,
        accounts=Keys(data, column["account_start"], column["account_length"], column["account_hash"]),
        account_texts=Texts(data, column["account_text_start"], column["account_text_length"]),
        event_texts=Texts(data, column["event_start"], column["event_length"]),
        others=others,
    )


class _Tail:
    """Texts that the records do not hold as they are needed, to be put behind them."""

    def __init__(self, start: int) -> None:
        self._end = start
        self._parts: list[bytes] = []

    def add(self, text: bytes) -> tuple[int, int]:
        """Where the text will begin, and its length."""
        start = self._end
        self._parts.append(text)
        self._end += len(text)
        return start, len(text)

    def behind(self, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The data with everything that was added; read-only as before, else kernels are compiled once more for it."""
        if not self._parts:
            return data
        return np.frombuffer(b"".join((data.data, *self._parts, bytes(SLACK_BYTES))), dtype=np.uint8)


def _side_by_side(
    values: Sequence[bytes | None], keys: Sequence[bytes | None]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """One buffer of all values and keys; start and length of each. Length -1: no key, or no value worth reading."""
    value_length, value_data = _joined(values)
    key_length, key_data = _joined(keys)
    start, key_start = _starts(value_length), _starts(key_length) + len(value_data)
    value_length[value_length > MAX_VALUE_BYTES] = -1
    data = np.frombuffer(b"".join((value_data, key_data, bytes(SLACK_BYTES))), dtype=np.uint8)
    return data, start, value_length, key_start, key_length


def _joined(texts: Sequence[bytes | None]) -> tuple[NDArray[np.int64], bytes]:
    if None in texts:
        length = [-1 if text is None else len(text) for text in texts]
        return np.array(length, dtype=np.int64), b"".join(text for text in texts if text is not None)
    present = cast(Sequence[bytes], texts)
    return np.fromiter(map(len, present), dtype=np.int64, count=len(present)), b"".join(present)


def _starts(length: NDArray[np.int64]) -> NDArray[np.int64]:
    taken = np.maximum(length, 0)
    return np.cumsum(taken) - taken


def _latest(timestamps_ms: Sequence[int | None]) -> NDArray[np.int64]:
    """The latest time that each event may have."""
    if None in timestamps_ms:
        return np.array([_ANY_TIME if at is None else at + MAX_AHEAD_MS for at in timestamps_ms], dtype=np.int64)
    return np.array(timestamps_ms, dtype=np.int64) + MAX_AHEAD_MS


def decode_record(record: LogRecord, trusted: Trust) -> Event | InvalidRecord:
    """What one record says, or why it was refused; an internal kind needs trust."""
    event = decode(record.value, key=record.key, timestamp_ms=record.timestamp_ms)
    if isinstance(event, _INTERNAL) and not trusted(record):
        expected = "a judged kind; labels and markers need a valid assay-signature header"
        kind = "label" if isinstance(event, Label) else "marker"
        return marked(record.value or b"", InvalidRecord("not_authorized", "$.type", expected, kind))
    return event


def _fill(plain: Plain, row: int, event: Any, record: LogRecord, tail: _Tail) -> int:
    """Fill a row the long way; the hash of the event that a label judges, else 0."""
    columns, currency, judged = event_row(event, record.offset, record.value or b"")
    plain.events[row] = columns[0]
    plain.spans[row] = (
        *tail.add(_json_text(event.event_id)[1:-1]),
        *tail.add(event.account_id.encode()),
        *tail.add(_json_text(event.account_id)[1:-1]),
        hash64(event.account_id),
        currency,
    )
    return judged
