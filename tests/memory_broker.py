"""A Kafka broker in memory, true to what the engine rests on: logs with gaps, transactions, fencing, time-outs.

Nothing runs by itself: no thread, no real clock. Whoever owns the broker moves `now_s` and calls `expire`. Groups are
in `tests/memory_group.py`, the clients of a worker in `tests/memory_log.py`; `tests/streams/test_log_contract.py` holds
all of it to what a real broker does.
"""

import itertools
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from streams.log import Headers, LogRecord
from streams.publisher import Message
from tests.memory_group import Group, Identity

Place = tuple[str, int]
"""Topic and partition."""


class FencedError(Exception):
    """The producer's epoch is not the newest: another one with its transactional id has begun, or it was given up."""


class UnstableError(Exception):
    """An open transaction will decide on this committed offset."""


@dataclass(slots=True, eq=False)
class Transaction:
    """What one producer wrote between begin and end.

    Attributes:
        began_s: when its first request came.
        status: readers of committed records wait for the end of an open one, and never see an aborted one.
        places: partitions that get a control record at its end.
        offsets: consumed offsets that become true with it.
    """

    began_s: float
    status: Literal["open", "committed", "aborted"] = "open"
    places: dict[Place, None] = field(default_factory=dict)
    offsets: list[tuple[Group, Mapping[int, int]]] = field(default_factory=list)


@dataclass(slots=True)
class _Entry:
    """What stands at one offset; a control record has no record."""

    record: LogRecord | None
    transaction: Transaction | None


@dataclass(slots=True)
class _Log:
    """One partition; `entries[i]` stands at offset i, nothing is ever deleted.

    `open_from` is where each open transaction begins, by its identity.
    """

    entries: list[_Entry] = field(default_factory=list)
    open_from: dict[int, int] = field(default_factory=dict)

    @property
    def stable(self) -> int:
        """Last stable offset: where the first open transaction begins, else the end."""
        return min(self.open_from.values(), default=len(self.entries))


@dataclass(slots=True)
class _Producer:
    """What the broker knows of one transactional id."""

    timeout_s: float
    epoch: int = 0
    transaction: Transaction | None = None


class MemoryBroker:
    """Topics, transactions and groups.

    Attributes:
        now_s: the time; also the timestamp of what is written, in ms.
        groups: by name.
    """

    def __init__(self, now_s: float = 1_750_000_000.0) -> None:
        self.now_s = now_s
        self.groups: dict[str, Group] = {}
        self._logs: dict[Place, _Log] = {}
        self._producers: dict[str, _Producer] = {}

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic."""
        for number in range(partitions):
            self._logs[topic, number] = _Log()

    def partitions(self, topic: str) -> list[int]:
        """Numbers of the partitions of a topic."""
        return [number for name, number in self._logs if name == topic]

    def group(self, name: str, topic: str, session_s: float) -> Group:
        """The consumer group of that name on one topic; made on first use."""
        if name not in self.groups:
            self.groups[name] = Group(self.partitions(topic), session_s)
        return self.groups[name]

    # Writing and reading

    def append(self, message: Message, transaction: Transaction | None = None, timestamp_ms: int | None = None) -> int:
        """Write a record at the end of its partition; its offset."""
        place = message.topic, message.partition
        log = self._logs[place]
        offset = len(log.entries)
        stamp = int(self.now_s * 1000) if timestamp_ms is None else timestamp_ms
        record = LogRecord(offset, message.value, message.key, stamp, _kept(message.headers))
        log.entries.append(_Entry(record, transaction))
        if transaction is not None:
            log.open_from.setdefault(id(transaction), offset)
            transaction.places[place] = None
        return offset

    def read(self, topic: str, partition: int, start: int = 0, limit: int = sys.maxsize) -> list[LogRecord]:
        """Up to `limit` committed records from `start` on."""
        log = self._logs[topic, partition]
        records: list[LogRecord] = []
        for entry in itertools.islice(log.entries, start, log.stable):
            if len(records) == limit:
                break
            if entry.record is not None and (entry.transaction is None or entry.transaction.status == "committed"):
                records.append(entry.record)
        return records

    def stable_end(self, topic: str, partition: int) -> int:
        """Last stable offset."""
        return self._logs[topic, partition].stable

    # Transactions

    def init_transactions(self, transactional_id: str, timeout_s: float) -> int:
        """Begin anew with a transactional id: fences older producers, aborts what they left open; the new epoch."""
        producer = self._producers.setdefault(transactional_id, _Producer(timeout_s))
        self._end(producer, commit=False)
        producer.timeout_s = timeout_s
        producer.epoch += 1
        return producer.epoch

    def produce(self, transactional_id: str, epoch: int, message: Message, timestamp_ms: int | None = None) -> None:
        """Write a record as part of the producer's transaction, which begins if none is open.

        Raises:
            FencedError: see there.
        """
        self.append(message, self._transaction(transactional_id, epoch), timestamp_ms)

    def send_offsets(
        self, transactional_id: str, epoch: int, group: Group, identity: Identity, offsets: Mapping[int, int]
    ) -> None:
        """Let offsets become committed with the producer's transaction.

        Raises:
            FencedError: see there.
            StaleMemberError: the group does not know this member, or not with this generation.
        """
        self._checked(transactional_id, epoch)
        group.check(identity)
        self._transaction(transactional_id, epoch).offsets.append((group, dict(offsets)))

    def end_transaction(self, transactional_id: str, epoch: int, *, commit: bool) -> None:
        """Commit or abort what the producer has open **now**: a request that comes late ends a later transaction.

        Raises:
            FencedError: see there.
        """
        self._end(self._checked(transactional_id, epoch), commit=commit)

    def committed(self, group: Group, partition: int) -> int | None:
        """Offset that the group has committed, None if it never has.

        Raises:
            UnstableError: an open transaction holds another one: its end has to be waited for.
        """
        for producer in self._producers.values():
            if producer.transaction is not None:
                for owner, offsets in producer.transaction.offsets:
                    if owner is group and partition in offsets:
                        raise UnstableError
        return group.committed.get(partition)

    @property
    def has_open_transactions(self) -> bool:
        """Whether readers of some partition may have to wait."""
        return any(producer.transaction is not None for producer in self._producers.values())

    def expire(self) -> None:
        """What happens by itself once time has passed: members that were not heard of go, old transactions abort."""
        for group in self.groups.values():
            group.expire(self.now_s)
        for producer in self._producers.values():
            transaction = producer.transaction
            if transaction is not None and self.now_s - transaction.began_s > producer.timeout_s:
                self._end(producer, commit=False)
                producer.epoch += 1

    def _checked(self, transactional_id: str, epoch: int) -> _Producer:
        producer = self._producers[transactional_id]
        if producer.epoch != epoch:
            raise FencedError
        return producer

    def _transaction(self, transactional_id: str, epoch: int) -> Transaction:
        producer = self._checked(transactional_id, epoch)
        if producer.transaction is None:
            producer.transaction = Transaction(self.now_s)
        return producer.transaction

    def _end(self, producer: _Producer, *, commit: bool) -> None:
        transaction = producer.transaction
        if transaction is None:
            return
        producer.transaction = None
        transaction.status = "committed" if commit else "aborted"
        for place in transaction.places:
            log = self._logs[place]
            del log.open_from[id(transaction)]
            log.entries.append(_Entry(None, transaction))
        if commit:
            for group, offsets in transaction.offsets:
                group.store(offsets)


def _kept(headers: Headers | None) -> Headers:
    return tuple(headers) if headers else ()
