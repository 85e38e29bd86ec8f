"""Reads ranges of topics without a group: partitions are assigned by hand, and nothing is ever committed.

For everything that looks back: replay, verify, explain, dead letters, the archive. It cannot disturb a worker.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Received

from features.errors import AssayError
from streams.admin import connect
from streams.history import Bounds
from streams.kafka_clients import NO_RIGHT, advice
from streams.log import LogRecord, rows_of

ANSWER_S = 20.0
"""A broker that is silent for longer while a range is read is an error."""
_BATCH_RECORDS = 5_000
_POLL_S = 0.5
_REST_S = 0.02


class TopicReader:
    """Ranges of the partitions of any topic, committed records only.

    Each range is read by a client of its own: one that was assigned anew may still hand out what it had fetched before.

    Args:
        settings: connection settings of a client (`streams.kafka_clients.connection`).
        timeout_s: how long a broker may be silent.

    Raises:
        AssayError: nobody answers there, or the credentials or the certificate are refused.
    """

    def __init__(self, settings: Mapping[str, Any], timeout_s: float = ANSWER_S) -> None:
        self._timeout_s = timeout_s
        connect(settings, timeout_s)  # a consumer would not say why it is refused
        self._settings = {
            **settings,
            "group.id": "assay-reader",  # the client asks for one; it is never joined
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,  # behind a transaction's end the end of the log is told by an empty answer
        }
        self._consumer = Consumer(self._settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def partitions(self, topic: str) -> list[int]:
        """Numbers of the partitions of `topic`.

        Raises:
            AssayError: no broker, or no such topic.
        """
        try:
            found = self._consumer.list_topics(topic, timeout=self._timeout_s).topics[topic]
        except KafkaException as error:
            raise _explained(error, f"asking for the topic {topic}") from None
        if found.error is not None:
            if found.error.code() in NO_RIGHT:
                raise AssayError(f"{topic}: {found.error.str()}; {advice(found.error)}")
            raise AssayError(f"{topic}: {found.error.str()}; check topics.prefix, or create it: `assay topics apply`")
        return sorted(found.partitions)

    def bounds(self, topic: str, partition: int) -> Bounds:
        """What there is of a partition; `high` is the end of what is committed.

        Raises:
            AssayError: the broker does not tell.
        """
        place = TopicPartition(topic, partition)
        try:
            low, high = self._consumer.get_watermark_offsets(place, timeout=self._timeout_s)
        except KafkaException as error:
            raise _explained(error, f"asking for the bounds of {topic}[{partition}]") from None
        return Bounds(low, high)

    def offset_at(self, topic: str, partition: int, time_ms: int) -> int:
        """Offset of the first record taken at `time_ms` or later, the end of the log if there is none.

        Raises:
            AssayError: the broker does not tell.
        """
        place = TopicPartition(topic, partition, max(0, time_ms))
        try:
            (found,) = self._consumer.offsets_for_times([place], timeout=self._timeout_s)
        except KafkaException as error:
            raise _explained(error, f"asking {topic}[{partition}] for a time") from None
        return int(found.offset) if found.offset >= 0 else self.bounds(topic, partition).high

    def read(self, topic: str, partition: int, start: int, end: int) -> Iterator[Sequence[LogRecord]]:
        """Records with ``start <= offset < end`` that are there now, some at a time.

        Raises:
            AssayError: the log does not hold `start` any more, or the broker is silent.
        """
        where = f"{topic}[{partition}]"
        low, high = self.bounds(topic, partition)
        if start < low:
            raise AssayError(
                f"{where}: the log begins at {low}, records from {start} on were asked for; read them from an archive "
                "(--archive), or begin later"
            )
        return self._read(TopicPartition(topic, partition, start), min(end, high))

    def _read(self, place: TopicPartition, end: int) -> Iterator[Sequence[LogRecord]]:
        if place.offset >= end:
            return
        where = f"{place.topic}[{place.partition}]"
        consumer = Consumer(self._settings)
        consumer.assign([place])
        heard_s = time.monotonic()
        try:
            while True:
                received: list[Received] = consumer.consume(1, _POLL_S)
                if received:  # the rest of a batch, without waiting long for what is not there
                    received += consumer.consume(_BATCH_RECORDS - 1, _REST_S)
                    heard_s = time.monotonic()
                elif time.monotonic() - heard_s > self._timeout_s:
                    raise AssayError(f"reading {where}: nothing came for {self._timeout_s:.0f} s; is the broker up?")
                records, done = _records(received, where, end)
                if records:
                    yield records
                if done:
                    return
        finally:
            consumer.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()


class TopicHistory:
    """A `History` out of a topic.

    Args:
        reader: the way to it; stays open.
        topic: full name.
    """

    def __init__(self, reader: TopicReader, topic: str) -> None:
        self._reader = reader
        self.topic = topic

    def partitions(self) -> list[int]:
        """See `History`."""
        return self._reader.partitions(self.topic)

    def bounds(self, partition: int) -> Bounds:
        """See `History`."""
        return self._reader.bounds(self.topic, partition)

    def offset_at(self, partition: int, time_ms: int) -> int:
        """See `History`."""
        return self._reader.offset_at(self.topic, partition, time_ms)

    def read(self, partition: int, start: int, end: int) -> Iterator[Sequence[LogRecord]]:
        """See `History`."""
        return self._reader.read(self.topic, partition, start, end)


def records_of(messages: Sequence[Received]) -> list[LogRecord]:
    """Received messages as records of the log."""
    stamps = [message.timestamp() for message in messages]
    return rows_of(
        LogRecord,
        [message.offset() for message in messages],
        [message.value() for message in messages],
        [message.key() for message in messages],
        [None if kind == TIMESTAMP_NOT_AVAILABLE else time_ms for kind, time_ms in stamps],
        [message.headers() or () for message in messages],
    )


def _records(received: Sequence[Received], where: str, end: int) -> tuple[list[LogRecord], bool]:
    """Those below `end`, and whether that was all: offsets have gaps, so the end may never appear as a record."""
    records: list[LogRecord] = []
    for message in received:
        error = message.error()
        if error is None:
            if message.offset() >= end:
                return records, True
            records += records_of([message])
        elif error.code() == KafkaError._PARTITION_EOF:
            if message.offset() >= end:
                return records, True  # else a broker that has just become the leader does not know it all yet
        elif error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            continue  # the client asks for its group's coordinator all the same; reading needs no group
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise AssayError(f"reading {where}: the log does not hold these records any more ({error.str()})")
        elif error.fatal() or not error.retriable():
            raise AssayError(f"reading {where}: {error.str()}; {advice(error)}")
    return records, bool(records) and records[-1].offset >= end - 1


def _explained(error: KafkaException, doing: str) -> AssayError:
    return AssayError(f"{doing}: {error.args[0].str()}; check the address, the user's rights, and that Kafka is up")
