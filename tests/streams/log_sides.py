"""Two sides of one contract: a worker's clients on a real broker, and on the one in memory, behind one interface."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Self

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from features.errors import AssayError
from streams.config import Config, load_config
from streams.events_log import EventsLog
from streams.kafka_clients import FirstError, consumer_settings, producer_settings
from streams.kafka_log import KafkaLog
from streams.log import LogRecord
from streams.publisher import Message, Publisher, make_publisher
from streams.topic_reader import TopicReader
from streams.watchdog import Watchdog
from tests.memory_broker import MemoryBroker
from tests.memory_log import MemoryEventsLog, MemoryFlushingPublisher, MemoryTransactionalPublisher

PARTITIONS = 2
ANSWER_S = 2.0
"""How long a log waits for an answer of the real broker."""
SESSION_S = 3.0
_PATIENCE_S = 30.0
_STEP_S = 0.1


class Transaction(NamedTuple):
    """A transaction of some producer; it stays open until one of these is called."""

    commit: Callable[[], None]
    abort: Callable[[], None]


class Side(ABC):
    """One broker with two topics of two partitions, all to itself.

    Attributes:
        events: the topic that members read.
        verdicts: a topic to publish to.
    """

    events: str
    verdicts: str

    @abstractmethod
    def log(self, slot: str = "0", *, static: bool = False) -> EventsLog:
        """A log that has not joined its group yet."""

    @abstractmethod
    def end(self, log: EventsLog) -> None:
        """The end of the process of a member that has left."""

    @abstractmethod
    def publisher(self, log: EventsLog, slot: str = "0", *, exactly_once: bool = True) -> Publisher:
        """A publisher for who reads `log`."""

    @abstractmethod
    def write(self, *messages: Message, timestamp_ms: int | None = None) -> None:
        """Write outside of any transaction."""

    @abstractmethod
    def begin(self, *messages: Message, slot: str = "elsewhere") -> Transaction:
        """Write in a transaction of the slot's transactional id."""

    @abstractmethod
    def begin_commit(self, log: EventsLog, offsets: Mapping[int, int]) -> Transaction:
        """Send a member's offsets in a transaction."""

    @abstractmethod
    def visible(self, topic: str, partition: int) -> list[LogRecord]:
        """What a reader of committed records sees."""

    @abstractmethod
    def rest(self) -> None:
        """Let a moment pass."""

    @abstractmethod
    def patience(self) -> Callable[[], bool]:
        """Whether it is still worth waiting, from now on."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything."""

    def event(self, value: bytes | None, partition: int = 0, key: bytes | None = b"a1") -> Message:
        """A message for `events`."""
        return Message(self.events, partition, key, value, None)

    def verdict(self, value: bytes | None, partition: int = 0, key: bytes | None = b"a1") -> Message:
        """A message for `verdicts`."""
        return Message(self.verdicts, partition, key, value, None)


