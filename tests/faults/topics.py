"""The topics of one campaign, from outside: records in, everything out, how far the group has come."""

import time
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

PARTITIONS = 2
"""Of every topic of a campaign."""
PATIENCE_S = 120.0
"""For a broker that answers; only a hang takes so long."""


class Feed:
    """Sends the records of a log, some at a time; a broker that is away for a while gets them later, each once.

    Args:
        bootstrap: where.
        topic: to which topic.
        records: key, value and partition of each.

    Attributes:
        sent: how many went to each partition; also where its log ends, once the broker has them.
    """

    def __init__(self, bootstrap: str, topic: str, records: Sequence[tuple[bytes | None, bytes, int]]) -> None:
        self._topic = topic
        self._records = records
        self._failures: list[KafkaError] = []
        self.sent = [0] * PARTITIONS
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "delivery.timeout.ms": int(PATIENCE_S * 1000),
                "log_level": 0,
            }
        )

    @property
    def left(self) -> int:
        """Records not yet sent."""
        return len(self._records) - sum(self.sent)

    def send(self, count: int) -> None:
        """Hand the next `count` records to the client; does not wait."""
        start = sum(self.sent)
        for key, value, partition in self._records[start : start + count]:
            self._producer.produce(self._topic, value, key, partition, on_delivery=self._delivered)
            self.sent[partition] += 1
        self._producer.poll(0)

    def finish(self) -> None:
        """Send the rest, and wait until the broker has taken everything."""
        self.send(self.left)
        assert self._producer.flush(PATIENCE_S) == 0
        assert not self._failures, self._failures[0]

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failures.append(error)


def read_to_end(bootstrap: str, places: Sequence[tuple[str, int]], *, committed: bool = True) -> list[Message]:
    """Every record of some partitions up to their ends; those of aborted transactions too unless `committed`."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "never-joined",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "log_level": 0,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in places])
    records: list[Message] = []
    ended = 0
    deadline_s = time.monotonic() + PATIENCE_S
    try:
        while ended < len(places):
            assert time.monotonic() < deadline_s, "the broker does not give the topics' ends"
            for message in consumer.consume(10_000, 0.2):
                error = message.error()
                if error is None:
                    records.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended += 1
    finally:
        consumer.close()
    return records


class Progress:
    """How far a group has come, asked again and again by one client that never joins it."""

    def __init__(self, bootstrap: str, group: str, topic: str) -> None:
        self._group = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "isolation.level": "read_uncommitted",  # else it waits for an open transaction to end
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        self._places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]

    def close(self) -> None:
        """Let go of the connection."""
        self._group.close()

    def committed(self) -> list[int] | None:
        """Committed offset of each partition, 0 before the first; None while nobody answers."""
        try:
            return [max(0, place.offset) for place in self._group.committed(self._places, timeout=2.0)]
        except KafkaException:
            return None


def describe_group(bootstrap: str, group: str) -> str:
    """What the broker says of a group and its members, for the message of a test that failed."""
    try:
        client = AdminClient({"bootstrap.servers": bootstrap})
        found = client.describe_consumer_groups([group], request_timeout=8.0)[group].result(10.0)
    except KafkaException as error:
        return f"group {group}: {error.args[0].str()}"
    except TimeoutError:
        return f"group {group}: its coordinator does not answer"
    members = [
        f"{member.group_instance_id or member.member_id}: "
        f"{sorted(place.partition for place in member.assignment.topic_partitions)}"
        for member in found.members
    ]
    return f"group {group} is {found.state.name}: {', '.join(members) or 'nobody in it'}"


def no_transaction_is_open(bootstrap: str, places: Sequence[tuple[str, int]]) -> bool:
    """Whether readers of committed records see each partition to its end."""
    ends = []
    for level in ("read_committed", "read_uncommitted"):
        settings = {"bootstrap.servers": bootstrap, "group.id": "never-joined", "isolation.level": level}
        consumer = Consumer({**settings, "log_level": 0})
        try:
            ends.append([consumer.get_watermark_offsets(TopicPartition(*place), timeout=2.0)[1] for place in places])
        except KafkaException:
            return False
        finally:
            consumer.close()
    return ends[0] == ends[1]
