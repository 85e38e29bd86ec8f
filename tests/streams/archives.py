"""Logs in memory for tests of the archive, and the archive of one."""

from collections.abc import Iterator, Sequence
from itertools import count

from streams.archive import TopicArchiver, archive_until_now
from streams.archive_history import ArchiveHistory
from streams.archive_store import ArchiveStore
from streams.history import Bounds
from streams.log import LogRecord

_numbers = count(1)


def fresh_url() -> str:
    """An archive in memory that nobody else uses."""
    return f"memory://archive-{next(_numbers)}"


class GrowingHistory:
    """A log in memory: one partition's records, of which those below `high` are there.

    Attributes:
        low: first offset that is kept.
        high: end of what is committed.
        batch: how many records are read at a time.
    """

    def __init__(self, records: Sequence[LogRecord], high: int | None = None, low: int = 0, batch: int = 3) -> None:
        self.records = list(records)
        self.low = low
        self.high = high if high is not None else (records[-1].offset + 1 if records else low)
        self.batch = batch

    def partitions(self) -> list[int]:
        return [0]

    def bounds(self, partition: int) -> Bounds:
        return Bounds(self.low, self.high)

    def offset_at(self, partition: int, time_ms: int) -> int:
        found = (r.offset for r in self.records if r.timestamp_ms is not None and r.timestamp_ms >= time_ms)
        return next(found, self.high)

    def read(self, partition: int, start: int, end: int) -> Iterator[Sequence[LogRecord]]:
        wanted = [record for record in self.records if start <= record.offset < min(end, self.high)]
        for at in range(0, len(wanted), self.batch):
            yield wanted[at : at + self.batch]


def archived(
    url: str,
    history: GrowingHistory,
    *,
    topic: str = "fraud.events",
    rows_per_file: int = 4,
    store: ArchiveStore | None = None,
) -> TopicArchiver:
    """Carry over what a log holds now."""
    archiver = TopicArchiver(topic, history, store or ArchiveStore(url), rows_per_file=rows_per_file)
    archive_until_now([archiver])
    return archiver


def everything_in(url: str, topic: str = "fraud.events", partition: int = 0) -> list[LogRecord]:
    """All records of an archived partition."""
    history = ArchiveHistory(url, topic)
    return [record for batch in history.read(partition, *history.bounds(partition)) for record in batch]
