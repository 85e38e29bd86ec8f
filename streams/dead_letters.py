"""Dead letters: records that were set aside, with the address and the reason in their headers. Pure.

A dead-letter topic holds two things: letters, and marks that say which letters were sent back (`streams/redrive.py`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from features.records import DEAD_LETTER_HEADERS
from streams.log import LogRecord

REDRIVE_COUNT_HEADER: Final = "assay-redrive-count"
"""How often a record was sent back."""
REDRIVE_ID_HEADER: Final = "assay-redrive-id"
"""Where it was refused first, ``topic[partition]@offset``: one name for a record over all its ways."""

_NAMES: Final = DEAD_LETTER_HEADERS
_COUNT: Final = re.compile(rb"[0-9]{1,6}")
_PLACE_NUMBER: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_REDACTED: Final = re.compile(rb"\[redacted [0-9]+ bytes(?:, hmac-sha256 [0-9a-f]{64})?\]")


class Address(NamedTuple):
    """Where a record was when it was refused."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter.

    Attributes:
        partition: of the dead-letter topic.
        record: as it stands there: the key and value of the refused record, its headers and ours.
        source: where the refused record was.
        code: error code.
        path: JSON path of the fault.
        expected: what the contract asks for.
        got: what came; never a value that may be personal.
        redrives: how often the record had been sent back before this refusal.
    """

    partition: int
    record: LogRecord
    source: Address
    code: str
    path: str
    expected: str
    got: str
    redrives: int

    @property
    def place(self) -> str:
        """Its place in the dead-letter topic, as commands take it: ``partition:offset``."""
        return f"{self.partition}:{self.record.offset}"

    @property
    def is_redacted(self) -> bool:
        """Only its length and a keyed hash are there, because it held a card number."""
        return is_redacted(self.record.value)


class Redriven(msgspec.Struct, frozen=True):
    """A mark: these records were sent back. It stands in the dead-letter partition of their letters, behind them.

    Attributes:
        topic: where the records were when they were refused.
        partition: likewise.
        redriven: their offsets there.
    """

    topic: str
    partition: int
    redriven: list[int]

    def addresses(self) -> Iterator[Address]:
        """Addresses of the records."""
        return (Address(self.topic, self.partition, offset) for offset in self.redriven)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters somebody asks for; None and nothing are "any".

    Attributes:
        codes: error codes.
        account: the record's key.
        from_ms: set aside at this moment or later.
        to_ms: set aside before this moment.
        source_partition: where the refused record was.
        first_offset: of the refused record, or later.
        last_offset: of the refused record, or earlier.
    """

    codes: frozenset[str] = frozenset()
    account: bytes | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    source_partition: int | None = None
    first_offset: int | None = None
    last_offset: int | None = None

    def matches(self, letter: Letter) -> bool:
        """Whether it is one of them."""
        taken_ms = letter.record.timestamp_ms or 0
        return (
            (not self.codes or letter.code in self.codes)
            and (self.account is None or letter.record.key == self.account)
            and (self.from_ms is None or taken_ms >= self.from_ms)
            and (self.to_ms is None or taken_ms < self.to_ms)
            and (self.source_partition is None or letter.source.partition == self.source_partition)
            and (self.first_offset is None or letter.source.offset >= self.first_offset)
            and (self.last_offset is None or letter.source.offset <= self.last_offset)
        )


def item_of(partition: int, record: LogRecord) -> Letter | Redriven | None:
    """What a record of a dead-letter topic is; None if it is neither a letter nor a mark.

    >>> mark = Redriven("fraud.events", 0, [17])
    >>> item_of(0, LogRecord(18, msgspec.json.encode(mark))) == mark
    True
    """
    headers = dict(record.headers)  # of a name that occurs twice, the newest
    if _NAMES["topic"] not in headers:
        return _mark(record.value)
    said = {name: _text(headers.get(header)) for name, header in _NAMES.items()}
    if not (_PLACE_NUMBER.fullmatch(said["partition"]) and _PLACE_NUMBER.fullmatch(said["offset"])):
        return None
    return Letter(
        partition=partition,
        record=record,
        source=Address(said["topic"], int(said["partition"]), int(said["offset"])),
        code=said["code"],
        path=said["path"],
        expected=said["expected"],
        got=said["got"],
        redrives=redrives_of(headers.get(REDRIVE_COUNT_HEADER)),
    )


def redrives_of(header: bytes | None) -> int:
    """What the header says; 0 for none and for rubbish, since anybody who writes records can set headers.

    >>> redrives_of(b"2"), redrives_of(None), redrives_of(b"-1")
    (2, 0, 0)
    """
    return int(header) if header is not None and _COUNT.fullmatch(header) else 0


def is_redacted(value: bytes | None) -> bool:
    """Whether a value is what `features.records.redacted` leaves of one.

    >>> is_redacted(b"[redacted 351 bytes]")
    True
    """
    return value is not None and _REDACTED.fullmatch(value) is not None


def _mark(value: bytes | None) -> Redriven | None:
    try:
        return msgspec.json.decode(value or b"", type=Redriven)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _text(header: bytes | None) -> str:
    return (header or b"").decode("utf-8", "backslashreplace")
