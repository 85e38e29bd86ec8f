"""The events log on Kafka: the consumer, its group, and what a publisher needs of them."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Received

from features.errors import AssayError
from streams.events_log import Member
from streams.history import Bounds
from streams.kafka_clients import FirstError, advice, ask_committed
from streams.log import LogRecord
from streams.topic_reader import record_of
from streams.watchdog import Watchdog

_log = logging.getLogger("assay.kafka_log")
_ANSWER_S = 6.0


class KafkaLog:
    """An `EventsLog` on one topic.

    Args:
        settings: of the consumer (`streams.kafka_clients.consumer_settings`); `fatal` is their `error_cb`.
        topic: full name.
        fatal: knows of errors that only the callback is told.
        watchdog: ends the process if a call does not return.
    """

    def __init__(self, settings: dict[str, Any], topic: str, fatal: FirstError, watchdog: Watchdog) -> None:
        self.topic = topic
        self._fatal = fatal
        self._watchdog = watchdog
        self._consumer = Consumer(settings)
        self._member: Member | None = None
        self._owned: set[int] = set()
        self._failure: AssayError | None = None

    def join(self, member: Member) -> None:
        """See `EventsLog`."""
        self._member = member
        self._consumer.subscribe(
            [self.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def poll(self, limit: int, wait_s: float) -> list[tuple[int, LogRecord]]:
        """See `EventsLog`: one record as soon as there is one, then what else is there."""
        received: list[Received] = self._consumer.consume(1, wait_s)
        if received and limit > 1:
            received += self._consumer.consume(limit - 1, 0.0)
        if self._failure is not None:
            raise self._failure
        self._fatal.raise_if_any()
        records = []
        for message in received:
            error = message.error()
            if error is not None:
                self._refused(error, message)
            elif message.partition() in self._owned:  # the client may still hand out some of what was taken away
                records.append((message.partition(), record_of(message)))
        return records

    def seek(self, partition: int, offset: int) -> None:
        """See `EventsLog`."""
        self._consumer.seek(TopicPartition(self.topic, partition, offset))

    def committed(self, partition: int) -> int | None:
        """See `EventsLog`."""
        with self._watchdog.guard("asking for committed offsets"):
            found = ask_committed(self._consumer, TopicPartition(self.topic, partition), _ANSWER_S)
        return None if found.offset == OFFSET_INVALID else int(found.offset)

    def bounds(self, partition: int) -> Bounds:
        """See `EventsLog`."""
        with self._watchdog.guard("asking for the bounds of the log"):
            low, high = self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), timeout=_ANSWER_S)
        return Bounds(low, high)

    def end(self, partition: int) -> int:
        """See `EventsLog`."""
        return int(self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), cached=True)[1])

    def leave(self) -> None:
        """See `EventsLog`."""
        with self._watchdog.guard("leaving the consumer group"):
            self._consumer.close()

    def group_metadata(self) -> object:
        """The membership that fences a worker which was replaced, for a transaction."""
        return self._consumer.consumer_group_metadata()

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit next offsets outside of a transaction.

        Raises:
            KafkaException: the broker did not take them.
        """
        self._consumer.commit(offsets=self.places(offsets), asynchronous=False)

    def places(self, offsets: Mapping[int, int]) -> list[TopicPartition]:
        """Next offsets as the client wants them."""
        return [TopicPartition(self.topic, partition, offset) for partition, offset in offsets.items()]

    def _on_assign(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """An exception in here would be swallowed by the client; `poll` raises it."""
        assert self._member is not None
        numbers = [place.partition for place in partitions]
        try:
            starts = self._member.take_over(numbers)
            consumer.incremental_assign(self.places(starts))
            self._owned.update(numbers)
        except AssayError as error:
            self._failure = error
        except KafkaException as error:
            self._failure = AssayError(f"taking over partitions {numbers}: {error.args[0].str()}; start again")

    def _on_revoke(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        assert self._member is not None
        numbers = [place.partition for place in partitions]
        self._owned.difference_update(numbers)
        try:
            self._member.hand_over(numbers)
        except AssayError as error:
            self._failure = error
        consumer.incremental_unassign(partitions)

    def _on_lost(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        assert self._member is not None
        numbers = [place.partition for place in partitions]
        self._owned.difference_update(numbers)
        self._member.lose(numbers)

    def _refused(self, error: KafkaError, message: Received) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise AssayError(
                f"{self.topic}[{message.partition()}]: the log does not reach back to the offset that the state needs "
                f"({error.str()}); restore a newer state (`assay state restore`), or begin anew with another "
                "kafka.group"
            )
        if error.fatal() or not error.retriable():
            raise AssayError(f"reading {self.topic}: {error.str()}; {advice(error)}")
        _log.warning("reading %s: %s", self.topic, error.str())
