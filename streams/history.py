"""The events log as it was, read by place: by whoever replays, verifies or explains, never as a member of a group."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from streams.log import LogRecord


class Bounds(NamedTuple):
    """What there is of one partition.

    Attributes:
        low: first offset that is still kept.
        high: offset after the last record that a reader of committed records may see.
    """

    low: int
    high: int


class History(Protocol):
    """Records of one log by partition and offset; a topic (`streams/topic_reader.py`) or an archive of it."""

    def partitions(self) -> list[int]:
        """Numbers of the partitions, rising."""
        ...

    def bounds(self, partition: int) -> Bounds:
        """What is there now."""
        ...

    def offset_at(self, partition: int, time_ms: int) -> int:
        """Offset of the first record that the log took at `time_ms` or later; `bounds().high` if there is none."""
        ...

    def read(self, partition: int, start: int, end: int) -> Iterator[Sequence[LogRecord]]:
        """Records with ``start <= offset < end`` in their order, some at a time.

        Raises:
            AssayError: records from `start` on are not kept any more, or reading failed.
        """
        ...
