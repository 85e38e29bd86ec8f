"""The events log on Kafka: the consumer, its group, and what a publisher needs of them."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Received

from features.errors import AssayError
from streams.assignments import Assignments
from streams.events_log import Member
from streams.history import Bounds
from streams.kafka_clients import REPLACED_TEXT, FirstError, advice, ask_committed, is_replaced
from streams.log import LogRecord
from streams.topic_reader import records_of
from streams.watchdog import Watchdog

_log = logging.getLogger("assay.kafka_log")
_WATCHED_LONGER_S = 10.0
_LEAVING_S = 5.0


class KafkaLog:
    """An `EventsLog` on one topic.

    Args:
        settings: of the consumer (`streams.kafka_clients.consumer_settings`); `fatal` is their `error_cb`.
        topic: full name.
        fatal: knows of errors that only the callback is told.
        watchdog: ends the process if a call does not return.
        assignments: compares what this member owns with what the group says; None: nobody does.
        answer_s: how long to wait for an answer: a little longer than a transaction may last, because the broker does
            not say what is committed while a dead worker's transaction may still change it.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        topic: str,
        fatal: FirstError,
        watchdog: Watchdog,
        assignments: Assignments | None = None,
        answer_s: float = 20.0,
    ) -> None:
        self._assignments = assignments
        self._answer_s = answer_s
        self.topic = topic
        self._fatal = fatal
        self._watchdog = watchdog
        self._consumer = Consumer(settings)
        self._is_static = "group.instance.id" in settings
        self._member: Member | None = None
        self._owned: set[int] = set()
        self._paused: set[int] = set()
        self._failure: AssayError | None = None

    def join(self, member: Member) -> None:
        """See `EventsLog`."""
        self._member = member
        self._consumer.subscribe(
            [self.topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def poll(self, limit: int, wait_s: float) -> dict[int, list[LogRecord]]:
        """See `EventsLog`: one record as soon as there is one, then what else is there."""
        received: list[Received] = self._consumer.consume(1, wait_s)
        if received and limit > 1:
            received += self._consumer.consume(limit - 1, 0.0)
        if self._failure is not None:
            raise self._failure
        self._fatal.raise_if_any()
        if self._assignments is not None:
            try:
                self._assignments.check(self._consumer.memberid, self._owned)
            except AssayError:
                self._leave_group()
                raise
        readable = self._owned - self._paused  # the client may still hand out some of what was taken away
        messages: dict[int, list[Received]] = {}
        for message in received:
            error = message.error()
            if error is None:
                messages.setdefault(message.partition(), []).append(message)
            else:
                self._refused(error, message)
        return {number: records_of(those) for number, those in messages.items() if number in readable}

    def _leave_group(self) -> None:
        """Let the group forget this member, so that it deals anew.

        A static member that only ends keeps its place: it is given what it had when it comes back, and so is everybody
        else, without a rebalance. Unsubscribing takes it out of the group.
        """
        until_s = time.monotonic() + _LEAVING_S
        with self._watchdog.guard("leaving the group", _LEAVING_S + _WATCHED_LONGER_S):
            self._consumer.unsubscribe()
            while self._consumer.memberid() and time.monotonic() < until_s:
                self._consumer.poll(0.1)  # partitions that it has are handed over in here

    def pause(self, partition: int) -> None:
        """See `EventsLog`; the client is told once it has the partition."""
        self._paused.add(partition)

    def seek(self, partition: int, offset: int) -> None:
        """See `EventsLog`."""
        with self._answering(f"seeking {offset} in {self.topic}[{partition}]"):
            self._consumer.seek(TopicPartition(self.topic, partition, offset))
            if partition in self._paused:
                self._consumer.resume([TopicPartition(self.topic, partition)])
                self._paused.discard(partition)

    def committed(self, partition: int) -> int | None:
        """See `EventsLog`."""
        with self._answering(f"asking for what is committed of {self.topic}[{partition}]"):
            found = ask_committed(self._consumer, TopicPartition(self.topic, partition), self._answer_s)
        return None if found.offset == OFFSET_INVALID else int(found.offset)

    def bounds(self, partition: int) -> Bounds:
        """See `EventsLog`."""
        with self._answering(f"asking for the bounds of {self.topic}[{partition}]"):
            low, high = self._consumer.get_watermark_offsets(
                TopicPartition(self.topic, partition), timeout=self._answer_s
            )
        return Bounds(low, high)

    def end(self, partition: int) -> int:
        """See `EventsLog`."""
        return int(self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), cached=True)[1])

    def leave(self) -> None:
        """See `EventsLog`."""
        if self._is_static:
            # it keeps its place in the group anyhow. Neither closing nor destroying the client is safe while the group
            # moves: both can hang for ever. The end of the process is.
            return
        with self._watchdog.guard("leaving the consumer group", holds_the_lock=True):
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

    @contextmanager
    def _answering(self, doing: str) -> Iterator[None]:
        """Watch a request; what the broker does not answer in time ends the worker with a clear line."""
        with self._watchdog.guard(doing, 2 * self._answer_s + _WATCHED_LONGER_S):
            try:
                yield
            except KafkaException as error:
                raise AssayError(f"{doing}: {error.args[0].str()}; nothing is lost, start the worker again") from None

    def _on_assign(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """An exception in here would be swallowed by the client; `poll` raises it."""
        assert self._member is not None
        numbers = [place.partition for place in partitions]
        try:
            starts = self._member.take_over(numbers)
            with self._watchdog.guard("taking over partitions", holds_the_lock=True):
                consumer.incremental_assign(self.places(starts))
                paused = [TopicPartition(self.topic, number) for number in numbers if number in self._paused]
                if paused:
                    consumer.pause(paused)
            self._owned.update(numbers)
        except AssayError as error:
            self._failure = error
        except KafkaException as error:
            self._failure = AssayError(f"taking over partitions {numbers}: {error.args[0].str()}; start again")

    def _on_revoke(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        assert self._member is not None
        numbers = [place.partition for place in partitions]
        self._forget(numbers)
        try:
            self._member.hand_over(numbers)
        except AssayError as error:
            self._failure = error
        with self._watchdog.guard("handing over partitions", holds_the_lock=True):
            consumer.incremental_unassign(partitions)

    def _on_lost(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        assert self._member is not None
        numbers = [place.partition for place in partitions]
        self._forget(numbers)
        self._member.lose(numbers)

    def _forget(self, numbers: Sequence[int]) -> None:
        """Partitions are not this member's any more; the client would remember a pause until they come back."""
        self._owned.difference_update(numbers)
        paused = self._paused.intersection(numbers)
        if paused:
            self._paused -= paused
            self._consumer.resume([TopicPartition(self.topic, number) for number in paused])

    def _refused(self, error: KafkaError, message: Received) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise AssayError(
                f"{self.topic}[{message.partition()}]: the log does not reach back to the offset that the state needs "
                f"({error.str()}); restore a newer state (`assay state restore`), or begin anew with another "
                "kafka.group"
            )
        if is_replaced(error):
            raise AssayError(f"reading {self.topic}: {REPLACED_TEXT}")
        if error.fatal() or not error.retriable():
            raise AssayError(f"reading {self.topic}: {error.str()}; {advice(error)}")
        _log.warning("reading %s: %s", self.topic, error.str())