class MemorySide(Side):
    """On the broker in memory.

    Attributes:
        awake: whose heartbeats arrive.
    """

    def __init__(self) -> None:
        self.events, self.verdicts = "events", "verdicts"
        self._broker = MemoryBroker()
        for topic in (self.events, self.verdicts):
            self._broker.create(topic, PARTITIONS)
        self._group = self._broker.group("engine", self.events, SESSION_S)
        self.awake: list[MemoryEventsLog] = []

    def log(self, slot: str = "0", *, static: bool = False) -> MemoryEventsLog:
        log = MemoryEventsLog(self._broker, self.events, self._group, f"engine-{slot}" if static else None)
        self.awake.append(log)
        return log

    def end(self, log: EventsLog) -> None:
        """A member that has left is gone."""

    def publisher(self, log: EventsLog, slot: str = "0", *, exactly_once: bool = True) -> Publisher:
        assert isinstance(log, MemoryEventsLog)
        if exactly_once:
            return MemoryTransactionalPublisher(self._broker, f"engine-{slot}", log, 15.0)
        return MemoryFlushingPublisher(self._broker, log)

    def write(self, *messages: Message, timestamp_ms: int | None = None) -> None:
        for message in messages:
            self._broker.append(message, timestamp_ms=timestamp_ms)

    def begin(self, *messages: Message, slot: str = "elsewhere") -> Transaction:
        name = f"engine-{slot}"
        epoch = self._broker.init_transactions(name, 15.0)
        for message in messages:
            self._broker.produce(name, epoch, message)
        end = partial(self._broker.end_transaction, name, epoch)
        return Transaction(partial(end, commit=True), partial(end, commit=False))

    def begin_commit(self, log: EventsLog, offsets: Mapping[int, int]) -> Transaction:
        assert isinstance(log, MemoryEventsLog)
        epoch = self._broker.init_transactions("committer", 15.0)
        self._broker.send_offsets("committer", epoch, self._group, log.identity(), offsets)
        end = partial(self._broker.end_transaction, "committer", epoch)
        return Transaction(partial(end, commit=True), partial(end, commit=False))

    def visible(self, topic: str, partition: int) -> list[LogRecord]:
        return self._broker.read(topic, partition)

    def rest(self) -> None:
        self._broker.now_s += _STEP_S
        for log in self.awake:
            log.heartbeat()
        self._broker.expire()

    def patience(self) -> Callable[[], bool]:
        until_s = self._broker.now_s + _PATIENCE_S
        return lambda: self._broker.now_s < until_s

    def close(self) -> None:
        self.awake.clear()


class KafkaSide(Side):
    """On a real broker, unencrypted.

    Args:
        bootstrap: its address.
        prefix: of the topics, which have to be there, and of everything else that has a name.
    """

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.events, self.verdicts = f"{prefix}events", f"{prefix}verdicts"
        self.bootstrap = bootstrap
        self.prefix = prefix
        self._settings = {"bootstrap.servers": bootstrap}
        self._watchdog = Watchdog(60.0)
        self._logs: list[KafkaLog] = []

    def create(self) -> Self:
        """Make the topics."""
        admin = AdminClient(self._settings)
        made = admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in (self.events, self.verdicts)])
        for future in made.values():
            future.result(30)
        return self

    def log(self, slot: str = "0", *, static: bool = False) -> KafkaLog:
        fatal = FirstError()
        settings = {**consumer_settings(self._config(slot, static=static), fatal), "heartbeat.interval.ms": 200}
        log = KafkaLog(settings, self.events, fatal, self._watchdog, answer_s=ANSWER_S)
        self._logs.append(log)
        return log

    def end(self, log: EventsLog) -> None:
        assert isinstance(log, KafkaLog)
        self._logs.remove(log)
        log._consumer.close()  # a static member leaves that to the end of its process

    def publisher(self, log: EventsLog, slot: str = "0", *, exactly_once: bool = True) -> Publisher:
        assert isinstance(log, KafkaLog)
        settings = producer_settings(self._config(slot), FirstError())
        return make_publisher(settings, f"{self.prefix}{slot}", log, self._watchdog, exactly_once=exactly_once)

    def write(self, *messages: Message, timestamp_ms: int | None = None) -> None:
        producer = Producer({**self._settings, "enable.idempotence": True, "linger.ms": 0})
        _produce(producer, messages, timestamp_ms or 0)
        assert producer.flush(30) == 0

    def begin(self, *messages: Message, slot: str = "elsewhere") -> Transaction:
        producer = Producer({**self._settings, "transactional.id": f"{self.prefix}{slot}", "linger.ms": 0})
        producer.init_transactions(30)
        producer.begin_transaction()
        _produce(producer, messages, 0)
        assert producer.flush(30) == 0
        return Transaction(partial(producer.commit_transaction, 30), partial(producer.abort_transaction, 30))

    def begin_commit(self, log: EventsLog, offsets: Mapping[int, int]) -> Transaction:
        assert isinstance(log, KafkaLog)
        producer = Producer({**self._settings, "transactional.id": f"{self.prefix}committer"})
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.send_offsets_to_transaction(log.places(offsets), log.group_metadata(), 30)
        return Transaction(partial(producer.commit_transaction, 30), partial(producer.abort_transaction, 30))

    def visible(self, topic: str, partition: int) -> list[LogRecord]:
        with TopicReader(self._settings) as reader:
            low, high = reader.bounds(topic, partition)
            return [record for records in reader.read(topic, partition, low, high) for record in records]

    def rest(self) -> None:
        """A poll rests by itself."""

    def patience(self) -> Callable[[], bool]:
        until_s = time.monotonic() + _PATIENCE_S
        return lambda: time.monotonic() < until_s

    def close(self) -> None:
        for log in self._logs:
            log._consumer.close()
        self._watchdog.stop()

    def _config(self, slot: str, *, static: bool = False) -> Config:
        return load_config(
            environment={},
            overrides={
                "kafka.bootstrap": self.bootstrap,
                "kafka.group": f"{self.prefix}engine",
                "kafka.slot": slot,
                "kafka.static_membership": static,
                "kafka.session_timeout_ms": int(SESSION_S * 1000),
            },
        )


