"""Publishes what folding a batch gave, together with how far the log was read.

`exactly_once`: every record and the consumed offsets are one Kafka transaction; readers see all of it or nothing.
`at_least_once`: records are flushed, then the offsets committed; after a crash a verdict may appear again with the same
bytes. See docs/decisions/0005-delivery.md.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from features.errors import AssayError
from streams.kafka_clients import NO_RIGHT, REPLACED_TEXT, advice, is_replaced
from streams.kafka_log import KafkaLog
from streams.watchdog import Watchdog

_log = logging.getLogger("assay.publisher")


_GROUP_MOVES = (KafkaError.ILLEGAL_GENERATION, KafkaError.REBALANCE_IN_PROGRESS)
"""Refusals of offsets that came a moment too early or too late; the member is known and none of them was taken."""


class Message(NamedTuple):
    """One record to produce."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] | None


class AbortedError(Exception):
    """The batch is not committed and will not be: fold it again from the stored state."""


class Publisher(Protocol):
    """Publishes batches."""

    def publish(self, messages: Sequence[Message], offsets: Mapping[int, int]) -> None:
        """Publish `messages` and commit the next offset of each partition; returns when both are safe.

        Raises:
            AbortedError: nothing was committed, and what is to be seen of it may be published again: the process can
                go on.
            AssayError: it is not known what was published, or this worker was replaced: the process has to end.
        """
        ...

    def close(self) -> None:
        """Let go of the producer."""
        ...


class TransactionalPublisher:
    """Exactly once. After an answer that leaves the outcome open the producer is never used again.

    Args:
        producer_settings: client settings with a stable `transactional.id`.
        log: whose group membership fences a worker that was replaced.
        watchdog: ends the process if a call does not return.
    """

    def __init__(self, producer_settings: dict[str, Any], log: KafkaLog, watchdog: Watchdog) -> None:
        self._log = log
        self._watchdog = watchdog
        self._producer = Producer(producer_settings)
        with watchdog.guard("init_transactions"):
            try:
                self._producer.init_transactions(-1)
            except KafkaException as error:
                raise AssayError(_explained(error, "starting transactions")) from None

    def publish(self, messages: Sequence[Message], offsets: Mapping[int, int]) -> None:
        """See `Publisher`."""
        with self._watchdog.guard("the transaction of a batch"):
            try:
                self._producer.begin_transaction()
                produce_all(self._producer, messages)
                self._producer.send_offsets_to_transaction(self._log.places(offsets), self._log.group_metadata(), -1)
                self._producer.commit_transaction(-1)
            except KafkaException as error:
                self._give_up(error)

    def _give_up(self, error: KafkaException) -> None:
        cause: KafkaError = error.args[0]
        if not cause.txn_requires_abort():
            raise AssayError(_explained(error, "publishing a batch")) from None
        try:
            self._producer.abort_transaction(-1)
        except KafkaException as abort_error:
            raise AssayError(_explained(abort_error, "aborting a transaction")) from None
        if cause.code() in NO_RIGHT:  # it would be aborted for ever
            raise AssayError(_explained(error, "publishing a batch")) from None
        _log.warning("a transaction was aborted, its batch is folded again: %s", cause.str())
        raise AbortedError(cause.str()) from None

    def close(self) -> None:
        """See `Publisher`; between two transactions nothing is under way."""


class FlushingPublisher:
    """At least once."""

    def __init__(self, producer_settings: dict[str, Any], log: KafkaLog, watchdog: Watchdog) -> None:
        self._log = log
        self._watchdog = watchdog
        self._failures: list[KafkaError] = []
        self._producer = Producer({**producer_settings, "on_delivery": self._delivered})

    def _delivered(self, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self._failures.append(error)

    def publish(self, messages: Sequence[Message], offsets: Mapping[int, int]) -> None:
        """See `Publisher`."""
        with self._watchdog.guard("flushing and committing a batch"):
            try:
                produce_all(self._producer, messages)
                self._producer.flush()
                if self._failures:
                    raise KafkaException(self._failures[0])
                self._log.commit(offsets)
            except KafkaException as error:
                if error.args[0].code() in _GROUP_MOVES:
                    _log.warning("offsets were refused, their batch is folded again: %s", error.args[0].str())
                    raise AbortedError(error.args[0].str()) from None
                raise AssayError(_explained(error, "publishing a batch")) from None

    def close(self) -> None:
        """See `Publisher`."""
        with self._watchdog.guard("closing the producer"), suppress(KafkaException):  # why it ends is known already
            self._producer.flush(5.0)


def make_publisher(
    settings: dict[str, Any], transactional_id: str, log: KafkaLog, watchdog: Watchdog, *, exactly_once: bool
) -> Publisher:
    """The publisher of a delivery mode, with `settings` of the connection and of producing."""
    if exactly_once:
        return TransactionalPublisher({**settings, "transactional.id": transactional_id}, log, watchdog)
    return FlushingPublisher({**settings, "enable.idempotence": True}, log, watchdog)


def produce_all(producer: Producer, messages: Sequence[Message]) -> None:
    """Queue messages one behind another, waiting where the client's queue is full."""
    produce = producer.produce
    for topic, partition, key, value, headers in messages:
        while True:
            try:
                if headers:
                    produce(topic, value, key, partition, headers=headers)
                else:
                    produce(topic, value, key, partition)
                break
            except BufferError:  # librdkafka's queue is full: let it send
                producer.poll(0.05)
    producer.poll(0)


def _explained(error: KafkaException, doing: str) -> str:
    cause: KafkaError = error.args[0]
    if is_replaced(cause):
        return f"{doing}: {REPLACED_TEXT}"
    if cause.code() in NO_RIGHT:
        return f"{doing}: the broker refuses it ({cause.str()}); {advice(cause)}"
    return (
        f"{doing}: {cause.str()} ({cause.name()}); the worker ends so that it cannot publish twice. "
        "Start it again: it recovers by itself"
    )
