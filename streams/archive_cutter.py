"""Where one file of an archive ends and the next begins. Pure: what was read goes in, pieces come out."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from streams.archive_layout import hour_of
from streams.log import LogRecord

MOST_BYTES = 64 << 20
"""Largest keys, values and headers of one piece, so that memory is bounded whatever the records are."""


class Piece(NamedTuple):
    """What becomes one file.

    Attributes:
        first: first offset that it covers.
        last: last offset that it covers.
        hour: hours since 1970; see `streams/archive_layout.py`.
        records: at least one.
    """

    first: int
    last: int
    hour: int
    records: list[LogRecord]


class Cutter:
    """Cuts one partition: a piece ends when the hour moves on, or before the record that would make it too large.

    How the records were batched when they were read never shows.

    Args:
        start: first offset that is to be covered.
        hour: that of the partition's last file; 0 if it has none.
        most_rows: of one piece.
        most_bytes: of one piece; a single record may be larger.
    """

    def __init__(self, start: int, hour: int, most_rows: int, most_bytes: int = MOST_BYTES) -> None:
        self._first = start
        self._hour = hour
        self._most_rows = most_rows
        self._most_bytes = most_bytes
        self._records: list[LogRecord] = []
        self._bytes = 0

    def add(self, records: Sequence[LogRecord]) -> Iterator[Piece]:
        """Take the next records; gives the pieces that are complete without the last of them."""
        for record in records:
            hour = hour_of(record.timestamp_ms, at_least=self._hour)
            size = _bytes_of(record)
            is_full = len(self._records) >= self._most_rows or self._bytes + size > self._most_bytes
            if self._records and (hour > self._hour or is_full):
                yield self._cut(record.offset - 1)
            self._hour = hour
            self._records.append(record)
            self._bytes += size

    def finish(self) -> Piece | None:
        """The last piece; None if it would hold no record.

        It covers nothing beyond its last record: offsets after that look empty, but a reader that was told too early
        that the log ends would look the same.
        """
        return self._cut(self._records[-1].offset) if self._records else None

    def _cut(self, last: int) -> Piece:
        piece = Piece(self._first, last, self._hour, self._records)
        self._first, self._records, self._bytes = last + 1, [], 0
        return piece


def _bytes_of(record: LogRecord) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.value or b"") + len(record.key or b"") + headers
