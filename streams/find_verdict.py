"""Where published verdicts stand: all of a part of the topic, those of a file, or the one of a place of the log.

A verdict stands in the partition of its event. Nothing is indexed: a search reads the topic (or a file) once, from one
end to the other. Only the verdict of a place is found sooner, because those of a partition stand in the order of its
events.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from features.errors import AssayError
from features.records import Coordinates
from streams.claims import NOT_JSON, Published
from streams.history import Bounds
from streams.log import LogRecord
from streams.log_range import Offset
from streams.log_range import Place as Limit
from streams.topic_reader import TopicReader

Progress = Callable[[int, int, int | None], None]
"""Called with records read, part done and the whole, the last two in offsets."""

FEW_RECORDS = 5_000
"""A stretch that is read at once instead of being halved further."""


class _WithPlace(msgspec.Struct):
    at: Coordinates


_place_of = msgspec.json.Decoder(_WithPlace).decode


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
    except NOT_JSON:
        return None


def _published(partition: int, record: LogRecord) -> Published:
    return Published(partition, record.offset, record.key, record.value or b"")
