"""Publishes profiles: in order, each once, and with the broker when `publish` returns.

Thousands of profiles a second would keep the event loop of Faust busy, which has heartbeats to send. So they have a
producer of their own, and whoever publishes is not on that loop.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as Delivered

from features.errors import AssayError
from streams.kafka_clients import advice
from streams.publisher import Message, produce_all

_ANSWER_MS = 30_000


class EntityPublisher:
    """One producer; for one thread.

    Args:
        settings: of the connection.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._failures: list[KafkaError] = []
        self._newest = -1
        self._producer = Producer(
            {
                **settings,
                "enable.idempotence": True,  # a repetition would take an entity back in time
                "message.timeout.ms": _ANSWER_MS,
                "compression.type": "lz4",
                # what belongs together goes in one request, when `flush` says so; while five small ones are under way
                # the thread of an idempotent producer turns in circles
                "linger.ms": 100,
                "on_delivery": self._delivered,
            }
        )

    def publish(self, messages: Sequence[Message]) -> int:
        """Write messages to one partition, one behind another, and wait for all; the offset of the last one.

        Raises:
            AssayError: the broker did not take one, or did not answer.
        """
        produce_all(self._producer, messages)
        self._producer.flush()
        if self._failures:
            error = self._failures[0]
            raise AssayError(f"{messages[0].topic}: profiles were not written: {error.str()}; {advice(error)}")
        return self._newest

    def _delivered(self, error: KafkaError | None, message: Delivered) -> None:
        if error is not None:
            self._failures.append(error)
        else:
            self._newest = max(self._newest, int(message.offset() or 0))
