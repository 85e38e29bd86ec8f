"""Finds published verdicts: those of given events, an even sample, or the one of a place of the log.

A verdict stands in the partition of its event. Nothing is indexed: a search reads the topic (or a file) once, from one
end to the other. Only the verdict of a place is found sooner, because those of a partition stand in the order of its
events.
"""

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from features.errors import AssayError
from features.identity import EventName
from features.records import Coordinates
from streams.history import Bounds
from streams.log import LogRecord
from streams.log_range import Offset
from streams.log_range import Place as Limit
from streams.topic_reader import TopicReader

Progress = Callable[[int, int, int | None], None]
"""Called with records read, part done and the whole, the last two in offsets."""

FEW_RECORDS = 5_000
"""A stretch that is read at once instead of being halved further."""


class Published(NamedTuple):
    """A verdict as it stands in a topic or in a file.

    Attributes:
        partition: of the topic; None in a file.
        offset: place in the topic; number of the line in a file, from 0.
        key: the record's key; None in a file.
        value: its bytes.
    """

    partition: int | None
    offset: int
    key: bytes | None
    value: bytes


class Claim(NamedTuple):
    """Everything that was published as the verdict of one event, in the order in which it was found.

    Attributes:
        event: whose verdict it is said to be; without an account if the verdict names none, or nothing was found.
        copies: what was published.
    """

    event: EventName
    copies: list[Published]


class Chosen(Protocol):
    """Which verdicts to keep while all pass by; each copy of a kept one is kept too."""

    def add(self, event: EventName, published: Published) -> None:
        """A verdict passes."""
        ...

    def claims(self) -> list[Claim]:
        """Those that were kept."""
        ...


class Named:
    """The verdicts of events whose ids are given, of every account that has the id; one without any has no copies."""

    def __init__(self, event_ids: Iterable[str]) -> None:
        self._copies: dict[str, dict[EventName, list[Published]]] = {event_id: {} for event_id in event_ids}

    def add(self, event: EventName, published: Published) -> None:
        """See `Chosen`."""
        if event.event_id in self._copies:
            self._copies[event.event_id].setdefault(event, []).append(published)

    def claims(self) -> list[Claim]:
        """See `Chosen`; in the order in which they were asked for."""
        return [
            Claim(event, copies)
            for event_id, found in self._copies.items()
            for event, copies in (found or {EventName(event_id, ""): []}).items()
        ]


class Everything:
    """Every verdict."""

    def __init__(self) -> None:
        self._copies: dict[EventName, list[Published]] = {}

    def add(self, event: EventName, published: Published) -> None:
        """See `Chosen`."""
        self._copies.setdefault(event, []).append(published)

    def claims(self) -> list[Claim]:
        """See `Chosen`."""
        return [Claim(event, copies) for event, copies in self._copies.items()]


