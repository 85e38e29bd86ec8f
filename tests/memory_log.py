"""The clients of a worker on a broker in memory: an `EventsLog`, and a `Publisher` for each mode of delivery.

Each request passes through a network, which may hold it up, lose its answer or end the process that made it
(`tests/world.py`); the one here only passes it on. What goes wrong is told with the errors of the real clients.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from features.errors import AssayError
from streams.events_log import Member
from streams.history import Bounds
from streams.log import LogRecord
from streams.publisher import AbortedError, Message
from tests.memory_broker import FencedError, MemoryBroker, UnstableError
from tests.memory_group import Group, Identity, StaleMemberError

Answer = TypeVar("Answer")


class RefusedError(Exception):
    """The broker did not do it, and says so; a transaction has to be aborted."""


class NoAnswerError(Exception):
    """The request may have been carried out, may be carried out later, or never."""


class Network(Protocol):
    """The way to the broker."""

    def __call__(self, point: str, request: Callable[[], Answer], /) -> Answer:
        """Carry out the request called `point`; its answer.

        Raises:
            RefusedError, NoAnswerError: see there.
        """
        ...


def reliable(_point: str, request: Callable[[], Answer], /) -> Answer:
    """A network on which nothing happens."""
    return request()


class MemoryEventsLog:
    """An `EventsLog` on one topic.

    Args:
        broker: holds the topic.
        topic: full name.
        group: whose member it becomes.
        instance: name of a static member; None for a dynamic one.
        network: the way to the broker.
    """

    def __init__(
        self, broker: MemoryBroker, topic: str, group: Group, instance: str | None = None, network: Network = reliable
    ) -> None:
        self.topic = topic
        self.group = group
        self._broker = broker
        self._instance = instance
        self._network = network
        self._member: Member | None = None
        self._identity: Identity | None = None
        self._positions: dict[int, int] = {}
        self._taking: list[int] = []
        self._paused: set[int] = set()
        self._turn = 0

    def join(self, member: Member) -> None:
        """See `EventsLog`."""
        self._member = member
        self._network("join", self._join)

    def poll(self, limit: int, wait_s: float) -> dict[int, list[LogRecord]]:
        """See `EventsLog`; nothing is waited for, the time of a simulation stands still."""
        self._rebalance()
        received: dict[int, list[LogRecord]] = {}
        for partition, record in self._network("poll", partial(self._fetch, limit)):
            self._positions[partition] = record.offset + 1
            received.setdefault(partition, []).append(record)
        return received

    @property
    def owned(self) -> set[int]:
        """Partitions that it has, as far as it knows, with those that it is just taking over."""
        return {*self._positions, *self._taking}

    def pause(self, partition: int) -> None:
        """See `EventsLog`."""
        self._paused.add(partition)

    def seek(self, partition: int, offset: int) -> None:
        """See `EventsLog`."""
        if partition not in self._positions:
            raise AssayError(f"{self.topic}[{partition}]: sought, but not assigned")
        self._positions[partition] = offset
        self._paused.discard(partition)

    def committed(self, partition: int) -> int | None:
        """See `EventsLog`."""
        try:
            return self._network("committed", partial(self._broker.committed, self.group, partition))
        except (NoAnswerError, RefusedError, UnstableError):
            raise AssayError(f"asking for what is committed of {self.topic}[{partition}]: no answer in time") from None

    def bounds(self, partition: int) -> Bounds:
        """See `EventsLog`."""
        return Bounds(0, self._network("bounds", partial(self._broker.stable_end, self.topic, partition)))

    def end(self, partition: int) -> int:
        """See `EventsLog`."""
        return self._broker.stable_end(self.topic, partition)

    def leave(self) -> None:
        """See `EventsLog`."""
        if self._identity is None or self._member is None:  # never joined, or left already
            return
        member, self._member = self._member, None
        owned = sorted(self._positions)
        self._forget(owned)
        if owned:
            known = self.group.knows(self._identity.member)
            (member.hand_over if known else member.lose)(owned)
        self._network("leave", partial(self.group.leave, self._identity.member))

    def heartbeat(self) -> None:
        """What the client's thread does while the process runs."""
        if self._identity is not None and self._member is not None:
            self.group.heartbeat(self._identity.member, self._broker.now_s)

    def identity(self) -> Identity:
        """Membership that fences a worker which was replaced."""
        assert self._identity is not None, "a member commits"
        self._identity = self.group.identity(self._identity.member, self._identity)
        return self._identity

    def step_back(self, records: int) -> None:
        """Deliver the last few records once more, as a client may after a reconnection."""
        self._positions = {partition: max(0, at - records) for partition, at in self._positions.items()}

    def _join(self) -> None:
        self._identity = self.group.identity(self.group.join(self._instance, self._broker.now_s))

    def _rebalance(self) -> None:
        """Give back what has to move, take what is free; learn that one was removed."""
        assert self._member is not None, "join first"
        assert self._identity is not None
        member = self._identity.member
        if not self.group.knows(member):
            if self.group.is_replaced(member, self._instance):
                raise AssayError("Kafka refuses this worker: another one runs with the same kafka.slot")
            lost = sorted(self._positions)
            self._forget(lost)
            if lost:
                self._member.lose(lost)
            self._network("join", self._join)
            return
        self.heartbeat()
        revoked = self.group.revoked_of(member)
        if revoked:
            self._forget(revoked)
            self._member.hand_over(revoked)
            self._network("release", partial(self.group.release, member, revoked))
        if self.group.waiting_for(member):
            self._taking = self._network("take", partial(self._take, member))
            self._positions.update(self._member.take_over(self._taking))
            self._taking = []

    def _forget(self, partitions: Sequence[int]) -> None:
        for partition in partitions:
            self._positions.pop(partition, None)
            self._paused.discard(partition)

    def _take(self, member: int) -> list[int]:
        waiting = self.group.waiting_for(member)
        self.group.take(member, waiting)
        return waiting

    def _fetch(self, limit: int) -> list[tuple[int, LogRecord]]:
        """Records of one partition after the other; another one is first each time."""
        received: list[tuple[int, LogRecord]] = []
        numbers = sorted(set(self._positions) - self._paused)
        self._turn += 1
        for index in range(len(numbers)):
            partition = numbers[(index + self._turn) % len(numbers)]
            records = self._broker.read(self.topic, partition, self._positions[partition], limit - len(received))
            received += [(partition, record) for record in records]
        return received


