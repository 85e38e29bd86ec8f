"""Writes single records and returns when the brokers have them: what people say, and the audit trail of it."""

from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Delivered

from features.errors import AssayError
from streams.kafka_clients import NO_RIGHT, advice
from streams.publisher import Message

_ANSWER_S: Final = 10.0


class Sender:
    """Writes one record at a time.

    Args:
        settings: connection settings of a client.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._producer = Producer(
            {**settings, "enable.idempotence": True, "message.timeout.ms": int(_ANSWER_S * 1_000), "log_level": 0}
        )

    def send(self, message: Message) -> None:
        """Write a record and wait until every broker that keeps it has it.

        Raises:
            AssayError: they have not, or nobody knows.
        """
        answers: list[KafkaError | None] = []

        def delivered(error: KafkaError | None, _: Delivered) -> None:
            answers.append(error)

        try:
            self._producer.produce(
                message.topic,
                message.value,
                message.key,
                message.partition,
                headers=message.headers or [],
                on_delivery=delivered,
            )
            self._producer.flush(2 * _ANSWER_S)
        except (KafkaException, BufferError) as error:
            raise AssayError(f"writing to {message.topic}: {error}") from None
        if not answers or answers[0] is not None:
            cause = answers[0] if answers else None
            what = (
                advice(cause)
                if cause is not None and cause.code() in NO_RIGHT
                else "try again, it may be written twice"
            )
            why = "no answer from the brokers" if cause is None else cause.str()
            raise AssayError(f"{message.topic} did not take the record: {why}; {what}")