class Sample:
    """An even sample of events: those whose keyed hash is smallest.

    Each event is as likely as any other, wherever it stands, however often its verdict was published and however many
    accounts have its id, and every copy of a chosen one is seen. The same seed over the same verdicts chooses the same
    events.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._key = seed.to_bytes(8, "big", signed=True)
        self._copies: dict[EventName, list[Published]] = {}
        self._ranks: list[tuple[int, EventName]] = []  # a heap, the largest rank first

    def add(self, event: EventName, published: Published) -> None:
        """See `Chosen`."""
        if event in self._copies:
            self._copies[event].append(published)
            return
        name = msgspec.json.encode(event)  # a list of two, so no two names have the same bytes
        digest = hashlib.blake2b(name, digest_size=8, key=self._key).digest()
        rank = (-int.from_bytes(digest, "big"), event)
        if len(self._ranks) < self._size:
            heapq.heappush(self._ranks, rank)
        elif rank > self._ranks[0]:
            _, dropped = heapq.heapreplace(self._ranks, rank)
            del self._copies[dropped]
        else:
            return
        self._copies[event] = [published]

    def claims(self) -> list[Claim]:
        """See `Chosen`; by partition and offset."""
        claims = [Claim(event, copies) for event, copies in self._copies.items()]
        return sorted(claims, key=lambda claim: (claim.copies[0].partition or 0, claim.copies[0].offset))


class Scan(NamedTuple):
    """What passed during a search.

    Attributes:
        verdicts: how many.
        unreadable: records that are no verdict at all.
    """

    verdicts: int
    unreadable: list[Published]


class _Named(msgspec.Struct):
    event_id: str
    account_id: str = ""


class _WithPlace(msgspec.Struct):
    at: Coordinates


_named = msgspec.json.Decoder(_Named).decode
_place_of = msgspec.json.Decoder(_WithPlace).decode
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def choose(published: Iterable[Published], chosen: Chosen) -> Scan:
    """Let verdicts pass by, and keep those that `chosen` wants."""
    verdicts = 0
    unreadable = []
    for record in published:
        try:
            named = _named(record.value)
        except _NOT_JSON:
            unreadable.append(record)
            continue
        verdicts += 1
        chosen.add(EventName(named.event_id, named.account_id), record)
    return Scan(verdicts, unreadable)


def in_topic(
    reader: TopicReader, topic: str, ranges: Mapping[int, Bounds], progress: Progress = lambda *_: None
) -> Iterator[Published]:
    """Committed records of `topic` within `ranges`, by partition.

    Raises:
        AssayError: see `TopicReader.read`.
    """
    records_read = done = 0
    total = sum(high - low for low, high in ranges.values())
    for partition, (low, high) in sorted(ranges.items()):
        for records in reader.read(topic, partition, low, high):
            yield from (_published(partition, record) for record in records)
            records_read += len(records)
            progress(records_read, done + records[-1].offset - low, total)
        done += high - low


def ranges(
    reader: TopicReader, topic: str, partitions: Sequence[int], start: Limit | None, end: Limit | None
) -> dict[int, Bounds]:
    """Which part of `topic` holds the verdicts from `start` to before `end`; None is as far as it goes.

    A time is when the verdict was published, an offset that of the event in its partition of the log.

    Raises:
        AssayError: the broker does not tell.
    """

    def position(partition: int, limit: Limit) -> int:
        if isinstance(limit, Offset):
            return position_of(reader, topic, partition, limit.offset)
        return reader.offset_at(topic, partition, limit.time_ms)

    result = {}
    for partition in partitions:
        low, high = reader.bounds(topic, partition)
        first = low if start is None else max(low, position(partition, start))
        last = high if end is None else min(high, position(partition, end))
        result[partition] = Bounds(first, max(first, last))
    return result


def in_file(path: Path) -> list[Published]:
    """Verdicts of a file of JSON lines; empty lines are passed over.

    Raises:
        AssayError: the file cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise AssayError(f"verdicts: expected a readable file of JSON lines, got {path} ({error.strerror})") from None
    return [Published(None, number, None, line) for number, line in enumerate(lines) if line.strip()]


def position_of(reader: TopicReader, topic: str, partition: int, offset: int) -> int:
    """Where in the topic the first verdict stands whose event is at `offset` of the log or later; the end if none does.

    A binary search: the verdicts of a partition stand in the order of its events. After a crash a worker may go back
    and repeat some, but it never leaves one out, so a verdict that was published is found all the same.

    Raises:
        AssayError: see `TopicReader.read`.
    """
    low, end = reader.bounds(topic, partition)
    high = end
    while high - low > FEW_RECORDS:
        middle = (low + high) // 2
        found = _first_from(reader, topic, partition, middle, high, at_least=0)
        if found is None or found.place >= offset:
            high = middle + 1  # what stands at `middle` may be the one
        else:
            low = middle + 1
    first = _first_from(reader, topic, partition, low, end, at_least=offset)
    return end if first is None else first.position


def published_at(reader: TopicReader, topic: str, partition: int, offset: int) -> Published | None:
    """The verdict of the event at `offset` of this partition of the log; None if none was published.

    Raises:
        AssayError: see `TopicReader.read`.
    """
    start = position_of(reader, topic, partition, offset)
    for records in reader.read(topic, partition, start, start + 1):
        if _place(records[0]) == offset:
            return _published(partition, records[0])
    return None


class _Standing(NamedTuple):
    position: int
    place: int


def _first_from(
    reader: TopicReader, topic: str, partition: int, start: int, end: int, *, at_least: int
) -> _Standing | None:
    """The first verdict between two positions of the topic whose event is at `at_least` of the log or later."""
    for records in reader.read(topic, partition, start, end):
        for record in records:
            place = _place(record)
            if place is not None and place >= at_least:
                return _Standing(record.offset, place)
    return None


def _place(record: LogRecord) -> int | None:
    try:
        return _place_of(record.value or b"").at.offset
    except _NOT_JSON:
        return None


def _published(partition: int, record: LogRecord) -> Published:
    return Published(partition, record.offset, record.key, record.value or b"")