class MemoryTransactionalPublisher:
    """Exactly once, as `streams.publisher.TransactionalPublisher`.

    Args:
        broker: where to publish.
        transactional_id: one per slot; older producers with it are fenced here and now.
        log: whose membership goes with the offsets.
        timeout_s: the broker gives up a transaction that is open for longer.
        network: the way to the broker.

    Raises:
        AssayError: there was no answer.
    """

    def __init__(
        self,
        broker: MemoryBroker,
        transactional_id: str,
        log: MemoryEventsLog,
        timeout_s: float,
        network: Network = reliable,
    ) -> None:
        self._broker = broker
        self._id = transactional_id
        self._log = log
        self._network = network
        try:
            self._epoch = network("init", partial(broker.init_transactions, transactional_id, timeout_s))
        except (NoAnswerError, RefusedError):
            raise AssayError("starting transactions: no answer; start again") from None

    def publish(self, messages: Sequence[Message], offsets: Mapping[int, int]) -> None:
        """See `Publisher`."""
        broker, mine = self._broker, (self._id, self._epoch)
        try:
            for message in messages:
                self._network("produce", partial(broker.produce, *mine, message))
            send_offsets = partial(broker.send_offsets, *mine, self._log.group, self._log.identity(), offsets)
            self._network("send_offsets", send_offsets)
            self._network("commit", partial(broker.end_transaction, *mine, commit=True))
        except (RefusedError, StaleMemberError):
            self._abort()
        except FencedError:
            raise AssayError("publishing a batch: another worker runs with this slot (kafka.slot)") from None
        except NoAnswerError:
            raise AssayError("publishing a batch: no answer; the worker ends so that it cannot publish twice") from None

    def _abort(self) -> None:
        try:
            self._network("abort", partial(self._broker.end_transaction, self._id, self._epoch, commit=False))
        except (FencedError, NoAnswerError, RefusedError):
            raise AssayError("aborting a transaction: no answer; the worker ends") from None
        raise AbortedError

    def close(self) -> None:
        """See `Publisher`."""


class MemoryFlushingPublisher:
    """At least once, as `streams.publisher.FlushingPublisher`.

    Args:
        broker: where to publish.
        log: whose membership goes with the offsets.
        network: the way to the broker.
    """

    def __init__(self, broker: MemoryBroker, log: MemoryEventsLog, network: Network = reliable) -> None:
        self._broker = broker
        self._log = log
        self._network = network

    def publish(self, messages: Sequence[Message], offsets: Mapping[int, int]) -> None:
        """See `Publisher`."""
        try:
            for message in messages:
                self._network("append", partial(self._broker.append, message))
            identity = self._log.identity()
            self._network("commit_offsets", partial(self._log.group.commit, identity, offsets))
        except StaleMemberError:
            if self._log.group.knows(identity.member):
                raise AbortedError from None
            raise AssayError("publishing a batch: the group does not know this member any more") from None
        except (RefusedError, NoAnswerError):
            raise AssayError("publishing a batch: it is not known what became of it; start again") from None

    def close(self) -> None:
        """See `Publisher`."""
