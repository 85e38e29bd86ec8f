"""A real broker on the last core, one topic of events for everybody, and what came out, read back when all is done.

Nothing of ours but the question how far a topic reaches runs beside the broker while a client is measured.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from benchmarks.cores import last_core, pinned
from benchmarks.report import announce
from features.errors import AssayError
from streams import broker
from streams.admin import apply_topics, connect

PARTITIONS = 2
PREFIX = "bench."
_MOST_QUEUED = 200_000
_ANSWER_S = 20.0


class Arena:
    """A running broker and what one asks of it.

    Attributes:
        settings: of a client that may do everything.
        bootstrap: where clients connect.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.settings = dict(settings)
        self.bootstrap = settings["bootstrap.servers"]
        self._client: AdminClient = connect(settings)[0]
        self._watcher = Consumer({**settings, "group.id": "bench-watcher", "log_level": 0})

    def warm_up(self) -> None:
        """One transaction with an offset in it: the broker makes its own topics now, not for the first client."""
        self.make_topic("bench-warm-up")
        producer = Producer({**self.settings, "transactional.id": "bench-warm-up", "log_level": 0})
        producer.init_transactions()
        producer.begin_transaction()
        producer.produce("bench-warm-up", b"")
        self._watcher.assign([TopicPartition("bench-warm-up", 0)])
        offsets = [TopicPartition("bench-warm-up", 0, 0)]
        producer.send_offsets_to_transaction(offsets, self._watcher.consumer_group_metadata())
        producer.commit_transaction()
        self._watcher.commit(offsets=offsets, asynchronous=False)
        self._watcher.unassign()

    def make_topics(self, prefix: str) -> None:
        """Every topic of the contract."""
        apply_topics(self._client, prefix, PARTITIONS)
        for name in ("events", "verdicts"):
            self._wait_for(f"{prefix}{name}")

    def stamp_arrivals(self, topics: Sequence[str]) -> None:
        """From now on a record's time is the moment at which the broker took it."""
        entry = ConfigEntry("message.timestamp.type", "LogAppendTime", incremental_operation=AlterConfigOpType.SET)
        resources = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry]) for topic in topics]
        for answer in self._client.incremental_alter_configs(resources).values():
            answer.result(timeout=_ANSWER_S)

    def make_topic(self, name: str) -> None:
        """One more topic, for a rival's verdicts."""
        made = self._client.create_topics([NewTopic(name, PARTITIONS, 1)])
        made[name].result(timeout=_ANSWER_S)
        self._wait_for(name)

    def _wait_for(self, topic: str) -> None:
        """A new topic exists before the broker knows that it leads its partitions."""
        until_s = time.monotonic() + _ANSWER_S
        while True:
            try:
                self._watcher.list_topics(topic, timeout=_ANSWER_S)  # else the client goes on with what it knew
                self.ends(topic)
                return
            except KafkaException as error:
                if time.monotonic() > until_s:
                    raise AssayError(f"{topic}: nobody leads it after {_ANSWER_S:g} s: {error.args[0].str()}") from None
                time.sleep(0.1)

    def ends(self, topic: str) -> list[int]:
        """How far each partition of a topic reaches; marks of transactions count too."""
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        return [int(self._watcher.get_watermark_offsets(place, timeout=_ANSWER_S)[1]) for place in places]

    def read(self, topic: str, starts: Sequence[int]) -> list[list[bytes]]:
        """Values that committed transactions left in each partition since it reached as far as `starts`."""
        settings = {**self.settings, "group.id": "bench-reader", "isolation.level": "read_committed", "log_level": 0}
        consumer = Consumer({**settings, "enable.auto.commit": False, "enable.partition.eof": True})
        consumer.assign([TopicPartition(topic, number, start) for number, start in enumerate(starts)])
        found: list[list[bytes]] = [[] for _ in starts]
        unread = set(range(len(starts)))
        while unread:
            for message in consumer.consume(10_000, 0.1):
                error = message.error()
                if error is None:
                    found[message.partition()].append(message.value() or b"")
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
                else:
                    raise AssayError(f"reading {topic}: {error.str()}")
        consumer.close()
        return found

    def close(self) -> None:
        """Let go of the broker."""
        self._watcher.close()


@contextmanager
def arena(directory: Path) -> Iterator[Arena]:
    """Start a broker on the last core, in an empty directory below `directory`; stop it at the end.

    Raises:
        AssayError: Java or Kafka cannot be had.
    """
    announce("starting a broker")
    broker.delete(directory / "bench-broker")
    with pinned(last_core()):
        running = broker.start(directory / "bench-broker")
    try:
        asked = Arena(running.client_settings)
        try:
            asked.warm_up()
            yield asked
        finally:
            asked.close()
    finally:
        broker.delete(directory / "bench-broker")


def partition_of(key: bytes) -> int:
    """Where an account's events go."""
    return sum(key) % PARTITIONS


def produce(settings: Mapping[str, str], topic: str, values: Sequence[bytes], keys: Sequence[bytes]) -> None:
    """Write all records and wait until the broker has them.

    Raises:
        AssayError: it did not take them all.
    """
    room = {"queue.buffering.max.messages": _MOST_QUEUED + 10_000}
    producer = Producer({**settings, **room, "linger.ms": 20, "compression.type": "lz4"})
    for number, (value, key) in enumerate(zip(values, keys, strict=True)):
        if number % 10_000 == 0:
            while len(producer) > _MOST_QUEUED - 10_000:
                producer.poll(0.05)
        producer.produce(topic, value, key, partition_of(key))
        producer.poll(0)
    left = producer.flush(60.0)
    if left:
        raise AssayError(f"{topic}: the broker did not take {left} records within a minute: look at its log")
