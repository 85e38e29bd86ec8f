"""Follows topics from where they are to where they go, without a group, and goes on where it was after trouble."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Received

from features.errors import AssayError
from streams.console.picture import Followed
from streams.kafka_clients import advice
from streams.log import LogRecord
from streams.topic_reader import TopicReader, records_of

_BATCH_RECORDS: Final = 5_000
_PASSES: Final = (KafkaError._PARTITION_EOF, KafkaError.GROUP_AUTHORIZATION_FAILED)
"""Told, and nothing to worry about: the console's group is never joined."""


class Batch(NamedTuple):
    """Records of one partition, in their order; `topic` without the prefix."""

    topic: str
    partition: int
    records: Sequence[LogRecord]


class Tail:
    """Committed records of several topics, as they come.

    Args:
        settings: connection settings of a client.
        prefix: of the topics.
        topics: what to follow.
    """

    def __init__(self, settings: Mapping[str, Any], prefix: str, topics: Sequence[Followed]) -> None:
        self._settings = {
            **settings,
            "group.id": "assay-operator-console",  # the client asks for one; it is never joined
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",  # what was dropped while nobody read is not in the picture
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": 16_384,
        }
        self._prefix = prefix
        self._topics = topics
        self._next: dict[tuple[str, int], int] = {}
        self._consumer: Consumer | None = None

    def poll(self, timeout_s: float) -> list[Batch]:
        """What has come, by partition; waits for the first record.

        Raises:
            AssayError: the broker refuses or cannot be reached; ask again later, and it goes on where it was.
        """
        try:
            consumer = self._consumer or self._open()
            received: list[Received] = consumer.consume(1, timeout_s)
            if received:
                received += consumer.consume(_BATCH_RECORDS - 1, 0.02)
        except KafkaException as error:
            self.close()
            raise AssayError(f"following topics: {error.args[0].str()}") from None
        good = [message for message in received if message.error() is None]
        for message in received:
            fault = message.error()
            if fault is not None and fault.code() not in _PASSES and (fault.fatal() or not fault.retriable()):
                self.close()
                raise AssayError(f"following {message.topic()}: {fault.str()}; {advice(fault)}")
        return self._batches(good)

    def close(self) -> None:
        """Let go of the connection; the place is kept."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _open(self) -> Consumer:
        with TopicReader(self._settings) as reader:
            places = [place for topic in self._topics for place in self._places(reader, topic)]
        self._consumer = Consumer(self._settings)
        self._consumer.assign(places)
        return self._consumer

    def _places(self, reader: TopicReader, topic: Followed) -> list[TopicPartition]:
        name, places = self._prefix + topic.name, []
        for number in reader.partitions(name):
            start = self._next.get((name, number))
            if start is None:
                low, high = reader.bounds(name, number)
                start = max(low, high - topic.most)
                if topic.back_ms is not None:
                    start = max(start, reader.offset_at(name, number, time.time_ns() // 1_000_000 - topic.back_ms))
                self._next[name, number] = start
            places.append(TopicPartition(name, number, start))
        return places

    def _batches(self, received: Sequence[Received]) -> list[Batch]:
        by_place: dict[tuple[str, int], list[Received]] = {}
        for message in received:
            by_place.setdefault((message.topic(), message.partition()), []).append(message)
        batches = []
        for (name, partition), messages in by_place.items():
            records = records_of(messages)
            self._next[name, partition] = records[-1].offset + 1
            batches.append(Batch(name.removeprefix(self._prefix), partition, records))
        return batches
