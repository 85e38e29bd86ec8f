"""Settings of the worker's Kafka clients, each with its reason, and the checks before work begins."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from features.errors import AssayError
from streams.admin import connect, topic_id
from streams.config import Config
from streams.connection import client_settings

_log = logging.getLogger("assay.kafka")
_AGAIN_S = 0.2
_COORDINATOR_MOVES = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}
_FATAL = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL)
_REPLACED = (
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.FENCED_INSTANCE_ID,
)
REPLACED_TEXT = (
    "another worker runs with this slot (kafka.slot) and has taken over; give each worker its own slot. Nothing is "
    "lost: what this one had not committed is folded by the other"
)
NO_RIGHT = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
)


def is_replaced(error: KafkaError) -> bool:
    """Whether an error says that somebody else goes on in this one's name.

    A consumer that was fenced says so once by its code, and from then on only in the words of a fatal error.

    >>> is_replaced(KafkaError(KafkaError.FENCED_INSTANCE_ID)), is_replaced(KafkaError(KafkaError._TIMED_OUT))
    (True, False)
    """
    is_fenced = KafkaError(KafkaError.FENCED_INSTANCE_ID).str() in error.str()
    return error.code() in _REPLACED or (error.code() == KafkaError._FATAL and is_fenced)


class FirstError:
    """Remembers the first error after which going on is pointless; librdkafka only tells it to a callback."""

    def __init__(self) -> None:
        self._message: str | None = None

    def __call__(self, error: KafkaError) -> None:
        """The client's `error_cb`."""
        if self._message is None and (error.code() in _FATAL or error.fatal()):
            self._message = error.str()
        else:
            _log.warning("kafka: %s", error.str())

    def raise_if_any(self) -> None:
        """Raise what was remembered.

        Raises:
            AssayError: the broker refused us, or the client cannot go on.
        """
        if self._message is not None:
            raise AssayError(
                f"Kafka refuses this worker: {self._message}; check kafka.username, the password, kafka.ca_file, and "
                "that no other worker runs with the same kafka.slot"
            )


def advice(error: KafkaError) -> str:
    """What to do about an error that trying again does not put right."""
    if error.code() in NO_RIGHT:
        return "grant this user the rights listed in docs/security.md"
    return "start again once that is put right"


def connection(config: Config) -> dict[str, Any]:
    """Settings of the connection, checked.

    Raises:
        AssayError: see `streams.connection.client_settings`.
    """
    ca_file = config.text("kafka.ca_file")
    settings: dict[str, Any] = client_settings(
        config.text("kafka.bootstrap"),
        security=config.text("kafka.security"),
        username=config.text("kafka.username") or None,
        password=config.secret("kafka.password") or None,
        ca_file=Path(ca_file) if ca_file else None,
        insecure=config.flag("kafka.insecure"),
    )
    return settings


def consumer_settings(config: Config, on_error: FirstError) -> dict[str, Any]:
    """Settings of the worker's consumer."""
    settings = {
        **connection(config),
        "group.id": config.text("kafka.group"),
        "partition.assignment.strategy": "cooperative-sticky",  # a rebalance stops only what moves
        "isolation.level": "read_committed",
        "enable.auto.commit": False,  # offsets are part of the transaction
        "auto.offset.reset": "error",  # every start is at an offset of ours; a lost one must not be guessed
        "session.timeout.ms": config.whole("kafka.session_timeout_ms"),
        "heartbeat.interval.ms": max(100, config.whole("kafka.session_timeout_ms") // 10),
        "max.poll.interval.ms": max(300_000, config.whole("kafka.session_timeout_ms")),
        "queued.max.messages.kbytes": 65_536,
        "fetch.wait.max.ms": 20,
        "error_cb": on_error,
        "logger": _log,
    }
    if config.flag("kafka.static_membership"):
        settings["group.instance.id"] = f"{config.text('kafka.group')}-{config.text('kafka.slot')}"
    return settings


def producer_settings(config: Config, on_error: FirstError) -> dict[str, Any]:
    """Settings of the worker's producer, without what makes it transactional."""
    timeout_ms = config.whole("engine.transaction_timeout_ms")
    return {
        **connection(config),
        "linger.ms": 2,
        "batch.num.messages": 10_000,
        "compression.type": "lz4",
        "queue.buffering.max.messages": 1_000_000,
        "message.max.bytes": 2_097_176,  # what the dead-letter topics take: a large record and its reason
        "retry.backoff.ms": 2,  # the default of 100 is added to back-to-back commits
        "retry.backoff.max.ms": 50,
        "transaction.timeout.ms": timeout_ms,
        "message.timeout.ms": timeout_ms,
        "error_cb": on_error,
        "logger": _log,
    }


class Source(NamedTuple):
    """The topic of the events.

    Attributes:
        client: an administrator's client, for further questions.
        topic_id: see `streams.admin.topic_id`.
        partitions: their numbers.
    """

    client: AdminClient
    topic_id: str
    partitions: frozenset[int]


def check_topics(config: Config, source: str, targets: Sequence[str], others: Sequence[str] = ()) -> Source:
    """See that the broker answers, that every target has at least as many partitions as `source`, and others are there.

    Raises:
        AssayError: no broker, no topic, or too few partitions.
    """
    admin, _ = connect(connection(config))
    found = admin.list_topics(timeout=10.0).topics  # needs no more than the rights to read and write them
    missing = [name for name in (source, *targets, *others) if name not in found]
    if missing:
        raise AssayError(
            f"topics are missing, or this user has no right to them: {', '.join(missing)}; create them with "
            "`assay topics apply`, or grant the rights listed in docs/security.md"
        )
    partitions = len(found[source].partitions)
    for name in targets:
        if len(found[name].partitions) < partitions:
            raise AssayError(
                f"{name} has {len(found[name].partitions)} partitions, {source} has {partitions}: a verdict goes to "
                f"the partition of its event, so {name} needs at least as many"
            )
    return Source(admin, topic_id(admin, source), frozenset(found[source].partitions))


def ask_topic_id(config: Config, topic: str) -> str:
    """The id of a topic, for whoever has no client yet.

    Raises:
        AssayError: no broker, or see `streams.admin.topic_id`.
    """
    admin, _ = connect(connection(config))
    return topic_id(admin, topic)


def ask_committed(consumer: Consumer, place: TopicPartition, timeout_s: float) -> TopicPartition:
    """What the consumer's group has committed of a partition; see `ask_all_committed`."""
    (found,) = ask_all_committed(consumer, [place], timeout_s)
    return found


def ask_all_committed(consumer: Consumer, places: Sequence[TopicPartition], timeout_s: float) -> list[TopicPartition]:
    """What the consumer's group has committed of partitions; asked again while the group's coordinator is moving.

    An administrator's client is not asked: that of librdkafka 2.16 dies of a segmentation fault where a broker answers
    that the coordinator is not ready.

    Raises:
        KafkaException: the broker does not tell.
    """
    until_s = time.monotonic() + timeout_s
    while True:
        try:
            found: list[TopicPartition] = consumer.committed(list(places), timeout=timeout_s)
            for each in found:
                if each.error is not None:
                    raise KafkaException(each.error)
            return found
        except KafkaException as error:
            if error.args[0].code() not in _COORDINATOR_MOVES or time.monotonic() >= until_s:
                raise
            time.sleep(_AGAIN_S)
