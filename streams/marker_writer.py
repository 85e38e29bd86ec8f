"""Writes markers for a command: all of them are with the broker when it returns."""

from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, Producer

from features.errors import AssayError
from streams.kafka_clients import advice
from streams.publisher import Message

ANSWER_S = 30.0


def write_markers(settings: Mapping[str, Any], messages: Sequence[Message], timeout_s: float = ANSWER_S) -> None:
    """Write each message and wait until the broker has it.

    Args:
        settings: of the connection.
        messages: one for each partition; in whatever part of them a failure leaves, writing all again is harmless.
        timeout_s: so long the broker may take for all of them.

    Raises:
        AssayError: the broker refuses one, or does not answer.
    """
    failures: list[tuple[int, KafkaError]] = []
    producer = Producer({**settings, "enable.idempotence": True, "message.timeout.ms": int(timeout_s * 1000)})

    def told(number: int, error: KafkaError | None) -> None:
        if error is not None:
            failures.append((number, error))

    for topic, partition, key, value, headers in messages:
        producer.produce(
            topic,
            value,
            key,
            partition,
            headers=headers or [],
            on_delivery=lambda error, _, number=partition: told(number, error),
        )
    missing = producer.flush(timeout_s)
    if failures:
        numbers = ", ".join(str(number) for number, _ in failures)
        error = failures[0][1]
        raise AssayError(f"{messages[0].topic}, partitions {numbers}: not written: {error.str()}; {advice(error)}")
    if missing:
        raise AssayError(
            f"{messages[0].topic}: the broker did not say within {timeout_s:g} s that it has {missing} markers: "
            "run the command again, a marker that is there already changes nothing"
        )
