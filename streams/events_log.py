"""What a worker needs of the events log, whatever carries it: Kafka (`streams/kafka_log.py`), or memory in tests.

`tests/streams/log_contract.py` holds both to the same promises.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from streams.history import Bounds
from streams.log import LogRecord


class Member(Protocol):
    """Who reads: told about its partitions, from within `EventsLog.poll`."""

    def take_over(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """Partitions are this member's now; returns the offset from which to read each."""
        ...

    def hand_over(self, partitions: Sequence[int]) -> None:
        """Partitions go to somebody else, who does not have them yet: the last moment to store their state."""
        ...

    def lose(self, partitions: Sequence[int]) -> None:
        """Partitions were taken away and may be somebody else's already: nothing of them may be stored."""
        ...


class EventsLog(Protocol):
    """The partitions of one topic as a member of a consumer group reads them; committed records only."""

    def join(self, member: Member) -> None:
        """Become a member of the group; partitions come during `poll`."""
        ...

    def poll(self, limit: int, wait_s: float) -> dict[int, list[LogRecord]]:
        """Up to `limit` records in all, by partition, of those that are this member's; waits for the first one only.

        Raises:
            AssayError: reading cannot go on, or what `Member` raised.
        """
        ...

    def pause(self, partition: int) -> None:
        """Give nothing of a partition until `seek`; to be called from within `take_over`, of those taken over."""
        ...

    def seek(self, partition: int, offset: int) -> None:
        """Read a partition from `offset` on; ends a pause."""
        ...

    def committed(self, partition: int) -> int | None:
        """Next offset that the group has committed; None if it never has."""
        ...

    def bounds(self, partition: int) -> Bounds:
        """First offset and end of the log."""
        ...

    def end(self, partition: int) -> int:
        """End of the log as last heard, without asking."""
        ...

    def leave(self) -> None:
        """Hand everything over and leave the group."""
        ...