def _produce(producer: Producer, messages: Sequence[Message], timestamp_ms: int) -> None:
    for topic, partition, key, value, headers in messages:
        producer.produce(topic, value, key, partition, headers=headers, timestamp=timestamp_ms)


class Reader:
    """A member that writes down what it is told.

    Args:
        side: where it lives.
        log: what it reads; joined here.
        name: in the story.
        story: what happened, shared by several; (name, what, partitions).
        starts: where to begin to read; 0 where nothing is said.
        pauses: partitions that are paused when they are taken over.

    Attributes:
        owned: its partitions.
        records: what it has read, by partition.
        fails_at: the call that raises.
        pauses: the same.
    """

    def __init__(
        self,
        side: Side,
        log: EventsLog,
        name: str = "one",
        story: list[tuple[str, str, tuple[int, ...]]] | None = None,
        starts: Mapping[int, int] | None = None,
        pauses: Iterable[int] = (),
    ) -> None:
        self.log = log
        self.story = [] if story is None else story
        self.owned: set[int] = set()
        self.records: dict[int, list[LogRecord]] = {number: [] for number in range(PARTITIONS)}
        self.fails_at = ""
        self._side = side
        self._name = name
        self._starts = starts or {}
        self.pauses = set(pauses)
        log.join(self)

    def take_over(self, partitions: Sequence[int]) -> Mapping[int, int]:
        self._note("take_over", partitions)
        self.owned.update(partitions)
        for number in self.pauses.intersection(partitions):
            self.log.pause(number)
        return {number: self._starts.get(number, 0) for number in partitions}

    def hand_over(self, partitions: Sequence[int]) -> None:
        self._note("hand_over", partitions)
        self.owned.difference_update(partitions)

    def lose(self, partitions: Sequence[int]) -> None:
        self._note("lose", partitions)
        self.owned.difference_update(partitions)

    def poll(self, limit: int = 100) -> list[tuple[int, LogRecord]]:
        """One poll; what it gave is kept too."""
        received = self.log.poll(limit, 0.1)
        for number, records in received.items():
            self.records[number] += records
        return [(number, record) for number, records in received.items() for record in records]

    def values(self, partition: int = 0) -> list[bytes | None]:
        """What it has read of a partition."""
        return [record.value for record in self.records[partition]]

    def _note(self, what: str, partitions: Sequence[int]) -> None:
        if not partitions:  # a rebalance in which nothing moves is told too, or not
            return
        self.story.append((self._name, what, tuple(sorted(partitions))))
        if self.fails_at == what:
            raise AssayError(f"{what} failed")


def until(side: Side, condition: Callable[[], bool], *readers: Reader) -> None:
    """Let readers poll until something is so."""
    is_worth_it = side.patience()
    while not condition():
        assert is_worth_it(), f"waited in vain: {[reader.story for reader in readers]}"
        for reader in readers:
            reader.poll()
        side.rest()
