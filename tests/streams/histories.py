"""Logs in memory as a `History`, and time machines over them, for tests of whatever looks back."""

from collections.abc import Iterator, Mapping, Sequence

from features.errors import AssayError
from streams.history import Bounds
from streams.log import LogRecord
from streams.signature import everybody
from streams.time_machine import Snapshots, TimeMachine
from tests.streams.small_model import small_model
from tests.streams.test_engine import open_small


class ListHistory:
    """A `History` out of lists of records by partition; offsets may have gaps and may begin late."""

    def __init__(self, logs: Mapping[int, Sequence[LogRecord]], batch: int = 700) -> None:
        self.logs = logs
        self.batch = batch

    def partitions(self) -> list[int]:
        return sorted(self.logs)

    def bounds(self, partition: int) -> Bounds:
        log = self.logs[partition]
        return Bounds(log[0].offset, log[-1].offset + 1) if log else Bounds(0, 0)

    def offset_at(self, partition: int, time_ms: int) -> int:
        for record in self.logs[partition]:
            if record.timestamp_ms is not None and record.timestamp_ms >= time_ms:
                return record.offset
        return self.bounds(partition).high

    def read(self, partition: int, start: int, end: int) -> Iterator[Sequence[LogRecord]]:
        if start < self.bounds(partition).low:
            raise AssayError(f"partition {partition}: the log begins later than {start}")
        found = [record for record in self.logs[partition] if start <= record.offset < end]
        for first in range(0, len(found), self.batch):
            yield found[first : first + self.batch]


def machine_over(logs: Mapping[int, Sequence[LogRecord]], snapshots: Snapshots | None = None) -> TimeMachine:
    """A time machine over logs in memory, with the small models."""
    return TimeMachine(ListHistory(logs), snapshots, small_model(), open_small, everybody)
