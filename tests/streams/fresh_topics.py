"""Topics that nobody else uses, ready to be written and read."""

import time
from itertools import count

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.admin import apply_topics, connect
from streams.broker import RunningBroker

_numbers = count(1)


def fresh_topics(broker: RunningBroker, partitions: int) -> str:
    """A prefix that nobody else uses, with every topic of the contract created under it."""
    client, _ = connect(broker.client_settings)
    prefix = f"test-{next(_numbers)}."
    apply_topics(client, prefix, partitions)
    _wait_until_answered(client, prefix)
    return prefix


def _wait_until_answered(client: AdminClient, prefix: str) -> None:
    """On a busy machine a broker is told by its controller that it leads a partition after everybody else knows."""
    topics = {name: topic for name, topic in client.list_topics(timeout=20).topics.items() if name.startswith(prefix)}
    ends = {TopicPartition(name, number): OffsetSpec.latest() for name in topics for number in topics[name].partitions}
    deadline_s = time.monotonic() + 60.0
    while any(answer.exception() for answer in client.list_offsets(ends, request_timeout=20).values()):
        assert time.monotonic() < deadline_s, f"no leader answers for every partition of {prefix}"
        time.sleep(0.05)
