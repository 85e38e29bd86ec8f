"""A timeline as a live stream: events and labels into Kafka, in their order and, if wanted, at their pace."""

import heapq
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import orjson

from streams.simulator.known import label_records
from streams.simulator.records import event_records
from streams.simulator.timeline import Timeline

PRODUCER_SETTINGS: dict[str, Any] = {
    "partitioner": "murmur2_random",  # the partitions that Java producers choose for these keys
    "linger.ms": 5,
    "compression.type": "lz4",
    "enable.idempotence": True,  # retries keep the order of an account
    "queue.buffering.max.messages": 200_000,
    "message.timeout.ms": 60_000,
}
_FLUSH_S = 70.0  # a little more than a message may wait for its delivery
_FULL_QUEUE_S = 0.05
_SERVE_EVERY = 256


class Message(NamedTuple):
    """One record to produce: topic, account, value, and the simulated moment at which it is sent."""

    topic: str
    key: str
    value: bytes
    at_ms: int


class Producer(Protocol):
    """What is used of `confluent_kafka.Producer`."""

    def produce(self, topic: str, *, key: str, value: bytes, on_delivery: Callable[[Any, Any], None]) -> None:
        """Queue one record; `BufferError` if the queue is full."""

    def poll(self, timeout: float) -> int:
        """Serve reports of delivery, waiting at most `timeout` seconds for the first."""

    def flush(self, timeout: float) -> int:
        """Wait until everything is delivered, at most `timeout` seconds; how many are not."""


@dataclass(slots=True)
class Delivery:
    """What became of the records. `first_error` says why the first failure failed."""

    sent: dict[str, int] = field(default_factory=dict)
    delivered: int = 0
    failed: int = 0
    first_error: str | None = None

    def report(self, error: Any, _message: Any) -> None:
        """Callback of the producer for each record."""
        if error is None:
            self.delivered += 1
        else:
            self.failed += 1
            self.first_error = self.first_error or str(error.str())


def messages(timeline: Timeline, events_topic: str, labels_topic: str, now_ms: int) -> Iterator[Message]:
    """Events at their arrival and labels at the moment they are known, merged.

    Args:
        timeline: what to send.
        events_topic: topic of the events.
        labels_topic: topic of the labels.
        now_ms: nothing that happens later than this is sent.
    """

    def of_events() -> Iterator[Message]:
        arrivals = timeline.arrival.at_ms.tolist()
        for at_ms, record in zip(arrivals, event_records(timeline), strict=True):
            yield Message(events_topic, record["account_id"], orjson.dumps(record), at_ms)

    def of_labels() -> Iterator[Message]:
        for record in label_records(timeline):
            yield Message(labels_topic, record["account_id"], orjson.dumps(record), record["known_at_ms"])

    for message in heapq.merge(of_events(), of_labels(), key=lambda message: message.at_ms):
        if message.at_ms > now_ms:
            return
        yield message


def broadcast(
    stream: Iterable[Message],
    producer: Producer,
    *,
    rate: float | None = None,
    speed: float | None = None,
    advance: Callable[[int], None] = lambda _sent: None,
    clock: Callable[[], float] = time.monotonic,
) -> Delivery:
    """Produce every message and wait for its delivery.

    Args:
        stream: messages in order.
        producer: where they go.
        rate: records per second at most; None for as fast as possible.
        speed: simulated seconds per second at most; None for no regard to simulated time.
        advance: is told from time to time how many were sent since.
        clock: seconds, rising.

    Returns:
        The count of delivered and failed records; together they are all that were sent.
    """
    delivery = Delivery()
    began, first_ms, sent = clock(), None, 0
    for message in stream:
        first_ms = message.at_ms if first_ms is None else first_ms
        due = max(sent / rate if rate else 0.0, (message.at_ms - first_ms) / 1_000 / speed if speed else 0.0)
        while (wait := began + due - clock()) > 0:
            producer.poll(wait)
        _produce(producer, message, delivery)
        delivery.sent[message.topic] = delivery.sent.get(message.topic, 0) + 1
        sent += 1
        if sent % _SERVE_EVERY == 0:
            producer.poll(0)
            advance(_SERVE_EVERY)
    advance(sent % _SERVE_EVERY)
    remaining = producer.flush(_FLUSH_S)
    if remaining:
        delivery.failed += remaining
        delivery.first_error = delivery.first_error or f"no answer from the broker within {_FLUSH_S:g} s"
    return delivery


def _produce(producer: Producer, message: Message, delivery: Delivery) -> None:
    while True:
        try:
            producer.produce(message.topic, key=message.key, value=message.value, on_delivery=delivery.report)
        except BufferError:  # the queue is full: the broker is slower than we are
            producer.poll(_FULL_QUEUE_S)
        else:
            return
